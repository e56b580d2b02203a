"""The SimPy processes of one layer: loaders, array and writer, playing precomputed costs against each other.

Loaders fetch tiles into buffer slots (two when double-buffered), the array takes a step when its tiles are there and an
OFM slot is free, the writer empties OFM slots. All share one DRAM bus.
"""

from collections.abc import Generator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import simpy

from simulator.machine.dram import DramPort

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]
Process = Generator[simpy.Event, Any, None]


@dataclass(frozen=True)
class OperandStream:
    """The tiles of one operand in the order in which they are needed.

    loads marks the steps that need a new tile, duration_ps is the DRAM time of each of those tiles in order.
    """

    loads: Bools
    duration_ps: Ints
    slots: int


@dataclass(frozen=True)
class OutputStream:
    """OFM tiles: opens and closes mark the steps that begin and end a visit to one.

    restore_ps is the DRAM time to fetch psums when a visit begins (0 for the first), store_ps the time to write psums
    or finished elements when it ends; post_ps is what the post-processing unit needs before that.
    """

    opens: Bools
    closes: Bools
    restore_ps: Ints
    store_ps: Ints
    post_ps: Ints
    slots: int


@dataclass(frozen=True)
class LayerWork:
    """Everything the event loop needs to know about a layer: one entry per step, times in picoseconds."""

    step_ps: Ints
    inputs: dict[str, OperandStream]
    output: OutputStream


@dataclass
class LayerTiming:
    """When the array worked and what it waited for. busy + waits + drain = end − start, exactly."""

    start_ps: int = 0
    end_ps: int = 0
    array_busy_ps: int = 0
    dram_busy_ps: int = 0
    waits_ps: dict[str, int] = field(default_factory=dict)
    drain_ps: int = 0


def run_layer(env: simpy.Environment, dram: DramPort, work: LayerWork) -> Generator[simpy.Event, Any, LayerTiming]:
    """Runs a layer from its first load to its last store and returns when its array worked and waited."""
    timing = LayerTiming(start_ps=int(env.now))
    dram_before = dram.busy_ps
    loaders = {name: _Loader(env, dram, stream) for name, stream in work.inputs.items() if stream.loads.any()}
    writer = _Writer(env, dram, work.output)
    yield env.process(_array(env, dram, work, loaders, writer, timing))
    array_end = int(env.now)
    yield writer.finished
    timing.end_ps = int(env.now)
    timing.drain_ps = timing.end_ps - array_end
    timing.dram_busy_ps = dram.busy_ps - dram_before
    return timing


class _Loader:
    """A DMA channel that fetches one operand's tiles ahead, as far as its buffer has free slots."""

    def __init__(self, env: simpy.Environment, dram: DramPort, stream: OperandStream) -> None:
        self.ready = simpy.Container(env)
        self.free = simpy.Container(env, init=stream.slots)
        self.loads = stream.loads.tolist()
        self._durations = stream.duration_ps.tolist()
        env.process(self._run(env, dram))

    def _run(self, env: simpy.Environment, dram: DramPort) -> Process:
        for duration in self._durations:
            yield self.free.get(1)
            yield from dram.transfer(duration)
            yield self.ready.put(1)


class _Writer:
    """Post-processing and the DMA channel that stores OFM tiles and spilled psums."""

    def __init__(self, env: simpy.Environment, dram: DramPort, stream: OutputStream) -> None:
        self.free = simpy.Container(env, init=stream.slots)
        self.full = simpy.Container(env)
        self.finished = env.process(self._run(env, dram, stream))

    def _run(self, env: simpy.Environment, dram: DramPort, stream: OutputStream) -> Process:
        for post, store in zip(stream.post_ps.tolist(), stream.store_ps.tolist(), strict=True):
            yield self.full.get(1)
            if post:
                yield env.timeout(post)
            yield from dram.transfer(store)
            yield self.free.put(1)


def _array(
    env: simpy.Environment,
    dram: DramPort,
    work: LayerWork,
    loaders: dict[str, _Loader],
    writer: _Writer,
    timing: LayerTiming,
) -> Process:
    waits = dict.fromkeys((*work.inputs, "ofm", "psum"), 0)
    opens, closes = work.output.opens.tolist(), work.output.closes.tolist()
    restores = iter(work.output.restore_ps.tolist())
    last = len(opens) - 1
    for step, duration in enumerate(work.step_ps.tolist()):
        if opens[step]:
            before = env.now
            yield writer.free.get(1)
            waits["ofm"] += int(env.now - before)
            restore = next(restores)
            if restore:
                before = env.now
                yield from dram.transfer(restore)
                waits["psum"] += int(env.now - before)
        for name, loader in loaders.items():
            if loader.loads[step]:
                before = env.now
                yield loader.ready.get(1)
                waits[name] += int(env.now - before)
        if duration:
            yield env.timeout(duration)
            timing.array_busy_ps += duration
        for loader in loaders.values():
            if step == last or loader.loads[step + 1]:
                yield loader.free.put(1)
        if closes[step]:
            yield writer.full.put(1)
    timing.waits_ps = waits
