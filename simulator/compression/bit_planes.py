"""Bit-plane compression of values: the code of their differences (Kim et al., "Bit-Plane Compression: Transforming
Data for Better Compression in Many-core Architectures", ISCA 2016), sized as the authors of EBPC do.
"""

import numpy as np
import numpy.typing as npt

from simulator.compression.codec import Bools, Ints

BLOCK = 8
_DELTAS = BLOCK - 1
_CODE_BITS = 5


def plane_bits(values: Ints, counts: Ints, word_bits: int) -> Ints:
    """Bits of the coded values of each unit, which follow each other in `values`, so many in each as `counts` says.

    Of a unit's values blocks of 8 are coded: the first in its w bits, the others as differences to the one before,
    modulo 2^w, whose w bit planes are coded from the highest one, each as the exclusive or with the plane below it (the
    lowest as it is):

    | plane | code |
    |---|---|
    | all zero, alone | `001` |
    | all zero, k ≥ 2 of them | `01` and k − 2 in ceil(log2 w) bits |
    | all one | `00000` |
    | not zero, but the plane itself is | `00001` |
    | two ones side by side | `00010` and where, in ceil(log2 of the block) bits |
    | a single one | `00011` and where |
    | any other | `1` and the plane |

    The last block is as short as what is left; of one value it is that value (where the reference code stores nothing).
    A decoder undoes the planes from the lowest one up.
    """
    blocks, length = _blocks(values, counts)
    deltas = (blocks[:, 1:] - blocks[:, :-1]).astype(np.uint64)
    deltas *= np.arange(1, BLOCK) < length[:, None]
    cost, all_zero = _code_table(), _zero_run_costs(word_bits)
    bits = np.full(len(blocks), word_bits, np.int64)
    run = np.zeros(len(blocks), np.int64)
    plane = _plane(deltas, word_bits - 1)
    for place in range(word_bits - 1, -1, -1):
        below = _plane(deltas, place - 1) if place else np.zeros_like(plane)
        coded = plane ^ below
        ends = coded != 0
        hidden = np.where(plane == 0, _CODE_BITS, cost[length, coded])
        hidden[coded == _ones(length)] = _CODE_BITS
        bits += np.where(ends, all_zero[run] + hidden, 0)
        run = np.where(ends, 0, run + 1)
        plane = below
    bits += all_zero[run]
    bits = np.where(length == 1, word_bits, bits)
    per = -(-counts.ravel() // BLOCK)
    sums = np.bincount(np.repeat(np.arange(counts.size), per), weights=bits, minlength=counts.size)
    return np.rint(sums).astype(np.int64).reshape(counts.shape)


def largest_plane_bits(values: int, word_bits: int) -> int:
    """Bits that so many values take up at most: every plane as it is, or a place in it."""
    return -(-values // BLOCK) * word_bits * (1 + BLOCK)


def _blocks(values: Ints, counts: Ints) -> tuple[Ints, Ints]:
    """The values in blocks of 8, the last of each unit filled up with zeros, and the length of each block."""
    of_unit = counts.ravel()
    blocks = -(-of_unit // BLOCK)
    gap = blocks * BLOCK - of_unit
    place = np.arange(len(values)) + np.repeat(np.cumsum(gap) - gap, of_unit)
    filled = np.zeros((int(blocks.sum()), BLOCK), np.int64)
    filled.ravel()[place] = values
    length = np.full(len(filled), BLOCK, np.int64)
    last = np.cumsum(blocks)[blocks > 0] - 1
    length[last] -= gap[blocks > 0]
    return filled, length


def _plane(deltas: npt.NDArray[np.uint64], place: int) -> npt.NDArray[np.uint8]:
    """Bit `place` of all deltas of each block, the first one highest."""
    ones: Bools = ((deltas >> np.uint64(place)) & np.uint64(1)).astype(np.bool_)
    return np.asarray(np.packbits(ones, axis=1)[:, 0] >> 1, np.uint8)


def _ones(length: Ints) -> npt.NDArray[np.uint8]:
    """The plane of a block of so many values whose bits are all one."""
    deltas = length - 1
    return (((1 << deltas) - 1) << (_DELTAS - deltas)).astype(np.uint8)


def _code_table() -> Ints:
    """Bits of a plane by the length of its block and its pattern, by the last three rows of the table of codes."""
    patterns = np.arange(1 << _DELTAS, dtype=np.int64)
    ones = np.array([pattern.bit_count() for pattern in patterns.tolist()])
    placed = (ones == 1) | ((ones == 2) & ((patterns & (patterns >> 1)) != 0))
    rows = [np.where(placed, _CODE_BITS + max(length - 1, 0).bit_length(), length) for length in range(BLOCK + 1)]
    return np.stack(rows).astype(np.int64)


def _zero_run_costs(word_bits: int) -> Ints:
    """Bits of so many planes of zeros in a row."""
    costs = np.full(word_bits + 1, 2 + (word_bits - 1).bit_length(), np.int64)
    costs[:2] = 0, 3
    return costs
