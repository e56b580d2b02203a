"""What the post-processing unit does to an OFM on its way out of the chip."""

from collections.abc import Sequence

import numpy as np

from simulator.machine.batch import Batch
from simulator.machine.comparators import comparison_cycles
from simulator.machine.feature_map import Boxes, StoredFeatureMap
from simulator.machine.layer_costs import output_boxes
from simulator.machine.output_costs import WayOut
from simulator.mapping.fusion import Stage
from simulator.mapping.schedule import LayerSchedule
from simulator.trace.records import Layer, Shape


def way_out(batch: Batch, layer: Layer, stages: Sequence[Stage], schedule: LayerSchedule) -> WayOut:
    """The way out of `layer` through its fused `stages`, with all images of the batch.

    The tile passes the unit's lanes once with what was folded into the layer at recording (more often where the file
    says so); a stage keeps them as busy as it would alone, reading what arrives and its other operands, or writing,
    whichever is more, and the first takes elements straight from the array. Rows and columns of a stage go with those
    of the OFM in proportion. The pruning unit compares what leaves.
    """
    accelerator, nest = batch.accelerator, schedule.nest
    unit, layers = accelerator.post_processing, batch.trace.layers
    boxes = output_boxes(schedule)
    passing = boxes.elements
    extra = (folded_passes(batch, layer) - 1) * boxes.elements if nest.unit == "array" else np.zeros_like(passing)
    busy = np.zeros_like(passing)
    operands: list[tuple[StoredFeatureMap, Boxes]] = []
    elements = 0
    last = layer
    for stage in stages:
        last = layers[stage.layer]
        others = [_operand(batch, schedule, tensor) for tensor in stage.others(last)]
        made = output_boxes(schedule, _of_all_images(batch, schedule, last.ofm))
        read = passing + sum((of.elements for _, of in others), np.zeros_like(passing))
        busy = busy + unit.cycles(np.maximum(read, made.elements) * unit.passes(last.operator))
        extra = extra + (folded_passes(batch, last) - 1) * made.elements
        elements += int(read.sum() + made.elements.sum())
        operands += others
        boxes, passing = made, made.elements
    stored = batch.stored(last.output, _of_all_images(batch, schedule, last.ofm), nest.n)
    cycles = np.maximum(busy, unit.cycles(output_boxes(schedule).elements)) + unit.cycles(extra)
    if batch.pruned and accelerator.pruning.side == "ofm":
        cycles = np.maximum(cycles, comparison_cycles(accelerator.pruning, boxes.elements))
    return WayOut(stored, boxes, cycles, tuple(operands), elements)


def folded_passes(batch: Batch, layer: Layer) -> int:
    """Passes of all that was folded into a layer; those that take one pass each share it."""
    return 1 + sum(batch.accelerator.post_processing.passes(name) - 1 for name in layer.fused)


def _operand(batch: Batch, schedule: LayerSchedule, tensor: int) -> tuple[StoredFeatureMap, Boxes]:
    shape = _of_all_images(batch, schedule, batch.trace.tensors[tensor].shape)
    return batch.stored(tensor, shape, schedule.nest.n), output_boxes(schedule, shape)


def _of_all_images(batch: Batch, schedule: LayerSchedule, shape: Shape) -> Shape:
    """The (C, H, W) that the layer sees where the images of the batch are groups of it."""
    return (shape[0] * (batch.size // schedule.nest.n), *shape[1:])
