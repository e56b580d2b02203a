"""Values with the distance to the one before."""

from typing import ClassVar

import numpy as np
import numpy.typing as npt

from simulator.compression.codec import Codec, Ints, Units
from simulator.compression.zero_runs import long_zero_runs, per_unit

_INDEX_BITS = 4
_REACH = 1 << _INDEX_BITS
"""Distance that an index says at most, which is one zero more than it skips."""


class Csc(Codec):
    """Compressed sparse columns with relative indices of 4 bits (Han et al., "EIE: Efficient Inference Engine on
    Compressed Deep Neural Network", ISCA 2016).

    A token is the distance to the non-zero before, 1 to 16, and the value. A gap that is longer has a padding zero as
    value of every 16th place, so g zeros before a non-zero make floor(g / 16) + 1 tokens; zeros that end a unit are
    free. The pointer to the beginning of each unit is the store's, as its table.
    """

    name: ClassVar[str] = "csc"

    def unit_bits(self, units: Units, word_bits: int) -> tuple[Ints, Ints]:
        """The values, padding zeros among them; and the distances."""
        tokens = units.nonzeros.copy()
        if (units.nonzeros < units.elements).any():
            long = long_zero_runs(units.positions(), _REACH)
            tokens += per_unit(long.unit, np.where(long.trailing, 0, long.length // _REACH), tokens.shape)
        return tokens * word_bits, tokens * _INDEX_BITS

    def largest_bits(self, elements: int, word_bits: int) -> int:
        """A token for each element."""
        return elements * (_INDEX_BITS + word_bits)

    def zero_bits(self, zeros: npt.ArrayLike, word_bits: int) -> Ints:
        """A token for every 16 of them, as in a long run."""
        return np.asarray(zeros, np.int64) * (_INDEX_BITS + word_bits) // _REACH

    def expected_ratio(self, density: float, word_bits: int) -> float:
        """Tokens d / (1 − (1 − d)^16) per element of independent zeros."""
        if density <= 0:
            return 0.0
        tokens = density / (1 - (1 - density) ** _REACH)
        return tokens * (_INDEX_BITS + word_bits) / word_bits
