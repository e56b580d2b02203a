"""Runs of zeros within units: what run-length codes count."""

from typing import NamedTuple

import numpy as np

from simulator.compression.codec import Bools, Ints


class ZeroRuns(NamedTuple):
    """Maximal runs of zeros within units, in order: the number of their unit, their length, whether they end it."""

    unit: Ints
    length: Ints
    trailing: Bools


def long_zero_runs(nonzero: Bools, shortest: int) -> ZeroRuns:
    """The runs of at least `shortest` zeros within each unit of a map [..., elements]; units count through all axes."""
    elements = nonzero.shape[-1]
    if elements < shortest:
        none = np.zeros(0, np.int64)
        return ZeroRuns(none, none, none.astype(np.bool_))
    start, stop = _long_gaps(nonzero, shortest)
    # A gap may go through several units: one run in each.
    first = start // elements
    units = (stop - 1) // elements - first + 1
    gap = np.repeat(np.arange(len(start)), units)
    unit = np.arange(len(gap)) - np.repeat(np.cumsum(units) - units, units) + first[gap]
    begin, end = np.maximum(start[gap], unit * elements), np.minimum(stop[gap], (unit + 1) * elements)
    wanted = end - begin >= shortest
    unit, begin, end = unit[wanted], begin[wanted], end[wanted]
    return ZeroRuns(unit, end - begin, end == (unit + 1) * elements)


def _long_gaps(nonzero: Bools, shortest: int) -> tuple[Ints, Ints]:
    """Where gaps of at least `shortest` zeros begin and end in the map as one row."""
    places = np.flatnonzero(nonzero)
    if not len(places):
        return np.zeros(1, np.int64), np.full(1, nonzero.size, np.int64)
    long = np.flatnonzero(np.diff(places) > shortest)
    start, stop = places[long] + 1, places[long + 1]
    start, stop = np.concatenate([[0], start, places[-1:] + 1]), np.concatenate([places[:1], stop, [nonzero.size]])
    wanted = stop - start >= shortest
    return start[wanted], stop[wanted]


def run_counts(nonzero: Bools) -> Ints:
    """Runs of zeros within each unit of a map [..., elements]."""
    begins = ~nonzero
    begins[..., 1:] &= nonzero[..., :-1]
    counts: Ints = np.count_nonzero(begins, axis=-1).astype(np.int64)
    return counts


def trailing_zeros(nonzero: Bools) -> Bools:
    """Whether each unit of a map [..., elements] ends with a zero."""
    return np.asarray(~nonzero[..., -1])


def per_unit(runs: ZeroRuns, weights: Ints, shape: tuple[int, ...]) -> Ints:
    """Sums of `weights`, one for each run, by unit, in the shape of the units."""
    sums = np.bincount(runs.unit, weights=weights, minlength=int(np.prod(shape)))
    return np.rint(sums).astype(np.int64).reshape(shape)
