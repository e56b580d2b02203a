"""Runs of zeros in short codes between the values."""

from typing import ClassVar

import numpy as np
import numpy.typing as npt

from simulator.compression.codec import Codec, Ints, Units
from simulator.compression.zero_runs import long_zero_runs, per_unit, run_counts

BURST = 16
"""Zeros that one code covers at most."""
_RUN_BITS = 5


class ZeroRunLength(Codec):
    """Zero-run-length code with bursts of up to 16 zeros: the baseline in Cavigelli, Rutishauser and Benini, "EBPC:
    Extended Bit-Plane Compression for Deep Neural Network Inference and Training Accelerators", arXiv 1908.11645.

    A value is a one and its w bits. A run of 1 to 15 zeros is a zero and its length in 4 bits; a full burst of 16 is a
    zero and four zero bits, which no shorter run is, and takes a sixth bit besides, as in the reference code. A run of
    r zeros is 5·ceil(r / 16) + floor(r / 16) bits, one that ends the unit too.
    """

    name: ClassVar[str] = "zero_run_length"

    def unit_bits(self, units: Units, word_bits: int) -> tuple[Ints, Ints]:
        """The values; and their prefixes and the runs."""
        values, index = units.nonzeros * word_bits, units.nonzeros.copy()
        if (units.nonzeros < units.elements).any():
            nonzero = units.positions()
            long = long_zero_runs(nonzero, BURST)
            beyond = _RUN_BITS * ((long.length - 1) // BURST) + long.length // BURST
            index += _RUN_BITS * run_counts(nonzero) + per_unit(long.unit, beyond, index.shape)
        return values, index

    def largest_bits(self, elements: int, word_bits: int) -> int:
        """Values alone, or between single zeros where a value is shorter than the code of one."""
        alternating = -(-elements // 2) * _RUN_BITS + elements // 2 * (1 + word_bits)
        return max(elements * (1 + word_bits), alternating)

    def zero_bits(self, zeros: npt.ArrayLike, word_bits: int) -> Ints:
        """Those of full bursts, as in a long run."""
        return np.asarray(zeros, np.int64) * (_RUN_BITS + 1) // BURST

    def expected_ratio(self, density: float, word_bits: int) -> float:
        """1 + w per non-zero; d·(1 − d) runs per element, of 1 / (1 − q) codes with q = (1 − d)^16 that are full
        (1 − d)^15 / (1 − q) times."""
        zeros = 1 - density
        if density <= 0:
            return (_RUN_BITS + 1) / BURST / word_bits
        runs = density * zeros * (_RUN_BITS + zeros ** (BURST - 1)) / (1 - zeros**BURST)
        return (density * (1 + word_bits) + runs) / word_bits
