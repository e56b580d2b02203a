"""The SimPy processes of one layer: loaders, array and writer, playing precomputed costs against each other.

Loaders fetch tiles into buffer slots (as many as the file's `buffering`), the array takes a step when its tiles are
there and an OFM slot is free, the writer empties OFM slots. All share one DRAM bus.
"""

from collections.abc import Generator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import simpy

from simulator.hardware.buffer import Space
from simulator.hardware.section import Operand
from simulator.machine.burst_runs import BurstRuns
from simulator.machine.dram_port import Port
from simulator.machine.dram_use import DramUse
from simulator.machine.early_kernels import EarlyKernels, KernelPrefetch
from simulator.machine.loader import Loader, Moved, OperandStream, Requests, no_tiles, runs_of
from simulator.machine.occupancy import Occupancy
from simulator.machine.task import Alarm, Slots, Steps, Task
from simulator.machine.waits import Waits
from simulator.machine.watch import LayerWatch

__all__ = ["LayerTiming", "LayerWork", "OperandStream", "OutputStream", "run_layer"]

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class OutputStream:
    """OFM tiles: opens and closes mark the steps that begin and end a visit to one.

    restore_ps is the DRAM time to fetch psums when a visit begins (0 for the first), store_ps the time to write psums
    or finished elements when it ends (`spills` tells which); post_ps is what post-processing needs before; tile_bytes
    is the room that each visit takes in the buffer. restore_runs and store_runs: the same requests for a memory system.
    fetch_ps and fetch_runs: what post-processing reads from memory for a tile, at the same time; empty for nothing.
    encode_ps: how long each tile keeps the encoder busy, from when its visit begins; empty where that never takes
    longer than all else. restored, stored, fetched: what each of these requests moves.
    """

    opens: Bools
    closes: Bools
    restore_ps: Ints
    store_ps: Ints
    post_ps: Ints
    slots: int
    spills: Bools
    tile_bytes: Ints = field(default_factory=no_tiles)
    restore_runs: tuple[BurstRuns, ...] = ()
    store_runs: tuple[BurstRuns, ...] = ()
    fetch_ps: Ints = field(default_factory=no_tiles)
    fetch_runs: tuple[BurstRuns, ...] = ()
    encode_ps: Ints = field(default_factory=no_tiles)
    restored: Moved = field(default_factory=Moved)
    stored: Moved = field(default_factory=Moved)
    fetched: Moved = field(default_factory=Moved)

    def names(self) -> list[str]:
        """The stream that each store belongs to: finished elements ("ofm") or psums."""
        return ["psum" if spill else "ofm" for spill in self.spills.tolist()]


@dataclass(frozen=True, eq=False)
class LayerWork:
    """Everything the event loop needs to know about a layer: one entry per step, times in picoseconds.

    spaces are the parts of the buffers that its tiles must fit into, none for no check. prefetch: tiles that a loader
    may have asked for at a time. overhead_ps passes before its first load.
    """

    step_ps: Ints
    inputs: dict[Operand, OperandStream]
    output: OutputStream
    layer: str = ""
    spaces: Sequence[Space] = ()
    prefetch: int = 1
    overhead_ps: int = 0


