"""Kernels in DRAM and the requests that fetch them.

Kernels are known before the run, so they lie in the order in which the schedule reads them: tile by tile, within a tile
group by group and channel by channel, each slice [k, r, s] in one piece. A slice whose feature map is not there can
then be skipped whole. A compressed tile is one block: it is decoded as a whole and loses no slices.
"""

import numpy as np
import numpy.typing as npt

from simulator.compression import counted_codec_of
from simulator.hardware.accelerator import Accelerator
from simulator.machine.dram import RunTable
from simulator.machine.feature_map import StoredTiles
from simulator.mapping.schedule import LayerSchedule

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]


def kernel_requests(
    schedule: LayerSchedule, accelerator: Accelerator, kernel_nonzero: Bools | None, active: Bools | None, loads: Bools
) -> tuple[StoredTiles, Ints]:
    """The kernel tiles as stored, and which one each load of the schedule (steps marked in `loads`) fetches.

    Where feature maps are missing (`active` [G·C, position tiles]) a tile that stays in its buffer for all positions
    keeps every slice that one of them needs; a tile fetched anew for each has a variant per tile of positions.
    """
    steps = schedule.steps
    counts = (schedule.groups.count, schedule.outputs.count, schedule.channels.count)
    tile = ((steps.g * counts[1] + steps.k) * counts[2] + steps.c)[loads]
    if accelerator.compression.kernel != "raw":
        return _compressed_tiles(schedule, accelerator, kernel_nonzero), tile
    if active is None:
        return _raw_tiles(schedule, accelerator, None), tile
    fetched_again = len(tile) > np.prod(counts)
    varies = bool((active != active[:, :1]).any())
    if not (fetched_again and varies):
        return _raw_tiles(schedule, accelerator, np.asarray(active.any(axis=1))[:, None]), tile
    return _raw_tiles(schedule, accelerator, active), tile * schedule.position_tiles + steps.s[loads]


def _slice_layout(schedule: LayerSchedule) -> tuple[Ints, Ints, Ints]:
    """Every slice in storage order: its tile number, input channel [0, G·C) and elements."""
    nest, groups, outputs, channels = schedule.nest, schedule.groups, schedule.outputs, schedule.channels
    g, k, c = np.indices((groups.count, outputs.count, channels.count)).reshape(3, -1)
    slices = groups.size[g] * channels.size[c]
    tile = np.repeat(np.arange(len(slices), dtype=np.int64), slices)
    position = np.arange(len(tile)) - np.repeat(np.cumsum(slices) - slices, slices)
    group, inside = np.divmod(position, np.repeat(channels.size[c], slices)) if nest.g > 1 else (0, position)
    channel = np.repeat(groups.start[g] * nest.c + channels.start[c], slices) + group * nest.c + inside
    return tile, channel, np.repeat(outputs.size[k] * nest.kernel_positions, slices)


def _raw_tiles(schedule: LayerSchedule, accelerator: Accelerator, active: Bools | None) -> StoredTiles:
    tile, channel, elements = _slice_layout(schedule)
    bits = accelerator.precision.kernel
    ends = np.cumsum(elements * bits)
    start, stop = (ends - elements * bits) // 8, -(-ends // 8)
    request, count = tile, int(tile[-1]) + 1
    if active is not None:
        variants = active.shape[1]
        index, variant = np.nonzero(active[channel])
        request = tile[index] * variants + variant
        order = np.argsort(request, kind="stable")
        index, request, count = index[order], request[order], count * variants
        start, stop, elements = start[index], stop[index], elements[index]
    nothing = np.zeros(count, np.int64)
    return StoredTiles(
        RunTable.of(count, request, start, stop - start),
        nothing,
        nothing,
        np.bincount(request, weights=elements, minlength=count).astype(np.int64),
    )


def _compressed_tiles(schedule: LayerSchedule, accelerator: Accelerator, kernel_nonzero: Bools | None) -> StoredTiles:
    nest = schedule.nest
    sizes = schedule.groups.size[:, None, None] * schedule.outputs.size[:, None] * schedule.channels.size
    elements = nonzeros = sizes.ravel() * nest.kernel_positions
    if kernel_nonzero is not None and not nest.winograd:
        per_slice = kernel_nonzero.reshape(nest.g, nest.k, nest.c, -1).sum(axis=3, dtype=np.int64)
        per_tile = np.add.reduceat(per_slice, schedule.groups.start, axis=0)
        per_tile = np.add.reduceat(per_tile, schedule.outputs.start, axis=1)
        nonzeros = np.add.reduceat(per_tile, schedule.channels.start, axis=2).ravel()
    codec, bits = counted_codec_of(accelerator.compression.kernel), accelerator.precision.kernel
    index_bits = codec.index_bits(elements, nonzeros, bits)
    bits_of_tile = codec.data_bits(elements, nonzeros, bits) + index_bits
    raw = bits_of_tile >= elements * bits
    index = -(-np.where(raw, 0, index_bits) // 8)
    total = -(-np.where(raw, elements * bits, bits_of_tile) // 8)
    burst = accelerator.dram.burst
    reserved = -(-total // burst) * burst
    start = np.cumsum(reserved) - reserved
    count = len(total)
    nothing = np.zeros(count, np.int64)
    runs = RunTable.of(count, np.arange(count, dtype=np.int64), start, total)
    return StoredTiles(runs, index, nothing, elements)
