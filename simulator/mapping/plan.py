"""A whole network on an accelerator: one schedule per layer, and where each tensor lives."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from simulator.errors import InputError
from simulator.hardware.accelerator import Accelerator
from simulator.hardware.layout import LayoutName, lanes_of
from simulator.mapping.burst_waste import Lanes
from simulator.mapping.fusion import Stage, fused_stages
from simulator.mapping.loop_nest import LoopNest, loop_nest
from simulator.mapping.memory import Place, in_place_concatenations, places, tensor_layouts
from simulator.mapping.schedule import LayerSchedule
from simulator.mapping.tiling import best_schedule
from simulator.trace.records import Layer, Shape
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

    def stored_by(self, trace: Trace, index: int) -> Layer:
        """The layer whose OFM leaves the chip at the end of layer `index`: the last of its stages, or itself."""
        return trace.layers[self.stages[index][-1].layer if index in self.stages else index]

    def host(self, index: int) -> int:
        """The array layer as part of which layer `index` is done, or itself."""
        return next((host for host, stages in self.stages.items() if any(s.layer == index for s in stages)), index)


def plan(trace: Trace, accelerator: Accelerator, batch: int = 1) -> Schedule:
    """Tiles and loop order for every layer; layers of the same shape share one search.

    Raises InputError that names the layer when nothing fits into the buffers, or one that the layouts name in vain.
    """
    layouts = tensor_layouts(trace, accelerator.layout)
    stages = fused_stages(trace, accelerator)
    together = accelerator.fully_connected_batch
    frames = {index: together for index, layer in enumerate(trace.layers) if together > 1 and _one_position(layer)}
    fused = {stage.layer for behind in stages.values() for stage in behind}
    free, homes = in_place_concatenations(trace, accelerator), places(trace, accelerator)
    schedules: list[LayerSchedule | None] = []
    for index, layer in enumerate(trace.layers):
        if index in free or index in fused:
            schedules.append(None)
            continue
        nest = loop_nest(trace, layer, batch * frames.get(index, 1))
        stored = trace.layers[stages[index][-1].layer] if index in stages else layer
        try:
            schedules.append(best_schedule(nest, accelerator, _lanes(trace, layer, stored, nest, layouts, homes)))
        except InputError as error:
            raise InputError(f"layer '{layer.name}': {error}") from None
    return Schedule(schedules, batch, stages, frames)


def _one_position(layer: Layer) -> bool:
    return layer.operator == "linear" and layer.ofm[1:] == (1, 1)


def _lanes(
    trace: Trace, layer: Layer, stored: Layer, nest: LoopNest, layouts: list[LayoutName], homes: dict[int, Place]
) -> Lanes:
    """How a layer's tensors lie in memory, the OFM being that of `stored`. One that it sees in other rows counts as
    NCHW."""

    def lanes(tensor: int, seen: Shape) -> int:
        whole = homes[tensor].whole if tensor in homes else tensor
        own = trace.tensors[tensor].shape
        return lanes_of(layouts[tensor], trace.tensors[whole].shape[0]) if own[1:] == seen[1:] else 1

    inputs = tuple(lanes(tensor, seen) for tensor, seen in zip(layer.inputs, nest.inputs, strict=False))
    return Lanes(inputs, lanes(stored.output, stored.ofm))
