"""Which feature maps stay on chip between the layer that makes them and the last one that reads them."""

from simulator.hardware.section import Operand
from simulator.machine.batch import Batch
from simulator.machine.feature_map import StoredFeatureMap
from simulator.machine.layer_costs import input_boxes, input_loads, right_operand_loads
from simulator.machine.residence import Residence, Stay
from simulator.machine.tile_room import free_for_feature_maps, tile_room
from simulator.mapping.memory import places
from simulator.mapping.plan import Schedule
from simulator.mapping.schedule import LayerSchedule
from simulator.trace.records import Layer


def residence(batch: Batch, schedule: Schedule) -> Residence:
    """What stays on chip in a run; nothing unless the file allows it.

    A map needs its bytes as stored (compressed where maps are) from the beginning of the layer that makes it to the end
    of the last one that reads it. The network's inputs and outputs and what is fused away never stay. Parts of a
    concatenation in place stay with the whole. Layers that run for several frames at once keep the maps of all of them,
    but only for each other: other layers run for one frame at a time.
    """
    allowed = batch.accelerator.on_chip
    if not allowed.feature_maps:
        return Residence()
    return Residence.of(_candidates(batch, schedule), [_room(batch, layer) for layer in schedule.layers])


def room_left(batch: Batch, used: dict[Operand, int]) -> int:
    """Bytes for feature maps while tiles use so many of each buffer."""
    own = batch.accelerator.on_chip.capacity
    return free_for_feature_maps(batch.accelerator, used) if own is None else own


def _room(batch: Batch, layer: LayerSchedule | None) -> int | None:
    return None if layer is None else room_left(batch, tile_room(layer, batch.accelerator))


def _candidates(batch: Batch, schedule: Schedule) -> list[Stay]:
    trace = batch.trace
    homes = places(trace, batch.accelerator)
    arriving = {
        trace.layers[stage.layer].inputs[stage.arriving] for stages in schedule.stages.values() for stage in stages
    }

    def stored_as(tensor: int) -> int:
        source = trace.tensors[tensor].source
        own = tensor if source is None else source
        return homes[own].whole if own in homes else own

    made: dict[int, list[int]] = {}
    read: dict[int, list[int]] = {}
    saved: dict[int, int] = {}
    parts: dict[int, set[int]] = {}
    for index, layer in enumerate(trace.layers):
        whole, host = stored_as(layer.output), schedule.host(index)
        own_schedule = schedule.layers[host]
        parts.setdefault(whole, set()).add(layer.output)
        if own_schedule is None:  # a concatenation in place: its producers and readers count
            continue
        made.setdefault(whole, []).append(host)
        for number, tensor in enumerate(layer.inputs):
            if tensor in arriving:
                continue
            source, all_of_it = stored_as(tensor), _all_elements(batch, tensor) * schedule.frames.get(host, 1)
            read.setdefault(source, []).append(host)
            elements = _loaded(own_schedule, layer, number) if host == index else all_of_it
            saved[source] = saved.get(source, 0) + elements
    found = []
    for whole in sorted(made.keys() & read.keys()):
        frames = {schedule.frames.get(index, 1) for index in (*made[whole], *read[whole])}
        if len(frames) > 1:
            continue
        together = frames.pop()
        stored = batch.unplaced(whole, trace.tensors[whole].shape, batch.size)
        batch.forget(whole)
        moved = saved[whole] + _all_elements(batch, whole) * together
        size = _stored_bytes(stored) * together
        found.append(Stay(frozenset(parts[whole]), size, min(made[whole]), max(read[whole]), moved * stored.bits // 8))
    return found


def _all_elements(batch: Batch, tensor: int) -> int:
    return batch.size * batch.trace.tensors[tensor].elements


def _loaded(schedule: LayerSchedule, layer: Layer, number: int) -> int:
    """Elements of input `number` that the layer loads, repeats included."""
    if layer.two_activations and number == 1:
        boxes, order, _ = right_operand_loads(schedule)
    else:
        boxes, (_, order) = input_boxes(schedule, number), input_loads(schedule)
    return int(boxes.elements[order].sum())


def _stored_bytes(stored: StoredFeatureMap) -> int:
    if stored.codec == "raw":
        return stored.stored_bytes
    units, _ = stored.unit_bits()
    return -(-int(units.sum() + units.size * stored.table_entry_bits) // 8)
