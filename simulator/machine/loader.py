"""A DMA channel that fetches the tiles of one operand ahead, as far as its buffer has room."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Protocol

import numpy as np
import numpy.typing as npt
import simpy

from simulator.hardware.section import Operand
from simulator.machine.burst_runs import BurstRuns, request_of
from simulator.machine.dram_port import Runs
from simulator.machine.occupancy import Occupancy
from simulator.machine.task import Alarm, Go, Slots, Steps, Task

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]


def no_tiles() -> Ints:
    """An array without entries."""
    return np.zeros(0, np.int64)


@dataclass(frozen=True, eq=False)
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

    def start(self, stream: str, duration_ps: int, runs: Runs | None, then: Go) -> bool:
        """Hands over a request and calls `then` at its end; False, and no call, where it moves nothing."""


@dataclass(frozen=True, eq=False)
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

    @property
    def leaves_before(self) -> Bools:
        """The steps with whose beginning a tile leaves."""
        return self.loads if self.moves_on else np.zeros_like(self.loads)

    @property
    def leaves_after(self) -> Bools:
        """The steps with whose end a tile leaves: the last ones with it."""
        return np.zeros_like(self.loads) if self.moves_on else np.append(self.loads[1:], True)


class Gate(Protocol):
    """Keeps tiles out of a buffer until there is room for them."""

    def admit(self, number: int, go: Go) -> bool:
        """Whether tile `number` may take its place now; if not, `go` is called once it may."""


class Loader(Task):
    """Fetches the tiles of a stream, each as soon as one of the buffer's slots is free and the gate lets it in.

    prefetch: tiles that may be under way at a time. ready: tiles that have arrived; free: slots; entered, left: how
    many tiles have taken and given up their places. changed is called whenever one does.
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
        self.ready = Slots()
        self.free = Slots(stream.slots)
        self.entered = self.left = 0
        self.changed: Callable[[], None] | None = None
        self._env, self._dram, self._gate = env, dram, gate
        self._prefetch = prefetch
        self._decoded_until = 0
        self._decode = stream.decode_ps.tolist()
        self._note_entering: Callable[[], None] = _nothing
        self._note_leaving: Callable[[], None] = _nothing

    def note_in(self, held: Occupancy, *, early: bool = False) -> None:
        """From now on tiles are noted in `held`, those that are in their places already too. early: as kernels of a
        layer that has not begun."""
        self._note_entering = held.entering_early() if early else held.entering(self.name)
        self._note_leaving = _nothing if early else held.leaving(self.name)
        for _ in range(self.entered - self.left):
            self._note_entering()

    def leave(self) -> None:
        """The array has finished with the oldest tile, whose place `free.give` then hands on."""
        self.left += 1
        self._note_leaving()
        if self.changed is not None:
            self.changed()

    def _fetch(self, number: int, duration_ps: int, then: Go) -> bool:
        """Tile `number` takes its place and is asked for; False where that moves nothing."""
        self.entered += 1
        self._note_entering()
        moves = self._dram.start(self.name, duration_ps, runs_of(self.stream.runs, number), then)
        if self.changed is not None:
            self.changed()
        return moves

    def _run(self) -> Steps:
        return self._one_by_one() if self._prefetch == 1 else self._ahead()

    def _one_by_one(self) -> Steps:
        go, gate, take, arrived = self.go, self._gate, self.free.take, self.ready.give
        for number, duration in enumerate(self.stream.duration_ps.tolist()):
            if not take(go):
                yield
            if gate is not None and not gate.admit(number, go):
                yield
            asked = int(self._env.now)
            if self._fetch(number, duration, go):
                yield
            if self._decode and (late := self._decoding(number, asked)):
                Alarm(self._env, late, go)
                yield
            arrived()
        yield

    def _ahead(self) -> Steps:
        go, gate, asked = self.go, self._gate, Slots(self._prefetch)
        for number, duration in enumerate(self.stream.duration_ps.tolist()):
            for permits in (self.free, asked):
                if not permits.take(go):
                    yield
            if gate is not None and not gate.admit(number, go):
                yield
            arrived = partial(self._arrived, asked, number, int(self._env.now))
            if not self._fetch(number, duration, arrived):
                arrived()
        yield

    def _arrived(self, asked: Slots, number: int, since: int, _: object = None) -> None:
        if self._decode and (wait := self._decoding(number, since)):
            Alarm(self._env, wait, self.ready.give)
        else:
            self.ready.give()
        asked.give()

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
