"""A DMA channel that fetches the tiles of one operand ahead, as far as its buffer has room."""

from collections import deque
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import simpy

from simulator.hardware.section import Operand
from simulator.machine.burst_runs import BurstRuns, request_of
from simulator.machine.dram_port import Runs
from simulator.machine.occupancy import Occupancy

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]
Process = Generator[simpy.Event, Any, None]


def no_tiles() -> Ints:
    """An array without entries."""
    return np.zeros(0, np.int64)


@dataclass(frozen=True)
class Moved:
    """Bytes that each of some requests moves over DRAM, in whole bursts: values, and metadata."""

    values: Ints = field(default_factory=no_tiles)
    metadata: Ints = field(default_factory=no_tiles)

    @staticmethod
    def nothing(requests: int) -> "Moved":
        """Requests that move nothing."""
        return Moved(np.zeros(requests, np.int64), np.zeros(requests, np.int64))

    def __add__(self, other: "Moved") -> "Moved":
        return Moved(self.values + other.values, self.metadata + other.metadata)

    def spread(self, places: Bools) -> "Moved":
        """As many requests as `places`, these where it is true and none elsewhere."""
        values, metadata = np.zeros((2, len(places)), np.int64)
        values[places], metadata[places] = self.values, self.metadata
        return Moved(values, metadata)

    def with_metadata(self, request: int, size: int) -> "Moved":
        """The same with `size` more bytes of metadata in one request."""
        metadata = self.metadata.copy()
        metadata[request] += size
        return Moved(self.values, metadata)


class Requests(Protocol):
    """The way to DRAM as those see it who only ask."""

    def start(self, stream: str, duration_ps: int, runs: Runs | None = None) -> simpy.Event | None:
        """Hands over a request and returns the event of its end, None where it moves nothing."""


@dataclass(frozen=True)
class OperandStream:
    """The tiles of one operand in the order in which they are needed.

    loads marks the steps that need a new tile, duration_ps is the time of each of those tiles on a plain bus, in order,
    runs what it asks of a memory system; tile_bytes the room it takes in the buffer. moves_on: whether a tile leaves
    the buffer for the PEs when its first step begins, and else when its last one has ended. known_before: whether what
    it takes along is known before its layer begins, as kernels are and feature maps are not. decode_ps: how long each
    tile keeps the decoder busy, from when it is asked for; empty where that never takes longer than the transfer.
    moved: what each of those tiles moves.
    """

    loads: Bools
    duration_ps: Ints
    slots: int
    tile_bytes: Ints = field(default_factory=no_tiles)
    runs: tuple[BurstRuns, ...] = ()
    moves_on: bool = False
    known_before: bool = False
    decode_ps: Ints = field(default_factory=no_tiles)
    moved: Moved = field(default_factory=Moved)


class Slots:
    """Counted permits, like the free places of a car park: `take` one, `give` one back.

    simpy.Container does the same with two events a call; most calls here need not wait, and then need no event.
    """

    __slots__ = ("_count", "_env", "_waiting")

    def __init__(self, env: simpy.Environment, count: int = 0) -> None:
        self._env = env
        self._count = count
        self._waiting: deque[simpy.Event] = deque()

    def take(self) -> simpy.Event | None:
        """Takes a permit at once and returns None, or returns the event that will hand one over."""
        if self._count:
            self._count -= 1
            return None
        event = simpy.Event(self._env)
        self._waiting.append(event)
        return event

    def give(self) -> None:
        """Hands a permit to whoever has waited longest, or keeps it."""
        if self._waiting:
            self._waiting.popleft().succeed()
        else:
            self._count += 1


class Gate(Protocol):
    """Keeps tiles out of a buffer until there is room for them."""

    def admit(self, number: int) -> simpy.Event | None:
        """None where tile `number` may take its place now, or else the event after which it may."""


