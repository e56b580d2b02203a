"""No compression."""

from typing import ClassVar

import numpy as np
import numpy.typing as npt

from simulator.compression.codec import CountedCodec, Ints


class Raw(CountedCodec):
    """No compression: every element is stored."""

    name: ClassVar[str] = "raw"

    def data_bits(self, elements: npt.ArrayLike, nonzeros: npt.ArrayLike, word_bits: int) -> Ints:
        """All elements."""
        return np.broadcast_to(np.asarray(elements, np.int64) * word_bits, np.shape(nonzeros))

    def index_bits(self, elements: npt.ArrayLike, nonzeros: npt.ArrayLike, word_bits: int) -> Ints:
        """None."""
        return np.zeros(np.shape(nonzeros), np.int64)

    def largest_bits(self, elements: int, word_bits: int) -> int:
        """All elements."""
        return elements * word_bits

    def zero_bits(self, zeros: npt.ArrayLike, word_bits: int) -> Ints:
        """All of theirs."""
        return np.asarray(zeros, np.int64) * word_bits

    def expected_ratio(self, density: float, word_bits: int) -> float:
        """1."""
        return 1.0
