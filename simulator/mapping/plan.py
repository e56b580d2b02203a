"""A whole network on an accelerator: one schedule per layer, and where each tensor lives."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field

from simulator.errors import InputError
from simulator.hardware.accelerator import Accelerator
from simulator.mapping.fixed_tiles import check_layer_names, fixed_tiles
from simulator.mapping.fusion import Stage, fused_stages
from simulator.mapping.loop_nest import LoopNest, loop_nest
from simulator.mapping.memory import in_place_concatenations
from simulator.mapping.schedule import LayerSchedule
from simulator.mapping.tensor_storage import TensorStorage
from simulator.mapping.tiling import best_schedule
from simulator.trace.records import Layer
from simulator.trace.trace import Trace


@dataclass(frozen=True)
class Schedule:
    """The plan of a network.

    layers[i] is layer i's, None for one that moves nothing: a concatenation in place, or what is done on the way out of
    an array layer. stages: what follows each array layer, by its index. frames: how many times the batch
    a layer runs for at once, where that is more than once, by its index.
    """

    layers: list[LayerSchedule | None]
    batch: int
    stages: Mapping[int, tuple[Stage, ...]] = field(default_factory=dict)
    frames: Mapping[int, int] = field(default_factory=dict)

    def host(self, index: int) -> int:
        """The array layer as part of which layer `index` is done, or itself."""
        return next((host for host, stages in self.stages.items() if any(s.layer == index for s in stages)), index)


def plan(trace: Trace, accelerator: Accelerator, batch: int = 1) -> Schedule:
    """Tiles and loop order for every layer; layers of the same shape share one search.

    Raises InputError that names the layer when nothing fits into the buffers or tiles are fixed that cannot be, and for
    layers that layouts or fixed tiles name in vain.
    """
    check_layer_names(trace, accelerator.mapping)
    tensors, free = TensorStorage(trace, accelerator), in_place_concatenations(trace, accelerator)
    stages = fused_stages(trace, accelerator)
    together = accelerator.fully_connected_batch
    frames = {index: together for index, layer in enumerate(trace.layers) if together > 1 and _one_position(layer)}
    fused = {stage.layer for behind in stages.values() for stage in behind}
    schedules: list[LayerSchedule | None] = []
    for index, layer in enumerate(trace.layers):
        if index in free or index in fused:
            schedules.append(None)
            continue
        frames_of = batch * frames.get(index, 1)
        stored = trace.layers[stages[index][-1].layer] if index in stages else layer
        try:
            ways = []
            for nest in _ways(loop_nest(trace, layer, frames_of, winograd=accelerator.array.winograd)):
                fixed, storage = fixed_tiles(layer, nest, accelerator), tensors.of_layer(layer, nest, stored)
                ways.append(best_schedule(nest, accelerator, storage, fixed))
            schedules.append(min(ways, key=lambda way: way.estimated_cycles))
        except InputError as error:
            raise InputError(f"layer '{layer.name}': {error}") from None
    return Schedule(schedules, batch, stages, frames)


def _ways(nest: LoopNest) -> list[LoopNest]:
    """The nests that a layer may run as: with Winograd, whose kernels are larger, or without."""
    return [nest, dataclasses.replace(nest, winograd=False)] if nest.winograd else [nest]


def _one_position(layer: Layer) -> bool:
    return layer.operator == "linear" and layer.ofm[1:] == (1, 1)
