"""How long the banks of SCNN's accumulator take for a chunk of activations by a chunk of weights, as tables.

A bank is five bits: k's lowest two, and three that output position and k decide together: y's lowest, x's lowest, and
the exclusive or of the second lowest bits of y and x and the third lowest of k. So an activation at a kernel position
is one of eight classes, a weight has a row (k & 3) and may flip the third bit, and the fullest bank is the largest
count of any class in any row. Chunks are numbers of four digits in base 9, digit 8 for nothing: classes of
activations, and k & 7 of weights.
"""

from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt

DIGITS = 4
"""The most activations, and weights, in a chunk."""
ABSENT = 8
BASE = 9 ** np.arange(DIGITS)

Words = npt.NDArray[np.uint64]


@dataclass(frozen=True, eq=False)
class BankTimes:
    """present: products of each chunk of activations with one weight. words: their counts by class as bytes, as they
    are and with the third bit flipped, [2, chunks]. kind: of each chunk of weights at one kernel position. cycles: of
    each chunk of activations with each kind of chunk of weights, at least 1: [chunks, kinds]."""

    present: npt.NDArray[np.int64]
    words: Words
    kind: npt.NDArray[np.int64]
    cycles: npt.NDArray[np.int64]


@cache
def bank_times(banks: int) -> BankTimes:
    """The tables for so many banks: a power of two from 4 to 32. Fewer banks leave the highest bits out."""
    codes = np.arange(9**DIGITS)
    digits = codes[:, None] // BASE % 9
    counts = (digits[:, :, None] == np.arange(8)).sum(axis=1)  # [chunks, classes]
    flip = np.arange(8) ^ (4 if banks == 32 else 0)
    shifts = np.arange(8, dtype=np.uint64) * np.uint64(8)
    words = np.stack([(side.astype(np.uint64) << shifts).sum(axis=1) for side in (counts, counts[:, flip])])
    rows = np.stack([_rows(digits, flipped) for flipped in (False, True)], axis=2)  # [chunks, rows, plain or flipped]
    # A row with (a, b) weights, plain and flipped, is as slow as one with (b, a).
    pairs = np.sort(rows, axis=2)[:, :, ::-1]
    key = np.sort(pairs[:, :, 0] * 8 + pairs[:, :, 1], axis=1)
    unique, kind = np.unique(key, axis=0, return_inverse=True)
    cycles = np.ones((len(codes), len(unique)), np.int64)
    for number, of_rows in enumerate(unique):
        for pair in set(of_rows.tolist()):
            together = (pair // 8) * counts + (pair % 8) * counts[:, flip]
            cycles[:, number] = np.maximum(cycles[:, number], together.max(axis=1))
    return BankTimes(counts.sum(axis=1), words, kind.ravel(), cycles)


def _rows(digits: npt.NDArray[np.int64], flipped: bool) -> npt.NDArray[np.int64]:
    """Weights of each chunk in every row (k & 3), of those that flip or of those that do not."""
    present = (digits != ABSENT) & ((digits >> 2 & 1) == int(flipped))
    return np.asarray((present[:, :, None] & ((digits & 3)[:, :, None] == np.arange(4))).sum(axis=1), np.int64)


_HIGH = np.uint64(0x8080808080808080)
_LOW = np.uint64(0xFF)


def larger_bytes(one: Words, other: Words) -> Words:
    """The larger of each pair of bytes, all below 128."""
    not_less = ((one | _HIGH) - other) & _HIGH
    mask = (not_less >> np.uint64(7)) * _LOW
    return np.asarray((one & mask) | (other & ~mask))


def largest_byte(words: Words) -> npt.NDArray[np.int64]:
    """The largest byte of each word, all below 128."""
    for shift in (32, 16, 8):
        words = larger_bytes(words, words >> np.uint64(shift))
    return np.asarray(words & _LOW, np.int64)
