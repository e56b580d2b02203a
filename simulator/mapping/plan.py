"""A whole network on an accelerator: one schedule per layer, and where each tensor lives."""

from dataclasses import dataclass

from simulator.errors import InputError
from simulator.hardware.accelerator import Accelerator
from simulator.mapping.fixed_tiles import check_layer_names, fixed_tiles
from simulator.mapping.loop_nest import loop_nest
from simulator.mapping.memory import in_place_concatenations
from simulator.mapping.schedule import LayerSchedule
from simulator.mapping.tensor_storage import TensorStorage
from simulator.mapping.tiling import best_schedule
from simulator.trace.trace import Trace


@dataclass(frozen=True)
class Schedule:
    """The plan of a network: layers[i] is layer i's, None for a layer that moves nothing (a concatenation in place)."""

    layers: list[LayerSchedule | None]
    batch: int


def plan(trace: Trace, accelerator: Accelerator, batch: int = 1) -> Schedule:
    """Tiles and loop order for every layer; layers of the same shape share one search.

    Raises InputError that names the layer when nothing fits into the buffers or tiles are fixed that cannot be, and for
    layers that layouts or fixed tiles name in vain.
    """
    check_layer_names(trace, accelerator.mapping)
    tensors, free = TensorStorage(trace, accelerator), in_place_concatenations(trace, accelerator)
    schedules: list[LayerSchedule | None] = []
    for index, layer in enumerate(trace.layers):
        if index in free:
            schedules.append(None)
            continue
        nest = loop_nest(trace, layer, batch, winograd=accelerator.array.winograd)
        try:
            fixed = fixed_tiles(layer, nest, accelerator)
            schedules.append(best_schedule(nest, accelerator, tensors.of_layer(layer, nest), fixed))
        except InputError as error:
            raise InputError(f"layer '{layer.name}': {error}") from None
    return Schedule(schedules, batch)
