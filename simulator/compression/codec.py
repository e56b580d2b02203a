"""What a codec answers: the size of a block of elements from how many of them are not zero."""

from typing import Protocol

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]


class Codec(Protocol):
    """Sizes of blocks that can be addressed and decoded on their own."""

    name: str

    def data_bits(self, elements: npt.ArrayLike, nonzeros: npt.ArrayLike, word_bits: int) -> Ints:
        """Bits that hold values."""

    def index_bits(self, elements: npt.ArrayLike, nonzeros: npt.ArrayLike, word_bits: int) -> Ints:
        """Bits that say which values are zero."""

    def expected_ratio(self, density: float, word_bits: int) -> float:
        """Stored over raw bits where that share of the elements, anywhere among them, is not zero."""


class Raw:
    """No compression: every element is stored."""

    name = "raw"

    def data_bits(self, elements: npt.ArrayLike, nonzeros: npt.ArrayLike, word_bits: int) -> Ints:
        """All elements."""
        return np.asarray(elements, np.int64) * word_bits

    def index_bits(self, elements: npt.ArrayLike, nonzeros: npt.ArrayLike, word_bits: int) -> Ints:
        """None."""
        return np.zeros_like(np.asarray(elements, np.int64))

    def expected_ratio(self, density: float, word_bits: int) -> float:
        """1."""
        return 1.0


class Bitmap:
    """Zero-value compression: one bit per element, then the non-zero values.

    n + w·nnz bits (Rhu et al., "Compressing DMA engine", HPCA 2018, arXiv 1705.01626). A block that this would enlarge
    is stored as it is; the size table tells the two apart.
    """

    name = "bitmap"

    def data_bits(self, elements: npt.ArrayLike, nonzeros: npt.ArrayLike, word_bits: int) -> Ints:
        """The non-zero values, or all of them where that is smaller in total."""
        elements, nonzeros = np.asarray(elements, np.int64), np.asarray(nonzeros, np.int64)
        raw = elements * word_bits
        return np.where(self._helps(elements, nonzeros, word_bits), nonzeros * word_bits, raw)

    def index_bits(self, elements: npt.ArrayLike, nonzeros: npt.ArrayLike, word_bits: int) -> Ints:
        """One bit per element of a block that is stored compressed."""
        elements, nonzeros = np.asarray(elements, np.int64), np.asarray(nonzeros, np.int64)
        return np.where(self._helps(elements, nonzeros, word_bits), elements, 0)

    def expected_ratio(self, density: float, word_bits: int) -> float:
        """d + 1/w, or 1 where that is smaller."""
        return min(1.0, density + 1 / word_bits)

    @staticmethod
    def _helps(elements: Ints, nonzeros: Ints, word_bits: int) -> npt.NDArray[np.bool_]:
        return np.asarray(elements + nonzeros * word_bits < elements * word_bits)


_CODECS: dict[str, Codec] = {codec.name: codec for codec in (Raw(), Bitmap())}


def codec_of(name: str) -> Codec:
    """The codec of that name."""
    return _CODECS[name]
