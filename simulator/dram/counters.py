"""What a memory system has done, counted."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Counters:
    """What a memory system has done: bursts and commands, and where the clocks of its data pins went, all together.

    busy + turnaround + group + row + refresh + idle is the time until the pins' last burst, times their number:
    turnaround is lost to changes of direction, group to bursts that follow in one bank group, row to precharges and
    activations that nothing hides, refresh to refreshes, idle to having nothing to do.
    """

    reads: int = 0
    writes: int = 0
    row_hits: int = 0
    activates: int = 0
    precharges: int = 0
    refreshes: int = 0
    busy_clocks: int = 0
    turnaround_clocks: int = 0
    group_clocks: int = 0
    row_clocks: int = 0
    refresh_clocks: int = 0
    idle_clocks: int = 0

    def __sub__(self, other: "Counters") -> "Counters":
        return Counters(*(a - b for a, b in zip(vars(self).values(), vars(other).values(), strict=True)))

    def __add__(self, other: "Counters") -> "Counters":
        return Counters(*(a + b for a, b in zip(vars(self).values(), vars(other).values(), strict=True)))

    @property
    def row_conflicts(self) -> int:
        """Activations that had to close another row first."""
        return min(self.precharges, self.activates)
