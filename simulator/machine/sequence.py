"""The layers of a network one after another, on one DRAM."""

import dataclasses
from collections.abc import Generator, Mapping
from dataclasses import dataclass
from typing import Any

import simpy

from simulator.hardware.accelerator import Accelerator
from simulator.hardware.section import Operand
from simulator.machine.batch import Batch
from simulator.machine.dram_port import dram_port
from simulator.machine.early_kernels import EarlyKernels, KernelPrefetch, prefetch_order
from simulator.machine.layer import PreparedLayer, prepare_layer
from simulator.machine.on_chip import room_left
from simulator.machine.pipeline import run_layer
from simulator.machine.recording import LayerRecord, layer_record
from simulator.machine.results import LayerResult
from simulator.machine.tile_room import tile_room
from simulator.machine.watch import LayerWatch
from simulator.mapping.plan import Schedule
from simulator.mapping.schedule import LayerSchedule


@dataclass(frozen=True)
class _KernelRoom:
    """Bytes that the other operands' tiles, and feature maps that stay, leave to kernels while a layer runs, and what
    its own kernel tiles take at most."""

    left_bytes: int
    own_bytes: int


class LayerSequence:
    """Runs the layers in order, each from its first load to its last store.

    With kernel prefetch, the next layers that have kernels are prepared while one before them runs. records: what
    happened when in each layer that moved something, where that is to be recorded.
    """

    def __init__(self, env: simpy.Environment, batch: Batch, schedule: Schedule, *, record: bool = False) -> None:
        self._env = env
        self._batch = batch
        self._schedule = schedule
        self._dram = dram_port(env, batch.accelerator)
        self._prepared: dict[int, PreparedLayer] = {}
        self._early: dict[int, EarlyKernels] = {}
        self._repeated: dict[int, Batch] = {}
        self._room: dict[int, _KernelRoom] = {}
        self._record = record
        self._watches: dict[int, LayerWatch] = {}
        self.records: list[LayerRecord] = []

    def run(self, results: list[LayerResult]) -> Generator[simpy.Event, Any, None]:
        """All layers; adds the counters of each to `results`."""
        batch, schedule = self._batch, self._schedule
        moving = [index for index, layer in enumerate(schedule.layers) if layer is not None]
        first, last = (moving[0], moving[-1]) if moving else (-1, -1)
        for index, layer in enumerate(schedule.layers):
            if layer is None:
                host = schedule.host(index)
                into = batch.trace.layers[host].name if host != index else ""
                results.append(LayerResult.nothing(batch.trace.layers[index], into))
            else:
                prepared, coming = self._prepare(index), self._coming(index)
                work = prepared.work
                if index == first:
                    work = dataclasses.replace(work, overhead_ps=work.overhead_ps + batch.accelerator.run_overhead)
                timing = yield from run_layer(
                    self._env, self._dram, work, self._early.pop(index, None), coming, self._watch(index)
                )
                timing.dram = self._dram.use(drained=index == last)
                batch.residence.check(index, prepared.layer.name, room_left(batch, timing.peak_bytes))
                frames = schedule.frames.get(index, 1)
                results.append(dataclasses.replace(prepared.result(batch.accelerator, timing), frames=frames))
                if (watch := self._watches.pop(index, None)) is not None:
                    self.records.append(layer_record(results[-1], work, prepared.step_cycles, watch))
                del self._prepared[index]
            for each in (batch, *self._repeated.values()):
                each.release(index)

    def _watch(self, index: int) -> LayerWatch | None:
        """Who notes what happens in layer `index`, if anybody does."""
        if self._record and index not in self._watches:
            self._watches[index] = LayerWatch(self._env, self._dram)
        return self._watches.get(index)

    def _prepare(self, index: int) -> PreparedLayer:
        if index not in self._prepared:
            layer = self._schedule.layers[index]
            assert layer is not None
            stages = self._schedule.stages.get(index, ())
            self._prepared[index] = prepare_layer(self._batch_of(index), index, layer, stages)
        return self._prepared[index]

    def _batch_of(self, index: int) -> Batch:
        """The batch, as many times as layer `index` runs for at once."""
        frames = self._schedule.frames.get(index, 1)
        if frames == 1:
            return self._batch
        if frames not in self._repeated:
            self._repeated[frames] = self._batch.repeated(frames)
        return self._repeated[frames]

    def _coming(self, index: int) -> KernelPrefetch | None:
        """The kernels that may come while layer `index` runs: those of the next layers that have any, as long as it is
        known before what they are."""
        accelerator, layers = self._batch.accelerator, self._schedule.layers
        if not accelerator.dma.prefetch_kernels:
            return None
        behind = [other for other in range(index + 1, len(layers)) if (of := layers[other]) and _has_own_kernels(of)]
        order = prefetch_order(
            behind,
            lambda layer: self._kernels_of(layer).single,
            lambda layer: self._prepare(layer).work.inputs["kernel"].known_before,
            accelerator.dma.prefetch_layers,
        )
        if not order:
            return None
        until = [other for other in range(index, order[-1]) if layers[other]]
        return KernelPrefetch(
            index,
            {layer: self._kernels_of(layer) for layer in order},
            {other: self._rooms(other).left_bytes for other in until},
            {other: self._rooms(other).own_bytes for other in until},
        )

    def _kernels_of(self, index: int) -> EarlyKernels:
        if index not in self._early:
            stream = self._prepare(index).work.inputs["kernel"]
            watch = self._watch(index)
            port = self._dram if watch is None else watch.loading
            self._early[index] = EarlyKernels(self._env, port, stream, self._batch.accelerator.dma.prefetch)
        return self._early[index]

    def _rooms(self, index: int) -> _KernelRoom:
        """Looked at again and again, by all layers before that may prefetch: worked out once."""
        if index not in self._room:
            layer = self._schedule.layers[index]
            assert layer is not None
            held = self._batch.residence.held_bytes(index)
            self._room[index] = _kernel_room(self._batch.accelerator, tile_room(layer, self._batch.accelerator), held)
        return self._room[index]


def _kernel_room(accelerator: Accelerator, used: Mapping[Operand, int], held_bytes: int) -> _KernelRoom:
    """used: bytes that the tiles of a layer take at most; held_bytes: what feature maps that stay take meanwhile."""
    buffers = accelerator.buffers
    home = buffers.home("kernel")

    def beside(operands: tuple[Operand, ...]) -> int:
        return sum(used[operand] for operand in operands if operand != "kernel")

    space = next(space for space in buffers.spaces if "kernel" in space.operands)
    sharing = tuple(operand for operand in used if buffers.home(operand) == home)
    left = (buffers.of("kernel").capacity or 0) - beside(sharing)
    if accelerator.on_chip.capacity is None and len(sharing) > 1:
        left -= held_bytes
    return _KernelRoom(min(left, space.capacity - beside(space.operands)), used["kernel"])


def _has_own_kernels(schedule: LayerSchedule) -> bool:
    """Whether a layer has kernels that lie in DRAM from the beginning."""
    return schedule.nest.unit == "array" and not schedule.nest.two_activations
