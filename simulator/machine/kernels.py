"""Kernels in DRAM and the requests that fetch them.

Kernels are known before the run, so they lie in the order in which the schedule reads them: tile by tile, within a tile
group by group and channel by channel, each slice [k, r, s] in one piece. A slice whose feature map is not there can
then be skipped whole. A compressed tile is one block: it is decoded as a whole and loses no slices.

Quantised kernels lie there at their own widths; where these differ within a layer, each tile begins with an index of
those of its output channels, `WIDTH_INDEX_BITS` each. On chip a weight takes the accelerator's width.
"""

import itertools
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from simulator.compression import Units, codec_of, falls_back, unit_sizes
from simulator.errors import InputError
from simulator.hardware.accelerator import Accelerator
from simulator.machine.dram import RunTable
from simulator.machine.feature_map import StoredTiles
from simulator.mapping.precision import computed_widths
from simulator.mapping.schedule import LayerSchedule

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

WIDTH_INDEX_BITS = 5
"""Enough for widths of 1 to 32 bits."""


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
    if accelerator.compression.kernel.codec != "raw":
        _need_one_width(schedule, accelerator)
        return _compressed_tiles(schedule, accelerator, kernel_nonzero), tile
    if active is None or active.all():
        return _whole_tiles(schedule, accelerator), tile
    fetched_again = len(tile) > np.prod(counts)
    varies = bool((active != active[:, :1]).any())
    if not (fetched_again and varies):
        return _tiles_without(schedule, accelerator, np.asarray(active.any(axis=1))[:, None]), tile
    return _tiles_without(schedule, accelerator, active), tile * schedule.position_tiles + steps.s[loads]


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


def _width_index_bits(schedule: LayerSchedule) -> Ints:
    """Bits of the index in front of each tile, by its groups and outputs; 0 where a layer has one width."""
    sizes = np.multiply.outer(schedule.groups.size, schedule.outputs.size)
    return np.asarray(sizes * (WIDTH_INDEX_BITS if _has_width_index(schedule) else 0), np.int64)


def _has_width_index(schedule: LayerSchedule) -> bool:
    """Whether tiles say how wide their kernels are: a program knows it where a layer has one width."""
    return len(set(schedule.nest.kernel_bits)) > 1


def _need_one_width(schedule: LayerSchedule, accelerator: Accelerator) -> None:
    if _has_width_index(schedule):
        raise InputError(
            f"accelerator '{accelerator.name}' stores kernels as {accelerator.compression.kernel.codec}, which takes "
            "one width per layer; kernels of several widths in a layer need compression.kernel: raw"
        )


def _slice_bits(schedule: LayerSchedule, tile: Ints, channel: Ints, elements: Ints, widest: int) -> Ints:
    """Bits of every slice: of each output channel of its tile R·S weights."""
    nest = schedule.nest
    if not nest.kernel_bits:
        return elements * widest
    widths = np.minimum(np.array(nest.kernel_bits, np.int64), widest).reshape(nest.g, nest.k)
    before = np.concatenate([np.zeros((nest.g, 1), np.int64), np.cumsum(widths, axis=1)], axis=1)
    outputs = tile // schedule.channels.count % schedule.outputs.count
    group = channel // nest.c
    first, last = schedule.outputs.start[outputs], schedule.outputs.stop[outputs]
    return np.asarray((before[group, last] - before[group, first]) * nest.kernel_positions, np.int64)


def _with_width_index(
    schedule: LayerSchedule, tile: Ints, channel: Ints, elements: Ints, bits: Ints
) -> tuple[Ints, Ints, Ints, Ints, Ints]:
    """The slices with an entry in front of each tile that holds its widths (its channel is G·C), and its bits by tile.

    No entries, and no bits, where a layer has one width.
    """
    count = int(tile[-1]) + 1
    if not _has_width_index(schedule):
        return tile, channel, elements, bits, np.zeros(count, np.int64)
    index = _width_index_bits(schedule).ravel().repeat(schedule.channels.count)
    own, none = np.arange(count, dtype=np.int64), np.zeros(count, np.int64)
    order = np.argsort(np.concatenate([own, tile]), kind="stable")  # the entry before the slices of its tile
    parts = ((own, tile), (none + schedule.nest.g * schedule.nest.c, channel), (none, elements), (index, bits))
    tile, channel, elements, bits = (np.concatenate(pair)[order] for pair in parts)
    return tile, channel, elements, bits, index


