"""Bit-plane compression of all values, zeros among them."""

from typing import ClassVar

import numpy as np
import numpy.typing as npt

from simulator.compression.bit_planes import BLOCK, largest_plane_bits, plane_bits
from simulator.compression.codec import Codec, Ints, Units


class Bpc(Codec):
    """Bit-plane compression in blocks of 8, without a stream of zeros: what EBPC extends (arXiv 1908.11645)."""

    name: ClassVar[str] = "bpc"
    needs_values: ClassVar[bool] = True

    def unit_bits(self, units: Units, word_bits: int) -> tuple[Ints, Ints]:
        """The bit planes of the values; no index."""
        assert units.values is not None
        counts = np.full(units.nonzeros.shape, units.elements, np.int64)
        return plane_bits(units.values().ravel(), counts, word_bits), np.zeros(counts.shape, np.int64)

    def largest_bits(self, elements: int, word_bits: int) -> int:
        """All planes as they are."""
        return largest_plane_bits(elements, word_bits)

    def zero_bits(self, zeros: npt.ArrayLike, word_bits: int) -> Ints:
        """A value and one run of planes in every block of them."""
        return np.asarray(zeros, np.int64) * (word_bits + 2 + (word_bits - 1).bit_length()) // BLOCK

    def expected_ratio(self, density: float, word_bits: int) -> float:
        """1, for values that their neighbours tell nothing of."""
        return 1.0
