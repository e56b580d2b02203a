"""DRAM requests: what one moves, and what it costs on a plain bus.

A request is a set of runs (start address, length in bytes). Whole bursts move, a burst that two runs of a request share
moves once, and a request opens every row that its runs touch. Time is bursts over bandwidth plus, per opened row, the
part of an activation that other banks cannot hide (`dram.row_miss`).
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from simulator.hardware.dram import Dram

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
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


@dataclass(frozen=True, eq=False)
class RequestCosts:
    """Per request: bytes moved (whole bursts), rows opened, bursts that hit an open row, time."""

    moved_bytes: Ints
    row_misses: Ints
    row_hits: Ints
    duration_ps: Ints


def request_costs(dram: Dram, runs: RunTable) -> RequestCosts:
    """What each request of a table costs on its own."""
    bursts = _blocks(runs, dram.burst)
    misses = _blocks(runs, dram.row)
    moved = bursts * dram.burst
    transfer = np.rint(moved / dram.bandwidth * 1e12).astype(np.int64)
    return RequestCosts(moved, misses, bursts - misses, transfer + misses * dram.row_miss)


def _blocks(runs: RunTable, size: int) -> Ints:
    """Blocks of `size` bytes that each request touches, a block shared by neighbouring runs counted once."""
    first = runs.start // size
    last = (runs.start + runs.length - 1) // size
    blocks = last - first + 1
    shared = (runs.request[1:] == runs.request[:-1]) & (first[1:] == last[:-1])
    blocks[1:] -= shared
    return np.bincount(runs.request, weights=blocks, minlength=runs.requests).astype(np.int64)
