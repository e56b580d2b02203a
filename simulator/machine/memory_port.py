"""A memory system behind the event loop. Importing this loads the compiler of the DRAM model."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import simpy

from simulator.dram.address_map import address_map
from simulator.dram.memory import Dma as MemoryDma
from simulator.dram.memory import Memory, Snapshot
from simulator.hardware.accelerator import Accelerator
from simulator.machine.dram_port import STREAMS, Runs
from simulator.machine.dram_use import DramUse, dram_use
from simulator.machine.task import Alarm, Go

Ints = npt.NDArray[np.int64]

SLICE_PS = 20_000_000
"""How far the memory system is played ahead of the event loop at a time."""


@dataclass(frozen=True)
class _Progress:
    """Bursts that each stream had sent by a clock."""

    clock: int
    admitted: list[int]


class MemoryPort:
    """A memory system behind the event loop.

    It is played ahead until a request has been served, and no further than a slice of time. When a request comes before
    that, the memory system goes back to where it was known for sure and is played again up to now: what it does then
    cannot have depended on a request that had not come.
    """

    def __init__(self, env: simpy.Environment, accelerator: Accelerator) -> None:
        device, dram, dma = accelerator.dram.device, accelerator.dram, accelerator.dma
        assert device is not None
        self._env = env
        order = dma.priority if dma.arbitration == "priority" else STREAMS
        self._number = {stream: order.index(stream) for stream in STREAMS}
        mapping = address_map(dram.mapping or device.mapping, device.organisation, dram.interleave)
        self.memory = Memory(
            device,
            dram.policy,
            mapping,
            streams=len(STREAMS),
            dma=MemoryDma(dma.request, dma.outstanding, dma.arbitration == "priority"),
        )
        self._clock_ps = self.memory.clock_ps
        self._burst_ps = self.memory.burst_clocks * self._clock_ps / self.memory.pins
        self._slice = max(1, SLICE_PS // self._clock_ps)
        self._waiting: dict[int, Go] = {}
        self._due: dict[int, int] = {}
        self._sure: tuple[Snapshot, dict[int, int]] | None = None
        self._before = _Progress(0, [0] * len(STREAMS))
        self._next: Alarm | None = None
        self._device = device
        self._counters, self._latencies, self._used_until_ps = self.memory.counters(), self.memory.latencies(), 0

    @property
    def busy_ps(self) -> int:
        """Picoseconds for which data has moved, all pins at once."""
        return sum(self.mark())

    def start(self, stream: str, duration_ps: int, runs: Runs | None, then: Go) -> bool:
        """Hands over a request and calls `then` at its end; False, and no call, where it moves nothing."""
        if runs is None or not len(runs[0]):
            return False
        clock = -(-int(self._env.now) // self._clock_ps)
        self._come_to(clock)
        tag = self.memory.submit(self._number[stream], *runs, clock)
        self._waiting[tag] = then
        self._sure = None
        self._plan_to_play_ahead()
        return True

    def mark(self) -> Sequence[int]:
        """Picoseconds for which the pins have moved data of each stream until now; between known instants, a part."""
        now = int(self._env.now) / self._clock_ps
        ahead = _Progress(self.memory.clock, self.memory.admitted_bursts())
        before = self._before
        share = 1.0
        if ahead.clock > now:
            share = (now - before.clock) / (ahead.clock - before.clock) if ahead.clock > before.clock else 1.0
        share = min(1.0, max(0.0, share))
        bursts = [old + share * (new - old) for old, new in zip(before.admitted, ahead.admitted, strict=True)]
        return [round(bursts[self._number[stream]] * self._burst_ps) for stream in STREAMS]

    def served_ps(self, before: Ints, after: Ints) -> Ints:
        """Whole picoseconds for which the pins have moved data of each of STREAMS between two marks, or many."""
        return after - before

    def use(self, *, drained: bool) -> DramUse | None:
        """What the memory system has done since the last call; `drained`: with all writes that still wait.

        Nothing may be under way.
        """
        now = int(self._env.now)
        self._come_to(-(-now // self._clock_ps))
        if drained:
            self.memory.drain()
        counters, latencies = self.memory.counters(), self.memory.latencies()
        used = dram_use(
            self._device,
            counters - self._counters,
            latencies - self._latencies,
            pins=self.memory.pins,
            clock_ps=self._clock_ps,
            duration_ps=now - self._used_until_ps,
        )
        self._counters, self._latencies, self._used_until_ps = counters, latencies, now
        return used

    def _come_to(self, clock: int) -> None:
        """Brings the memory system to `clock`, the present."""
        if self.memory.clock > clock and self._sure is not None:
            snapshot, due = self._sure
            self.memory.restore(snapshot)
            self._due = {tag: clock for tag, clock in due.items() if tag in self._waiting}
        while self.memory.clock < clock:
            self._play(clock)
        self._before = _Progress(self.memory.clock, self.memory.admitted_bursts())

    def _play(self, until: int) -> None:
        """Plays until `until` or until requests have been served, and notes when; not again for those known before."""
        self._due.update((tag, clock) for tag, clock in self.memory.play(until) if tag in self._waiting)

    def _plan_to_play_ahead(self) -> None:
        """Plays ahead once everything that happens at this instant has happened."""
        self._next = Alarm(self._env, 0, self._play_ahead)

    def _play_ahead(self, alarm: simpy.Event) -> None:
        if alarm is not self._next:
            return
        clock = -(-int(self._env.now) // self._clock_ps)
        self._sure = (self.memory.snapshot(), dict(self._due))
        horizon = min([clock + self._slice, *self._due.values()])
        while not self._due and self.memory.pending and self.memory.clock < horizon:
            self._play(horizon)
        wake = min([horizon, *self._due.values()])
        self._next = Alarm(self._env, max(0, wake * self._clock_ps - int(self._env.now)), self._wake)

    def _wake(self, alarm: simpy.Event) -> None:
        if alarm is not self._next:
            return
        now = int(self._env.now)
        served: list[Go] = []
        for tag, clock in sorted(self._due.items(), key=lambda item: item[1]):
            if clock * self._clock_ps <= now:
                del self._due[tag]
                served.append(self._waiting.pop(tag))
        if self._due or self.memory.pending:
            self._come_to(-(-now // self._clock_ps))
            self._sure = None
        for then in served:
            then(None)
        if alarm is self._next and (self._due or self.memory.pending):  # what goes on has asked for nothing
            self._plan_to_play_ahead()
