"""What a layer made the memory system do."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from simulator.hardware.dram_device import DramDevice

if TYPE_CHECKING:
    from simulator.dram.counters import Counters

Ints = npt.NDArray[np.int64]

PERCENTILES = (0.5, 0.95, 0.99)


@dataclass(frozen=True)
class DramUse:
    """Commands and time of a memory system during one layer, times in picoseconds, averaged over its data pins.

    busy + turnaround + group + row + refresh + idle is the layer's time: moving data, changing direction, bursts that
    follow in one bank group, precharges and activations that nothing hides, refresh, and nothing to do. Writes that the
    controllers still hold at the end of a layer count in the next one. activates: rows opened, row_conflicts: those
    that had to close another one first. latency_ps: what half, 95 % and 99 % of all reads took at most, from their
    arrival at a controller to their last byte. energy_pj: without background power.
    """

    reads: int
    writes: int
    row_hits: int
    activates: int
    row_conflicts: int
    refreshes: int
    busy_ps: int
    turnaround_ps: int
    group_ps: int
    row_ps: int
    refresh_ps: int
    idle_ps: int
    latency_ps: tuple[int, int, int]
    energy_pj: float


def dram_use(
    device: DramDevice, counters: "Counters", latencies: Ints, *, pins: int, clock_ps: int, duration_ps: int
) -> DramUse:
    """The use of a memory system of `pins` independent data buses in `duration_ps`, from what its counters gained.

    latencies: how many reads took how many clocks.
    """
    from simulator.dram.energy import energy_of  # a plain bus does without

    lost = (counters.turnaround_clocks, counters.group_clocks, counters.row_clocks, counters.refresh_clocks)
    turnaround, group, row, refresh = (clocks * clock_ps // pins for clocks in lost)
    busy = counters.busy_clocks * clock_ps // pins
    # A command that opens a layer may end a wait that began in the layer before, where it has counted as idle.
    early = max(0, busy + turnaround + group + row + refresh - duration_ps)
    row, early = max(0, row - early), max(0, early - row)
    turnaround = max(0, turnaround - early)
    total = np.cumsum(latencies)
    ranks = [int(np.searchsorted(total, share * total[-1])) if total[-1] else 0 for share in PERCENTILES]
    energy = energy_of(device, counters, 0)
    return DramUse(
        reads=counters.reads,
        writes=counters.writes,
        row_hits=counters.row_hits,
        activates=counters.activates,
        row_conflicts=counters.row_conflicts,
        refreshes=counters.refreshes,
        busy_ps=busy,
        turnaround_ps=turnaround,
        group_ps=group,
        row_ps=row,
        refresh_ps=refresh,
        idle_ps=max(0, duration_ps - busy - turnaround - group - row - refresh),
        latency_ps=(ranks[0] * clock_ps, ranks[1] * clock_ps, ranks[2] * clock_ps),
        energy_pj=energy.activate + energy.read + energy.write + energy.refresh,
    )
