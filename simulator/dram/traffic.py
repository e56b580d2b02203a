"""A pattern played against a memory system from beginning to end, and how long it took."""

from dataclasses import dataclass

from simulator.dram.address_map import AddressMap
from simulator.dram.memory import Memory
from simulator.dram.patterns import Runs
from simulator.hardware.dram_device import Controller, DramDevice

FOREVER = 1 << 59
_RATE_STEPS = 10_000


@dataclass(frozen=True)
class Played:
    """A memory system after a pattern. clocks: until the last byte that is read has come, or the last write taken."""

    memory: Memory
    clocks: int
    bursts: int

    @property
    def nanoseconds(self) -> float:
        """The time that it took."""
        return self.clocks * self.memory.clock_ps / 1000

    @property
    def share_of_peak(self) -> float:
        """Of the time, with data pins as many as there are."""
        return self.bursts * self.memory.burst_clocks / (self.memory.pins * self.clocks)


def play_runs(device: DramDevice, controller: Controller, mapping: AddressMap, runs: Runs, load: float = 1) -> Played:
    """Plays the runs in order, as fast as the controllers take them, or at most at `load` of the peak bandwidth."""
    memory = Memory(device, controller, mapping)
    if load < 1:
        steps = max(1, round(load * _RATE_STEPS))
        memory.limit_rate(memory.pins * steps, device.timing.BL * _RATE_STEPS)
    memory.submit(0, runs.first, runs.bursts, 0)
    ((_, end),) = memory.play(FOREVER)
    if not runs.writes_only:
        end = max(end, memory.pins_clock() + device.timing.CL)
    return Played(memory, end, runs.total)
