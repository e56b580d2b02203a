"""One bit per element and the non-zero values."""

from typing import ClassVar

import numpy as np
import numpy.typing as npt

from simulator.compression.codec import Bools, CountedCodec, Ints


class Bitmap(CountedCodec):
    """Zero-value compression: one bit per element, then the non-zero values.

    n + w·nnz bits (Rhu et al., "Compressing DMA engine", HPCA 2018, arXiv 1705.01626). A block that this would enlarge
    is stored as it is; the size table tells the two apart.
    """

    name: ClassVar[str] = "bitmap"

    def data_bits(self, elements: npt.ArrayLike, nonzeros: npt.ArrayLike, word_bits: int) -> Ints:
        """The non-zero values, or all of them where that is smaller in total."""
        elements, nonzeros = np.asarray(elements, np.int64), np.asarray(nonzeros, np.int64)
        raw = elements * word_bits
        return np.where(self._helps(elements, nonzeros, word_bits), nonzeros * word_bits, raw)

    def index_bits(self, elements: npt.ArrayLike, nonzeros: npt.ArrayLike, word_bits: int) -> Ints:
        """One bit per element of a block that is stored compressed."""
        elements, nonzeros = np.asarray(elements, np.int64), np.asarray(nonzeros, np.int64)
        return np.where(self._helps(elements, nonzeros, word_bits), elements, 0)

    def zero_bits(self, zeros: npt.ArrayLike, index_bits: npt.ArrayLike, word_bits: int) -> Ints:
        """An index bit each, or all bits in a unit that is stored as it is."""
        zeros = np.asarray(zeros, np.int64)
        return np.where(np.asarray(index_bits) > 0, zeros, zeros * word_bits)

    def expected_ratio(self, density: float, word_bits: int) -> float:
        """d + 1/w, or 1 where that is smaller."""
        return min(1.0, density + 1 / word_bits)

    @staticmethod
    def _helps(elements: Ints, nonzeros: Ints, word_bits: int) -> Bools:
        return np.asarray(elements + nonzeros * word_bits < elements * word_bits)
