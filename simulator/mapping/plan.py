"""A whole network on an accelerator: one schedule per layer, and where each tensor lives."""

from dataclasses import dataclass

from simulator.errors import InputError
from simulator.hardware.accelerator import Accelerator
from simulator.mapping.loop_nest import loop_nest
from simulator.mapping.schedule import LayerSchedule
from simulator.mapping.tiling import best_schedule
from simulator.trace.trace import Trace


@dataclass(frozen=True)
class Schedule:
    """The plan of a network: layers[i] is layer i's, None for a layer that moves nothing (a concatenation in place)."""

    layers: list[LayerSchedule | None]
    batch: int


def plan(trace: Trace, accelerator: Accelerator, batch: int = 1) -> Schedule:
    """Tiles and loop order for every layer; layers of the same shape share one search.

    Raises InputError that names the layer when nothing fits into the buffers.
    """
    free = in_place_concatenations(trace) if accelerator.post_processing.concat == "in_place" else frozenset[int]()
    schedules: list[LayerSchedule | None] = []
    for index, layer in enumerate(trace.layers):
        if index in free:
            schedules.append(None)
            continue
        try:
            schedules.append(best_schedule(loop_nest(trace, layer, batch), accelerator))
        except InputError as error:
            raise InputError(f"layer '{layer.name}': {error}") from None
    return Schedule(schedules, batch)


def in_place_concatenations(trace: Trace) -> frozenset[int]:
    """Concatenations that cost nothing because their producers write straight into the result.

    A tensor can be born in one place only: one that is already part of an earlier concatenation, or that comes from
    outside, has to be copied, and then the whole concatenation is a pass over memory.
    """
    written = {layer.output for layer in trace.layers}
    placed: set[int] = set()
    free = set()
    for index, layer in enumerate(trace.layers):
        parts = set(layer.inputs)
        born_once = len(parts) == len(layer.inputs) and parts <= written and not parts & placed
        if layer.operator == "concat" and trace.tensors[layer.output].parts and born_once:
            free.add(index)
            placed |= parts
    return frozenset(free)
