"""Requests as the DRAM model takes them: runs of whole bursts at their place in memory."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from simulator.machine.dram import RunTable

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class BurstRuns:
    """Runs for a sequence of requests: request k has the runs begin[k] to end[k] of `first` and `bursts`.

    first: number of a run's first burst in memory; bursts: how many are read, or, negative, written.
    """

    begin: Ints
    end: Ints
    first: Ints
    bursts: Ints

    def in_order(self, order: Ints) -> "BurstRuns":
        """The requests `order` (with repeats) of these."""
        return BurstRuns(self.begin[order], self.end[order], self.first, self.bursts)

    def spread(self, places: npt.NDArray[np.bool_]) -> "BurstRuns":
        """As many requests as `places`, these where it is true and empty ones elsewhere."""
        begin, end = np.zeros(len(places), np.int64), np.zeros(len(places), np.int64)
        begin[places], end[places] = self.begin, self.end
        return BurstRuns(begin, end, self.first, self.bursts)


def burst_runs(table: RunTable, burst: int, base: int, *, write: bool) -> BurstRuns:
    """The requests of a table whose addresses start at `base`, in whole bursts of `burst` bytes.

    A burst that two neighbouring runs of a request share is moved once; runs that touch become one.
    """
    first = (table.start + base) // burst
    last = (table.start + base + table.length - 1) // burst
    same = np.zeros(len(first), np.bool_)
    same[1:] = table.request[1:] == table.request[:-1]
    shared = np.zeros(len(first), np.bool_)
    shared[1:] = same[1:] & (first[1:] == last[:-1])
    first = first + shared
    joins = np.zeros(len(first), np.bool_)
    joins[1:] = same[1:] & (first[1:] == last[:-1] + 1)
    starts = np.flatnonzero(~joins)
    stops = np.append(starts[1:], len(first))
    run_first = first[starts]
    count = last[stops - 1] - run_first + 1 if len(starts) else np.zeros(0, np.int64)
    request = table.request[starts]
    kept = count > 0
    run_first, count, request = run_first[kept], count[kept], request[kept]
    bounds = np.searchsorted(request, np.arange(table.requests + 1))
    return BurstRuns(bounds[:-1], bounds[1:], run_first, -count if write else count)


def request_of(parts: Sequence[BurstRuns], number: int) -> tuple[Ints, Ints]:
    """The runs of request `number` of all parts, one part after the other."""
    if len(parts) == 1:
        begin, end = parts[0].begin[number], parts[0].end[number]
        return parts[0].first[begin:end], parts[0].bursts[begin:end]
    pieces = [
        (part.first[part.begin[number] : part.end[number]], part.bursts[part.begin[number] : part.end[number]])
        for part in parts
    ]
    return np.concatenate([first for first, _ in pieces]), np.concatenate([bursts for _, bursts in pieces])