class Loader:
    """Fetches the tiles of a stream, each as soon as one of the buffer's slots is free and the gate lets it in.

    ready: tiles that have arrived; free: slots; entered, left: how many tiles have taken and given up their places.
    changed is called whenever one does.
    """

    def __init__(
        self,
        env: simpy.Environment,
        dram: Requests,
        name: Operand,
        stream: OperandStream,
        prefetch: int,
        gate: Gate | None = None,
    ) -> None:
        self.name = name
        self.stream = stream
        self.ready = Slots(env)
        self.free = Slots(env, stream.slots)
        self.loads = stream.loads.tolist()
        last_steps = np.append(stream.loads[1:], True)
        self.leaves_before = self.loads if stream.moves_on else [False] * len(self.loads)
        self.leaves_after = [False] * len(self.loads) if stream.moves_on else last_steps.tolist()
        self.entered = self.left = 0
        self.changed: Callable[[], None] | None = None
        self._env, self._gate = env, gate
        self._decoded_until = 0
        self._decode = stream.decode_ps.tolist()
        self._note_entering: Callable[[], None] = _nothing
        self._note_leaving: Callable[[], None] = _nothing
        env.process(self._run(dram) if prefetch == 1 else self._run_ahead(dram, Slots(env, prefetch)))

    def note_in(self, held: Occupancy, *, early: bool = False) -> None:
        """From now on tiles are noted in `held`, those that are in their places already too. early: as kernels of a
        layer that has not begun."""
        self._note_entering = held.entering_early() if early else held.entering(self.name)
        self._note_leaving = _nothing if early else held.leaving(self.name)
        for _ in range(self.entered - self.left):
            self._note_entering()

    def release(self) -> None:
        """The array has finished with the oldest tile."""
        self.left += 1
        self._note_leaving()
        self.free.give()
        if self.changed is not None:
            self.changed()

    def _enter(self) -> None:
        self.entered += 1
        self._note_entering()
        if self.changed is not None:
            self.changed()

    def _run(self, dram: Requests) -> Process:
        name, runs, gate, free, ready = self.name, self.stream.runs, self._gate, self.free, self.ready
        for number, duration in enumerate(self.stream.duration_ps.tolist()):
            if (wait := free.take()) is not None:
                yield wait
            if gate is not None and (wait := gate.admit(number)) is not None:
                yield wait
            self._enter()
            end = dram.start(name, duration, request_of(runs, number) if runs else None)
            asked = int(self._env.now)
            if end is not None:
                yield end
            if self._decode and (late := self._decoding(number, asked)):
                yield self._env.timeout(late)
            ready.give()

    def _run_ahead(self, dram: Requests, asked: Slots) -> Process:
        for number, duration in enumerate(self.stream.duration_ps.tolist()):
            for permits in (self.free, asked):
                if (wait := permits.take()) is not None:
                    yield wait
            if self._gate is not None and (wait := self._gate.admit(number)) is not None:
                yield wait
            self._enter()
            end = dram.start(self.name, duration, runs_of(self.stream.runs, number))
            arrived = partial(self._arrived, asked, number, int(self._env.now))
            if end is None:
                arrived()
            else:
                assert end.callbacks is not None
                end.callbacks.append(arrived)

    def _arrived(self, asked: Slots, number: int, since: int, _: simpy.Event | None = None) -> None:
        asked.give()
        if self._decode and (wait := self._decoding(number, since)):
            decoded = self._env.timeout(wait)
            assert decoded.callbacks is not None
            decoded.callbacks.append(lambda _: self.ready.give())
        else:
            self.ready.give()

    def _decoding(self, number: int, asked: int) -> int:
        """How much longer the decoder needs for a tile that has come and was asked for then. It takes tiles one by one,
        and each while it comes."""
        end: int = max(int(self._env.now), max(asked, self._decoded_until) + self._decode[number])
        self._decoded_until = end
        return end - int(self._env.now)


def _nothing() -> None:
    pass


def runs_of(parts: tuple[BurstRuns, ...], number: int) -> Runs | None:
    """What request `number` asks of a memory system, None behind a plain bus."""
    return request_of(parts, number) if parts else None
