"""A pattern played against a memory system from beginning to end, and how long it took."""

from dataclasses import dataclass, replace

from simulator.dram.address_map import AddressMap
from simulator.dram.counters import Counters
from simulator.dram.memory import Memory
from simulator.dram.patterns import Runs
from simulator.hardware.dram_device import Controller, DramDevice

FOREVER = 1 << 59
_RATE_STEPS = 10_000
_DRAIN = 20_000
"""Clocks after which the writes that the controllers have taken have reached the DRAM."""


@dataclass(frozen=True)
class Played:
    """A memory system after a pattern. clocks: until the last byte that is read has come, or the last write taken."""

    memory: Memory
    clocks: int
    bursts: int
    controllers: int
    refresh_interval: int

    @property
    def nanoseconds(self) -> float:
        """The time that it took."""
        return self.clocks * self.memory.clock_ps / 1000

    @property
    def share_of_peak(self) -> float:
        """Of the time, with data pins as many as there are."""
        return self.bursts * self.memory.burst_clocks / (self.memory.pins * self.clocks)

    def drain(self) -> Counters:
        """Lets the controllers finish what they have taken: what has been done then, up to the last burst on any pins.

        The clocks add up to that time times the number of pins, those that pins stand idle at its end included. A
        controller with a queue per bank keeps its last writes.
        """
        memory = self.memory
        memory.play(memory.clock + _DRAIN)
        done, last = memory.counters(), memory.pins_clock()
        spent = sum((done.busy_clocks, done.turnaround_clocks, done.group_clocks, done.row_clocks, done.refresh_clocks))
        refreshes = min(done.refreshes, self.controllers * (last // self.refresh_interval))
        return replace(done, refreshes=refreshes, idle_clocks=memory.pins * last - spent)


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
    return Played(memory, end, runs.total, device.organisation.channels, device.timing.tREFI)
