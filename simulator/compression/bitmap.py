"""One bit per element and the non-zero values."""

from typing import ClassVar

import numpy as np
import numpy.typing as npt

from simulator.compression.codec import CountedCodec, Ints


class Bitmap(CountedCodec):
    """Zero-value compression: one bit per element, then the non-zero values.

    n + w·nnz bits (Rhu et al., "Compressing DMA engine", HPCA 2018, arXiv 1705.01626).
    """

    name: ClassVar[str] = "bitmap"

    def data_bits(self, elements: npt.ArrayLike, nonzeros: npt.ArrayLike, word_bits: int) -> Ints:
        """The non-zero values."""
        return np.asarray(nonzeros, np.int64) * word_bits

    def index_bits(self, elements: npt.ArrayLike, nonzeros: npt.ArrayLike, word_bits: int) -> Ints:
        """One bit per element."""
        return np.broadcast_to(np.asarray(elements, np.int64), np.shape(nonzeros))

    def largest_bits(self, elements: int, word_bits: int) -> int:
        """A value and a bit for each element."""
        return elements * (1 + word_bits)

    def zero_bits(self, zeros: npt.ArrayLike, word_bits: int) -> Ints:
        """An index bit each."""
        return np.asarray(zeros, np.int64)

    def expected_ratio(self, density: float, word_bits: int) -> float:
        """d + 1/w."""
        return density + 1 / word_bits
