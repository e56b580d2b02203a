"""The SimPy processes of one layer: loaders, array and writer, playing precomputed costs against each other.

Loaders fetch tiles into buffer slots (as many as the file's `buffering`), the array takes a step when its tiles are
there and an OFM slot is free, the writer empties OFM slots. All share one DRAM bus.
"""

from collections import deque
from collections.abc import Generator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import simpy

from simulator.hardware.buffer import Space
from simulator.hardware.section import Operand
from simulator.machine.burst_runs import BurstRuns, request_of
from simulator.machine.dram_port import Port, Runs
from simulator.machine.dram_use import DramUse
from simulator.machine.occupancy import Occupancy

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]
Process = Generator[simpy.Event, Any, None]


def _no_tiles() -> Ints:
    return np.zeros(0, np.int64)


@dataclass(frozen=True)
class OperandStream:
    """The tiles of one operand in the order in which they are needed.

    loads marks the steps that need a new tile, duration_ps is the time of each of those tiles on a plain bus, in order,
    runs what it asks of a memory system; tile_bytes the room it takes in the buffer. moves_on: whether a tile leaves
    the buffer for the PEs when its first step begins, and else when its last one has ended.
    """

    loads: Bools
    duration_ps: Ints
    slots: int
    tile_bytes: Ints = field(default_factory=_no_tiles)
    runs: tuple[BurstRuns, ...] = ()
    moves_on: bool = False


@dataclass(frozen=True)
class OutputStream:
    """OFM tiles: opens and closes mark the steps that begin and end a visit to one.

    restore_ps is the DRAM time to fetch psums when a visit begins (0 for the first), store_ps the time to write psums
    or finished elements when it ends (`spills` tells which); post_ps is what post-processing needs before; tile_bytes
    is the room that each visit takes in the buffer. restore_runs and store_runs: the same requests for a memory system.
    fetch_ps and fetch_runs: what post-processing reads from memory for a tile, at the same time; empty for nothing.
    """

    opens: Bools
    closes: Bools
    restore_ps: Ints
    store_ps: Ints
    post_ps: Ints
    slots: int
    spills: Bools
    tile_bytes: Ints = field(default_factory=_no_tiles)
    restore_runs: tuple[BurstRuns, ...] = ()
    store_runs: tuple[BurstRuns, ...] = ()
    fetch_ps: Ints = field(default_factory=_no_tiles)
    fetch_runs: tuple[BurstRuns, ...] = ()

    def names(self) -> list[str]:
        """The stream that each store belongs to: finished elements ("ofm") or psums."""
        return ["psum" if spill else "ofm" for spill in self.spills.tolist()]


@dataclass(frozen=True)
class LayerWork:
    """Everything the event loop needs to know about a layer: one entry per step, times in picoseconds.

    spaces are the parts of the buffers that its tiles must fit into, none for no check. prefetch: tiles that a loader
    may have asked for at a time.
    """

    step_ps: Ints
    inputs: dict[Operand, OperandStream]
    output: OutputStream
    layer: str = ""
    spaces: Sequence[Space] = ()
    prefetch: int = 1


@dataclass
class LayerTiming:
    """When the array worked and what it waited for. busy + waits + drain = end − start, exactly.

    Busy are the steps, with the cycles in which their buffers hold the array up. A wait is put down to the streams
    (ifm, kernel, ofm, psum) that the DRAM bus served meanwhile, and time in which the bus stood still to what the array
    was waiting for. peak_bytes: the most that each physical buffer held. dram: what a memory
    system did meanwhile, None for a plain bus.
    """

    start_ps: int = 0
    end_ps: int = 0
    array_busy_ps: int = 0
    dram_busy_ps: int = 0
    waits_ps: dict[str, int] = field(default_factory=dict)
    drain_ps: int = 0
    peak_bytes: dict[Operand, int] = field(default_factory=dict)
    dram: DramUse | None = None


def run_layer(env: simpy.Environment, dram: Port, work: LayerWork) -> Generator[simpy.Event, Any, LayerTiming]:
    """Runs a layer from its first load to its last store and returns when its array worked and waited."""
    timing = LayerTiming(start_ps=int(env.now))
    dram_before = dram.busy_ps
    held = Occupancy(env)
    loaders = {name: _Loader(env, dram, held, name, stream, work.prefetch) for name, stream in work.inputs.items()}
    writer = _Writer(env, dram, held, work.output)
    yield env.process(_array(env, dram, work, loaders, writer, timing))
    array_end = int(env.now)
    yield writer.finished
    timing.end_ps = int(env.now)
    timing.drain_ps = timing.end_ps - array_end
    timing.dram_busy_ps = dram.busy_ps - dram_before
    tile_bytes = {name: stream.tile_bytes for name, stream in work.inputs.items()} | {"ofm": work.output.tile_bytes}
    timing.peak_bytes = held.check(work.layer, work.spaces, tile_bytes) if work.spaces else {}
    return timing


class Slots:
    """Counted permits, like the free places of a car park: `take` one, `give` one back.

    simpy.Container does the same with two events a call; most calls here need not wait, and then need no event.
    """

    def __init__(self, env: simpy.Environment, count: int = 0) -> None:
        self._env = env
        self._count = count
        self._waiting: deque[simpy.Event] = deque()

    def take(self) -> simpy.Event | None:
        """Takes a permit at once and returns None, or returns the event that will hand one over."""
        if self._count:
            self._count -= 1
            return None
        event = self._env.event()
        self._waiting.append(event)
        return event

    def give(self) -> None:
        """Hands a permit to whoever has waited longest, or keeps it."""
        if self._waiting:
            self._waiting.popleft().succeed()
        else:
            self._count += 1


