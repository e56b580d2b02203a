"""A whole network on an accelerator: one schedule per layer, and where each tensor lives."""

from dataclasses import dataclass

from simulator.errors import InputError
from simulator.hardware.accelerator import Accelerator
from simulator.hardware.layout import LayoutName, lanes_of
from simulator.mapping.burst_waste import Lanes
from simulator.mapping.loop_nest import LoopNest, loop_nest
from simulator.mapping.memory import Place, in_place_concatenations, places, tensor_layouts
from simulator.mapping.schedule import LayerSchedule
from simulator.mapping.tiling import best_schedule
from simulator.trace.records import Layer, Shape
from simulator.trace.trace import Trace


@dataclass(frozen=True)
class Schedule:
    """The plan of a network: layers[i] is layer i's, None for a layer that moves nothing (a concatenation in place)."""

    layers: list[LayerSchedule | None]
    batch: int


def plan(trace: Trace, accelerator: Accelerator, batch: int = 1) -> Schedule:
    """Tiles and loop order for every layer; layers of the same shape share one search.

    Raises InputError that names the layer when nothing fits into the buffers, or one that the layouts name in vain.
    """
    layouts = tensor_layouts(trace, accelerator.layout)
    free, homes = in_place_concatenations(trace, accelerator), places(trace, accelerator)
    schedules: list[LayerSchedule | None] = []
    for index, layer in enumerate(trace.layers):
        if index in free:
            schedules.append(None)
            continue
        nest = loop_nest(trace, layer, batch, winograd=accelerator.array.winograd)
        try:
            schedules.append(best_schedule(nest, accelerator, _lanes(trace, layer, nest, layouts, homes)))
        except InputError as error:
            raise InputError(f"layer '{layer.name}': {error}") from None
    return Schedule(schedules, batch)


def _lanes(trace: Trace, layer: Layer, nest: LoopNest, layouts: list[LayoutName], homes: dict[int, Place]) -> Lanes:
    """How a layer's tensors lie in memory. A tensor that it sees in other rows counts as NCHW."""

    def lanes(tensor: int, seen: Shape) -> int:
        whole = homes[tensor].whole if tensor in homes else tensor
        own = trace.tensors[tensor].shape
        return lanes_of(layouts[tensor], trace.tensors[whole].shape[0]) if own[1:] == seen[1:] else 1

    inputs = tuple(lanes(tensor, seen) for tensor, seen in zip(layer.inputs, nest.inputs, strict=False))
    return Lanes(inputs, lanes(layer.output, nest.ofm))
