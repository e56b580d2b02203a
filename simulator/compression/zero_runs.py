"""Runs of zeros within units: what run-length codes count."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from simulator.compression.codec import Bools, Ints, true_counts

_WORD = 8
SHORTEST = 2 * _WORD - 1
"""A run of so many bytes holds a whole aligned word, by which long runs are found."""


class ZeroRuns(NamedTuple):
    """Maximal runs of zeros within units, in order: the number of their unit, the place in it where they begin, their
    length, and whether they end it."""

    unit: Ints
    start: Ints
    length: Ints
    trailing: Bools


def long_zero_runs(nonzero: Bools, shortest: int) -> ZeroRuns:
    """The runs of at least `shortest` zeros (15 or more) within each unit of a map [..., elements].

    Units count through all axes.
    """
    assert shortest >= SHORTEST
    elements = nonzero.shape[-1]
    none = np.zeros(0, np.int64)
    start, stop = _long_gaps(nonzero.ravel(), shortest) if elements >= shortest else (none, none)
    # A gap may go through several units: one run in each.
    first = start // elements
    units = (stop - 1) // elements - first + 1
    gap = np.repeat(np.arange(len(start)), units)
    unit = np.arange(len(gap)) - np.repeat(np.cumsum(units) - units, units) + first[gap]
    begin = np.maximum(start[gap] - unit * elements, 0)
    end = np.minimum(stop[gap] - unit * elements, elements)
    wanted = end - begin >= shortest
    unit, begin, end = unit[wanted], begin[wanted], end[wanted]
    return ZeroRuns(unit, begin, end - begin, end == elements)


def _long_gaps(nonzero: Bools, shortest: int) -> tuple[Ints, Ints]:
    """Where runs of at least `shortest` zeros in a row of elements begin and end.

    Each holds words of zeros; elements next to these belong to it as far as they are zero.
    """
    size = len(nonzero)
    padded = np.ones(-(-size // _WORD) * _WORD + 2 * _WORD, np.bool_)  # a word that is not zero on both sides
    padded[_WORD : _WORD + size] = nonzero
    zero = np.flatnonzero(padded.view(np.uint64) == 0)
    if not len(zero):
        return zero, zero
    breaks = np.flatnonzero(np.diff(zero) > 1)
    first, last = zero[np.concatenate([[0], breaks + 1])], zero[np.concatenate([breaks, [len(zero) - 1]])]
    words = padded.reshape(-1, _WORD)
    start = first * _WORD - words[first - 1, ::-1].argmax(axis=1)
    stop = (last + 1) * _WORD + words[last + 1].argmax(axis=1)
    wanted = stop - start >= shortest
    return start[wanted] - _WORD, stop[wanted] - _WORD


def run_counts(nonzero: Bools) -> Ints:
    """Runs of zeros within each unit of a map [..., elements]."""
    begins = ~nonzero
    begins[..., 1:] &= nonzero[..., :-1]
    return true_counts(begins)


def trailing_zeros(nonzero: Bools) -> Bools:
    """Whether each unit of a map [..., elements] ends with a zero."""
    return np.asarray(~nonzero[..., -1])


def per_unit(unit: Ints, weights: npt.NDArray[np.int64], shape: tuple[int, ...]) -> Ints:
    """Sums of `weights` by unit, in the shape of the units."""
    sums = np.bincount(unit, weights=weights, minlength=int(np.prod(shape)))
    return np.rint(sums).astype(np.int64).reshape(shape)
