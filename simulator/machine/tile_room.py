"""The room that the tiles of a layer can take in the buffers."""

import numpy as np

from simulator.hardware.accelerator import Accelerator
from simulator.hardware.section import Operand
from simulator.machine.layer_costs import input_boxes, output_boxes
from simulator.mapping.schedule import LayerSchedule, changes


def tile_room(schedule: LayerSchedule, accelerator: Accelerator) -> dict[Operand, int]:
    """Bytes of each operand: its largest tile, as often as its buffer holds one, in whole allocation units."""
    nest, steps, precision = schedule.nest, schedule.steps, accelerator.precision
    array = nest.unit == "array"
    ifm = sum((input_boxes(schedule, index).elements for index in range(len(nest.inputs))), np.zeros(1, np.int64))
    kernel = 0
    if array:
        tile = int(schedule.groups.size.max() * schedule.outputs.size.max() * schedule.channels.size.max())
        kernel = tile * nest.r * nest.s
    largest: dict[Operand, tuple[int, int, int]] = {
        "ifm": (int(ifm.max()), precision.ifm, int(changes(steps.g, steps.c, steps.s).sum())),
        "kernel": (
            kernel,
            precision.ifm if nest.two_activations else precision.kernel,
            int(changes(steps.g, steps.k, steps.c).sum()),
        ),
        "ofm": (
            int(output_boxes(schedule).elements.max()),
            precision.psum if array else precision.ofm,
            int(changes(steps.g, steps.m, steps.s).sum()),
        ),
    }
    room = {}
    for operand, (elements, bits, tiles) in largest.items():
        unit: int = accelerator.buffers.of(operand).allocation_unit
        size = -(-elements * bits // 8) * min(tiles, accelerator.buffers.copies(operand))
        room[operand] = -(-size // unit) * unit
    return room


def free_for_feature_maps(accelerator: Accelerator, used: dict[Operand, int]) -> int:
    """Bytes that the physical buffers of IFM and OFM have left; used: by operand, a shared one's in any share."""
    buffers = accelerator.buffers
    homes = {buffers.home("ifm"), buffers.home("ofm")}
    capacity = sum(buffers.of(home).capacity or 0 for home in homes)
    return capacity - sum(size for operand, size in used.items() if buffers.home(operand) in homes)