def _whole_tiles(schedule: LayerSchedule, accelerator: Accelerator) -> StoredTiles:
    """Tiles of which no slice is left out: one run each."""
    nest, groups, outputs, channels = schedule.nest, schedule.groups, schedule.outputs, schedule.channels
    kernels = np.multiply.outer(groups.size, outputs.size)
    widest = accelerator.precision.kernel
    kernel_bits, index_bits = kernels * widest, _width_index_bits(schedule)
    if nest.kernel_bits:
        widths = np.zeros((nest.g + 1, nest.k + 1), np.int64)
        widths[1:, 1:] = np.minimum(np.array(nest.kernel_bits, np.int64), widest).reshape(nest.g, nest.k)
        before = widths.cumsum(axis=0).cumsum(axis=1)
        of_groups = before[groups.stop] - before[groups.start]
        kernel_bits = of_groups[:, outputs.stop] - of_groups[:, outputs.start]
    slices = channels.size * nest.kernel_positions
    bits = (np.multiply.outer(kernel_bits, slices) + index_bits[:, :, None]).ravel()
    count, ends = len(bits), np.cumsum(bits)
    start, stop = (ends - bits) // 8, -(-ends // 8)
    return StoredTiles(
        RunTable.of(count, np.arange(count, dtype=np.int64), start, stop - start),
        -(-index_bits // 8).ravel().repeat(channels.count),
        np.zeros(count, np.int64),
        np.multiply.outer(kernels, slices).ravel(),
    )


def _tiles_without(schedule: LayerSchedule, accelerator: Accelerator, active: Bools) -> StoredTiles:
    """Tiles without the slices whose feature maps are not there: a variant for each column of `active`."""
    slices = _slice_layout(schedule)
    widths = _slice_bits(schedule, *slices, accelerator.precision.kernel)
    tile, channel, elements, bits, index_bits = _with_width_index(schedule, *slices, widths)
    ends = np.cumsum(bits)
    start, stop = (ends - bits) // 8, -(-ends // 8)
    index_bytes = -(-index_bits // 8)
    variants, count = active.shape[1], int(tile[-1]) + 1
    active = np.concatenate([active, np.ones((1, variants), np.bool_)])  # the index of widths always comes along
    index_bytes = index_bytes.repeat(variants)
    index, variant = np.nonzero(active[channel])
    request = tile[index] * variants + variant
    order = np.argsort(request, kind="stable")
    index, request, count = index[order], request[order], count * variants
    start, stop, elements = start[index], stop[index], elements[index]
    nothing = np.zeros(count, np.int64)
    return StoredTiles(
        RunTable.of(count, request, start, stop - start),
        index_bytes,
        nothing,
        np.bincount(request, weights=elements, minlength=count).astype(np.int64),
    )


def _compressed_tiles(schedule: LayerSchedule, accelerator: Accelerator, kernel_nonzero: Bools | None) -> StoredTiles:
    codec = codec_of(accelerator.compression.kernel.codec)
    bits = max(computed_widths(schedule.nest, accelerator))
    raw_fallback = falls_back(codec, accelerator.compression.kernel.raw_fallback, on_its_own=True)
    shape = schedule.groups.count, schedule.outputs.count, schedule.channels.count
    elements, index_bits, all_bits = np.zeros((3, *shape), np.int64)
    for place, tiles in _tiles_of_equal_size(schedule, kernel_nonzero, codec.along_channels):
        sizes = unit_sizes(codec, Units.of(tiles), bits, raw_fallback=raw_fallback)
        elements[place] = tiles.shape[2]
        index_bits[place], all_bits[place] = (part.reshape(elements[place].shape) for part in (sizes.index, sizes.bits))
    total, burst, count = -(-all_bits.ravel() // 8), accelerator.dram.burst, elements.size
    reserved = -(-total // burst) * burst
    runs = RunTable.of(count, np.arange(count, dtype=np.int64), np.cumsum(reserved) - reserved, total)
    index, nothing = -(-index_bits.ravel() // 8), np.zeros(count, np.int64)
    return StoredTiles(runs, index, nothing, elements.ravel(), elements.ravel())


def _tiles_of_equal_size(
    schedule: LayerSchedule, kernel_nonzero: Bools | None, along_channels: bool
) -> Iterator[tuple[tuple[slice, slice, slice], Bools]]:
    """Which tiles (of groups, outputs, channels) are equally large, and their maps, [tiles, 1, elements].

    The elements of a tile stand in the order in which raw tiles are stored, group by group and channel by channel, or
    position by position with the channels side by side. Without a map (and for kernels that Winograd has transformed)
    everything counts as non-zero.
    """
    nest = schedule.nest
    dense = kernel_nonzero is None or nest.winograd
    shape = nest.g, nest.k, nest.c, nest.kernel_positions
    kernel = np.broadcast_to(np.True_, shape) if kernel_nonzero is None or dense else kernel_nonzero.reshape(shape)
    order = (0, 2, 4, 1, 3, 6, 5) if along_channels else (0, 2, 4, 1, 5, 3, 6)
    axes = (schedule.groups, schedule.outputs, schedule.channels)
    for parts in itertools.product(*(_equal_parts(axis.size) for axis in axes)):
        inside = [
            slice(int(axis.start[p.start]), int(axis.stop[p.stop - 1])) for axis, p in zip(axes, parts, strict=True)
        ]
        sides = [(p.stop - p.start, int(axis.size[p.start])) for axis, p in zip(axes, parts, strict=True)]
        split = kernel[tuple(inside)].reshape(*itertools.chain(*sides), nest.kernel_positions)
        tiles = split.transpose(order).reshape(int(np.prod([count for count, _ in sides])), 1, -1)
        yield (parts[0], parts[1], parts[2]), tiles


def _equal_parts(sizes: Ints) -> list[slice]:
    """Runs of equal sizes."""
    ends = [*(np.flatnonzero(np.diff(sizes)) + 1).tolist(), len(sizes)]
    return [slice(start, stop) for start, stop in zip([0, *ends[:-1]], ends, strict=True)]
