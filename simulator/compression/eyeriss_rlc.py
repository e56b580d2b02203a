"""The run-length code of the Eyeriss chip.

A token is a run of 0 to 31 zeros in 5 bits and the value behind it; three tokens of 16-bit values and one flag bit fill
a word of 64 bits (Chen et al., "Eyeriss: An Energy-Efficient Reconfigurable Accelerator for Deep Convolutional Neural
Networks", JSSC 52(1), 2017).
"""

from typing import ClassVar

import numpy as np
import numpy.typing as npt

from simulator.compression.codec import Bools, Codec, Ints, Units, true_counts
from simulator.compression.zero_runs import long_zero_runs, per_unit, trailing_zeros

_RUN_BITS = 5
_COVERED = 1 << _RUN_BITS
"""Zeros that one token covers at most: a run of 31, and a zero as its value."""
_WORD_BITS = 64


class EyerissRlc(Codec):
    """Run-length code of (5-bit run, value) tokens, packed into words of 64 bits.

    The units of a block are one stream: runs go on from one unit to the next. 64·ceil(tokens / 3) bits for 16-bit
    values; of other widths as many tokens as fit share a word. A unit has the tokens whose value lies in it (a run
    that ends the block counts as ending on its last element), and of the words its share: the bits up to its end are
    those of the tokens up to there, rounded down, and the last unit of a block has the rest of the last word. So the
    units of a block add up to the stream exactly. There is no way round the code: dense 16-bit data grows by a third.
    """

    name: ClassVar[str] = "eyeriss_rlc"
    streams: ClassVar[bool] = True

    def unit_bits(self, units: Units, word_bits: int) -> tuple[Ints, Ints]:
        """The values of a unit's tokens; and their runs, with the unit's share of flags and padding."""
        tokens = units.nonzeros
        if (units.nonzeros != units.elements).any():
            tokens = tokens_per_unit(units.positions())
        packed, per_word = _word(word_bits)
        ends = np.cumsum(tokens, axis=1)
        bits = ends * packed // per_word
        bits[:, -1] = -(-ends[:, -1] // per_word) * packed
        values = tokens * word_bits
        return values, np.diff(bits, axis=1, prepend=0) - values

    def largest_bits(self, elements: int, word_bits: int) -> int:
        """A token for each element."""
        packed, per_word = _word(word_bits)
        return -(-elements // per_word) * packed

    def zero_bits(self, zeros: npt.ArrayLike, word_bits: int) -> Ints:
        """A token for every 32 of them, as in a long run."""
        packed, per_word = _word(word_bits)
        return np.asarray(zeros, np.int64) * packed // (per_word * _COVERED)

    def expected_ratio(self, density: float, word_bits: int) -> float:
        """Tokens d / (1 − (1 − d)^32) per element of independent zeros, 1/32 where all are zero; their words."""
        packed, per_word = _word(word_bits)
        tokens = density / (1 - (1 - density) ** _COVERED) if density > 0 else 1 / _COVERED
        return tokens * packed / (per_word * word_bits)


def tokens_per_unit(nonzero: Bools) -> Ints:
    """Tokens whose value lies in each unit, [blocks, units], of a map [blocks, units, elements].

    A non-zero element is the value of a token. A gap of g zeros holds a token for every 32 of them, whose value is the
    last of these; what is left of the gap at the end of a block makes one more.
    """
    blocks, units, elements = nonzero.shape
    tokens = true_counts(nonzero)
    stream = nonzero.reshape(blocks, units * elements)
    long = long_zero_runs(stream, _COVERED)
    full = long.length // _COVERED
    run = np.repeat(np.arange(len(full)), full)
    number = np.arange(len(run)) - np.repeat(np.cumsum(full) - full, full)
    inside = long.start[run] + (number + 1) * _COVERED - 1
    tokens += per_unit(long.unit[run] * units + inside // elements, np.ones_like(inside), tokens.shape)
    ends_whole = long.unit[long.trailing & (long.length % _COVERED == 0)]
    rest = trailing_zeros(stream)
    rest[ends_whole] = False
    tokens[:, -1] += rest
    return tokens


def _word(value_bits: int) -> tuple[int, int]:
    """Bits of a word (or of the words that one token needs) and the tokens in it."""
    token_bits = _RUN_BITS + value_bits
    return -(-token_bits // _WORD_BITS) * _WORD_BITS, max(1, _WORD_BITS // token_bits)