class _Loader:
    """A DMA channel that fetches one operand's tiles ahead, as far as its buffer has free slots."""

    def __init__(
        self,
        env: simpy.Environment,
        dram: Port,
        held: Occupancy,
        name: Operand,
        stream: OperandStream,
        prefetch: int,
    ) -> None:
        self.name = name
        self.ready = Slots(env)
        self.free = Slots(env, stream.slots)
        self.loads = stream.loads.tolist()
        last_steps = np.append(stream.loads[1:], True)
        self.leaves_before = self.loads if stream.moves_on else [False] * len(self.loads)
        self.leaves_after = [False] * len(self.loads) if stream.moves_on else last_steps.tolist()
        self._stream = stream
        self._enter, self.leave = held.entering(name), held.leaving(name)
        env.process(self._run(dram) if prefetch == 1 else self._run_ahead(dram, Slots(env, prefetch)))

    def _run(self, dram: Port) -> Process:
        for number, duration in enumerate(self._stream.duration_ps.tolist()):
            if (wait := self.free.take()) is not None:
                yield wait
            self._enter()
            yield from dram.transfer(self.name, duration, _runs(self._stream.runs, number))
            self.ready.give()

    def _run_ahead(self, dram: Port, asked: Slots) -> Process:
        for number, duration in enumerate(self._stream.duration_ps.tolist()):
            for permits in (self.free, asked):
                if (wait := permits.take()) is not None:
                    yield wait
            self._enter()
            end = dram.start(self.name, duration, _runs(self._stream.runs, number))
            if end is None:
                self._arrived(asked)
            else:
                assert end.callbacks is not None
                end.callbacks.append(lambda _: self._arrived(asked))

    def _arrived(self, asked: Slots) -> None:
        self.ready.give()
        asked.give()


def _runs(parts: tuple[BurstRuns, ...], number: int) -> Runs | None:
    return request_of(parts, number) if parts else None


class _Writer:
    """Post-processing and the DMA channel that stores OFM tiles and spilled psums."""

    def __init__(self, env: simpy.Environment, dram: Port, held: Occupancy, stream: OutputStream) -> None:
        self.free = Slots(env, stream.slots)
        self.full = Slots(env)
        self.enter, self._leave = held.entering("ofm"), held.leaving("ofm")
        self.finished = env.process(self._run(env, dram, stream))

    def _run(self, env: simpy.Environment, dram: Port, stream: OutputStream) -> Process:
        fetches = stream.fetch_ps.tolist() or [0] * len(stream.post_ps)
        costs = zip(stream.names(), stream.post_ps.tolist(), fetches, stream.store_ps.tolist(), strict=True)
        for number, (name, post, fetch, store) in enumerate(costs):
            if (wait := self.full.take()) is not None:
                yield wait
            runs = _runs(stream.fetch_runs, number)
            fetched = dram.start("ifm", fetch, runs) if fetch or runs else None
            if post:
                yield env.timeout(post)
            if fetched is not None:
                yield fetched
            yield from dram.transfer(name, store, _runs(stream.store_runs, number))
            self._leave()
            self.free.give()


def _array(
    env: simpy.Environment,
    dram: Port,
    work: LayerWork,
    loaders: dict[Operand, _Loader],
    writer: _Writer,
    timing: LayerTiming,
) -> Process:
    waits = dict.fromkeys(("ifm", "kernel", "ofm", "psum"), 0)
    opens, closes = work.output.opens.tolist(), work.output.closes.tolist()
    restores = enumerate(work.output.restore_ps.tolist())
    for step, duration in enumerate(work.step_ps.tolist()):
        if opens[step]:
            if (wait := writer.free.take()) is not None:
                yield from _charged(env, dram, "ofm", waits, wait)
            writer.enter()
            number, restore = next(restores)
            runs = _runs(work.output.restore_runs, number)
            if (restore or runs) and (wait := dram.start("psum", restore, runs)) is not None:
                yield from _charged(env, dram, "psum", waits, wait)
        for name, loader in loaders.items():
            if loader.loads[step] and (wait := loader.ready.take()) is not None:
                yield from _charged(env, dram, name, waits, wait)
        for loader in loaders.values():
            if loader.leaves_before[step]:
                loader.leave()
                loader.free.give()
        if duration:
            yield env.timeout(duration)
            timing.array_busy_ps += duration
        for loader in loaders.values():
            if loader.leaves_after[step]:
                loader.leave()
                loader.free.give()
        if closes[step]:
            writer.full.give()
    timing.waits_ps = waits


def _charged(env: simpy.Environment, dram: Port, cause: str, waits: dict[str, int], event: simpy.Event) -> Process:
    """Waits for `event` and adds the time to `waits`: what the bus served meanwhile, the rest to `cause`."""
    before, start = dram.served_ps(), int(env.now)
    yield event
    waited = rest = int(env.now) - start
    if not waited:
        return
    shares = {stream: served - before.get(stream, 0) for stream, served in dram.served_ps().items()}
    moved = sum(shares.values())
    for stream, share in shares.items():
        charged = share if moved <= waited else share * waited // moved
        waits[stream] += charged
        rest -= charged
    waits[cause] += rest
