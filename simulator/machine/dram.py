"""DRAM: what a DMA request costs, and the one data bus that all requests share.

A request is a set of runs (start address, length in bytes). Whole bursts move, a burst that two runs of a request share
moves once, and a request opens every row that its runs touch. Time is bursts over bandwidth plus, per opened row, the
part of an activation that other banks cannot hide (`dram.row_miss`).
"""

from collections import deque
from collections.abc import Generator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import simpy

from simulator.hardware.dram import Dram

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class RunTable:
    """Runs of many requests: entry i says that request `request[i]` touches `length[i]` bytes from `start[i]` on.

    Within a request the runs are sorted by address and do not overlap; requests are numbered 0 to `requests` − 1 and
    stand in order. A request may have no runs.
    """

    requests: int
    request: Ints
    start: Ints
    length: Ints

    @staticmethod
    def of(requests: int, request: Ints, start: Ints, length: Ints) -> "RunTable":
        """A table without its empty runs."""
        kept = length > 0
        return RunTable(requests, request[kept], start[kept], length[kept])


@dataclass(frozen=True)
class RequestCosts:
    """Per request: bytes asked for, bytes moved (whole bursts), rows opened, bursts that hit an open row, time."""

    wanted_bytes: Ints
    moved_bytes: Ints
    row_misses: Ints
    row_hits: Ints
    duration_ps: Ints


def request_costs(dram: Dram, runs: RunTable) -> RequestCosts:
    """What each request of a table costs on its own."""
    bursts = _blocks(runs, dram.burst)
    misses = _blocks(runs, dram.row)
    wanted = np.bincount(runs.request, weights=runs.length, minlength=runs.requests).astype(np.int64)
    moved = bursts * dram.burst
    transfer = np.rint(moved / dram.bandwidth * 1e12).astype(np.int64)
    return RequestCosts(wanted, moved, misses, bursts - misses, transfer + misses * dram.row_miss)


def _blocks(runs: RunTable, size: int) -> Ints:
    """Blocks of `size` bytes that each request touches, a block shared by neighbouring runs counted once."""
    first = runs.start // size
    last = (runs.start + runs.length - 1) // size
    blocks = last - first + 1
    shared = (runs.request[1:] == runs.request[:-1]) & (first[1:] == last[:-1])
    blocks[1:] -= shared
    return np.bincount(runs.request, weights=blocks, minlength=runs.requests).astype(np.int64)


class DramPort:
    """The data bus: one request at a time, in the order in which they are made.

    It knows whose request it served at any time up to now, so that waiting can be put down to what it waited for.
    """

    def __init__(self, env: simpy.Environment) -> None:
        self._env = env
        self._free_at_ps = 0
        self._booked: deque[tuple[int, int, str]] = deque()
        self._served_ps: dict[str, int] = {}
        self.busy_ps = 0

    def transfer(self, stream: str, duration_ps: int) -> Generator[simpy.Event, Any, None]:
        """Waits until the bus is free and the request of `stream` has been served."""
        start = max(self._free_at_ps, int(self._env.now))
        self._free_at_ps = start + duration_ps
        self.busy_ps += duration_ps
        if duration_ps:
            self._booked.append((start, self._free_at_ps, stream))
        if self._free_at_ps > self._env.now:
            yield self._env.timeout(self._free_at_ps - int(self._env.now))

    def served_ps(self) -> dict[str, int]:
        """Picoseconds for which the bus has served each stream until now."""
        now = int(self._env.now)
        while self._booked and self._booked[0][1] <= now:
            start, end, stream = self._booked.popleft()
            self._served_ps[stream] = self._served_ps.get(stream, 0) + end - start
        served = dict(self._served_ps)
        if self._booked and self._booked[0][0] < now:
            start, _, stream = self._booked[0]
            served[stream] = served.get(stream, 0) + now - start
        return served
