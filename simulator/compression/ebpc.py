"""Extended bit-plane compression: where zeros are, and the differences between the other values bit by bit."""

from typing import ClassVar

import numpy as np
import numpy.typing as npt

from simulator.compression.bit_planes import largest_plane_bits, plane_bits
from simulator.compression.codec import Codec, Ints, Units, true_counts
from simulator.compression.zero_run_length import BURST
from simulator.compression.zero_runs import long_zero_runs, per_unit, run_counts, trailing_zeros

_RUN_BITS = 5


class Ebpc(Codec):
    """EBPC with blocks of 8 (Cavigelli, Rutishauser and Benini, arXiv 1908.11645), as its authors' code sizes it.

    Zeros: one bit for each non-zero, 5 bits for every 16 zeros that have begun in a run; a run that ends the unit is
    free, as the length of a unit is known. The non-zero values: in bit planes (`plane_bits`). Units are coded on their
    own.
    """

    name: ClassVar[str] = "ebpc"
    needs_values: ClassVar[bool] = True

    def unit_bits(self, units: Units, word_bits: int) -> tuple[Ints, Ints]:
        """The bit planes of the values, and the stream of zeros."""
        assert units.values is not None
        values = units.values()
        nonzero = values != 0
        nonzeros = true_counts(nonzero)
        index = nonzeros.copy()
        if (nonzeros < units.elements).any():
            long = long_zero_runs(nonzero, BURST)
            codes = run_counts(nonzero) - trailing_zeros(nonzero)
            beyond = np.where(long.trailing, 0, (long.length - 1) // BURST)
            index += _RUN_BITS * (codes + per_unit(long.unit, beyond, index.shape))
        return plane_bits(values[nonzero], nonzeros, word_bits), index

    def largest_bits(self, elements: int, word_bits: int) -> int:
        """Isolated zeros between values, or values alone, whose planes are all different."""
        zeros = max(elements, -(-elements // 2) * _RUN_BITS + elements // 2)
        return zeros + largest_plane_bits(elements, word_bits)

    def zero_bits(self, zeros: npt.ArrayLike, word_bits: int) -> Ints:
        """5 bits for every 16 of them, as in a long run."""
        return np.asarray(zeros, np.int64) * _RUN_BITS // BURST

    def expected_ratio(self, density: float, word_bits: int) -> float:
        """Values that their neighbours tell nothing of: 1 + w bits each; and d·(1 − d) / (1 − (1 − d)^16) codes."""
        zeros = 1 - density
        codes = density * zeros / (1 - zeros**BURST) if density > 0 else 0.0
        return (density * (1 + word_bits) + _RUN_BITS * codes) / word_bits