@dataclass
class LayerTiming:
    """When the array worked and what it waited for. overhead + busy + waits + drain = end − start, exactly.

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
    overhead_ps: int = 0
    peak_bytes: dict[Operand, int] = field(default_factory=dict)
    dram: DramUse | None = None


def run_layer(
    env: simpy.Environment,
    dram: Port,
    work: LayerWork,
    own: EarlyKernels | None = None,
    coming: KernelPrefetch | None = None,
    watch: LayerWatch | None = None,
) -> Generator[simpy.Event, Any, LayerTiming]:
    """Runs a layer from its first load to its last store and returns when its array worked and waited.

    own: its kernels where their first tile may have been fetched before; coming: those of later layers, whose first
    tiles may come meanwhile. watch: who notes what happens when.
    """
    loading, leaving = (dram, dram) if watch is None else (watch.loading, watch.leaving)
    timing = LayerTiming(start_ps=int(env.now), overhead_ps=work.overhead_ps)
    dram_before = dram.busy_ps
    if work.overhead_ps:
        yield env.timeout(work.overhead_ps)
    held = Occupancy(env)
    loaders = {
        name: own.loader if own is not None and name == "kernel" else Loader(env, loading, name, stream, work.prefetch)
        for name, stream in work.inputs.items()
    }
    for loader in loaders.values():
        loader.note_in(held)
    writer = _Writer(env, leaving, held, work.output)
    array = _Array(env, dram, work, loaders, writer, timing, watch)
    if coming is not None:
        coming.follow(loaders, held)
    for loader in loaders.values():
        if own is None or loader is not own.loader:
            loader.begin()
    writer.begin()
    array.begin()
    if own is not None:
        own.begin()
    yield array.finished
    array_end = int(env.now)
    yield writer.finished
    timing.end_ps = int(env.now)
    timing.drain_ps = timing.end_ps - array_end
    timing.dram_busy_ps = dram.busy_ps - dram_before
    tile_bytes = {name: stream.tile_bytes for name, stream in work.inputs.items()} | {"ofm": work.output.tile_bytes}
    early_bytes = None if coming is None else coming.there_bytes
    timing.peak_bytes = held.check(work.layer, work.spaces, tile_bytes, early_bytes) if work.spaces else {}
    if watch is not None:
        watch.in_buffers = held.in_buffers
    return timing


class _Writer(Task):
    """Post-processing, the encoder and the DMA channel that stores OFM tiles and spilled psums.

    began: when the array began each visit, kept for the encoder, which codes elements as they are made, tile by tile.
    """

    def __init__(self, env: simpy.Environment, dram: Requests, held: Occupancy, stream: OutputStream) -> None:
        self.free = Slots(stream.slots)
        self.full = Slots()
        self.enter, self._leave = held.entering("ofm"), held.leaving("ofm")
        self.began: list[int] | None = [] if len(stream.encode_ps) else None
        self.finished = env.event()
        self._env, self._dram, self._stream = env, dram, stream

    def _run(self) -> Steps:
        go, env, stream, start = self.go, self._env, self._stream, self._dram.start
        fetches = stream.fetch_ps.tolist() or [0] * len(stream.post_ps)
        encodes, encoded_until = stream.encode_ps.tolist(), 0
        costs = zip(stream.names(), stream.post_ps.tolist(), fetches, stream.store_ps.tolist(), strict=True)
        for number, (name, post, fetch, store) in enumerate(costs):
            if not self.full.take(go):
                yield
            runs, fetched = runs_of(stream.fetch_runs, number), Slots()
            fetching = bool(fetch or runs) and start("ifm", fetch, runs, fetched.give)
            if post:
                Alarm(env, post, go)
                yield
            if fetching and not fetched.take(go):
                yield
            if self.began is not None and encodes[number]:
                encoded_until = max(int(env.now), max(self.began[number], encoded_until) + encodes[number])
                if encoded_until > env.now:
                    Alarm(env, encoded_until - int(env.now), go)
                    yield
            if start(name, store, runs_of(stream.store_runs, number), go):
                yield
            self._leave()
            self.free.give()
        self.finished.succeed()
        yield


class _Array(Task):
    """The steps, one after another, and what each waits for."""

    def __init__(
        self,
        env: simpy.Environment,
        dram: Port,
        work: LayerWork,
        loaders: dict[Operand, Loader],
        writer: _Writer,
        timing: LayerTiming,
        watch: LayerWatch | None,
    ) -> None:
        self.finished = env.event()
        self._env, self._watch, self._waits = env, watch, Waits(env, dram)
        self._restoring: Requests = dram if watch is None else watch.restoring
        self._work, self._loaders, self._writer, self._timing = work, loaders, writer, timing

    def _run(self) -> Steps:
        go, env, waits = self.go, self._env, self._waits
        output, writer, work = self._work.output, self._writer, self._work
        free, enter, full = writer.free, writer.enter, writer.full
        loaders = list(self._loaders.values())
        restores = enumerate(output.restore_ps.tolist())
        steps = zip(
            work.step_ps.tolist(),
            output.opens.tolist(),
            output.closes.tolist(),
            _at_each_step(loaders, [loader.stream.loads for loader in loaders]),
            _at_each_step(loaders, [loader.stream.leaves_before for loader in loaders]),
            _at_each_step(loaders, [loader.stream.leaves_after for loader in loaders]),
            strict=True,
        )
        for duration, opens, closes, needed, before, after in steps:
            if opens:
                if not free.take(go):
                    waits.begin()
                    yield
                    waits.end("ofm")
                enter()
                if writer.began is not None:
                    writer.began.append(int(env.now))
                number, restore = next(restores)
                runs = runs_of(output.restore_runs, number)
                if (restore or runs) and self._restoring.start("psum", restore, runs, go):
                    waits.begin()
                    yield
                    waits.end("psum")
            for loader in needed:
                if not loader.ready.take(go):
                    waits.begin()
                    yield
                    waits.end(loader.name)
            if before:
                _release(before)
            if duration:
                Alarm(env, duration, go)
                yield
            if after:
                _release(after)
            if closes:
                full.give()
        self._timing.array_busy_ps = sum(work.step_ps.tolist())
        self._timing.waits_ps = waits.charged_ps(self._watch)
        self.finished.succeed()
        yield


def _at_each_step(loaders: Sequence[Loader], marked: Sequence[Bools]) -> list[tuple[Loader, ...]]:
    """For each step, the loaders whose own array of `marked` is true there."""
    codes = np.sum([steps.astype(np.int64) << number for number, steps in enumerate(marked)], axis=0)
    several = [
        tuple(loader for number, loader in enumerate(loaders) if code >> number & 1)
        for code in range(1 << len(loaders))
    ]
    return [several[code] for code in codes.tolist()]


def _release(leaving: Sequence[Loader]) -> None:
    """The oldest tile of each leaves, all of them before the first place is taken again."""
    for loader in leaving:
        loader.leave()
    for loader in leaving:
        loader.free.give()
