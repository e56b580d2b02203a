"""The array's work on a layer, from its real zero-maps: MACs by what becomes of them, and cycles per tile step."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from simulator.hardware.accelerator import Accelerator
from simulator.hardware.array import Zeros
from simulator.mapping.dataflow import TileSizes, dataflow_of
from simulator.mapping.dataflow.base import BufferAccesses, Ints, Lanes, PadAccesses, ceil_div
from simulator.mapping.dataflow.row_stationary import RowStationary
from simulator.mapping.dataflow.spatial import Spatial
from simulator.mapping.loop_nest import LoopNest
from simulator.mapping.schedule import LayerSchedule
from simulator.trace.zero_map import BoxCounts

Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class MacCounts:
    """MACs of a layer: performed + gated + skipped = dense; effectual ones have two non-zero operands."""

    dense: int
    effectual: int
    performed: int
    gated: int
    skipped: int

    @staticmethod
    def none() -> "MacCounts":
        """No MACs at all."""
        return MacCounts(0, 0, 0, 0, 0)


def window_counts(nest: LoopNest, nonzero: Bools) -> Ints:
    """Non-zero IFM elements that each kernel position meets over all outputs: [C, R·S] of a [C, H, W] map.

    Padding counts as zero.
    """
    channels, height, width = nonzero.shape
    counts = np.empty((channels, nest.r, nest.s), np.int64)
    if not nest.windowed:
        counts[:] = np.count_nonzero(nonzero, axis=(1, 2))[:, None, None]
        return counts.reshape(channels, -1)
    if nest.stride == (1, 1):
        row = np.arange(nest.r) * nest.dilation[0] - nest.padding[0]
        column = np.arange(nest.s) * nest.dilation[1] - nest.padding[1]
        boxes = BoxCounts.of(nonzero)
        counts[:] = boxes.count(row[:, None], row[:, None] + nest.p, column, column + nest.q)
        return counts.reshape(channels, -1)
    for r in range(nest.r):
        rows = _positions(nest.p, nest.stride[0], r * nest.dilation[0] - nest.padding[0], height)
        for s in range(nest.s):
            columns = _positions(nest.q, nest.stride[1], s * nest.dilation[1] - nest.padding[1], width)
            counts[:, r, s] = np.count_nonzero(nonzero[:, rows, columns], axis=(1, 2))
    return counts.reshape(channels, -1)


def tiled_window_counts(schedule: LayerSchedule, nonzero: Bools) -> Ints:
    """`window_counts` for every tile of rows and columns: [C, tiles of P, tiles of Q, R·S] of a [C, H, W] map."""
    nest = schedule.nest
    channels = nonzero.shape[0]
    rows, columns = schedule.rows.start, schedule.columns.start
    counts = np.empty((channels, len(rows), len(columns), nest.r, nest.s), np.int64)
    for r in range(nest.r):
        for s in range(nest.s):
            met = _met_elements(nest, nonzero, r, s) if nest.windowed else nonzero.view(np.uint8)
            by_row = np.add.reduceat(met, rows, axis=1, dtype=np.int64)
            counts[:, :, :, r, s] = np.add.reduceat(by_row, columns, axis=2)
    return counts.reshape(channels, len(rows), len(columns), -1)


def _met_elements(nest: LoopNest, nonzero: Bools, r: int, s: int) -> npt.NDArray[np.uint8]:
    """The [C, P, Q] elements that kernel position (r, s) meets, padding as zeros."""
    channels, height, width = nonzero.shape
    met = np.zeros((channels, nest.p, nest.q), np.uint8)
    row = np.arange(nest.p) * nest.stride[0] + r * nest.dilation[0] - nest.padding[0]
    column = np.arange(nest.q) * nest.stride[1] + s * nest.dilation[1] - nest.padding[1]
    inside_rows, inside_columns = (row >= 0) & (row < height), (column >= 0) & (column < width)
    met[np.ix_(range(channels), inside_rows.nonzero()[0], inside_columns.nonzero()[0])] = nonzero[
        np.ix_(range(channels), row[inside_rows], column[inside_columns])
    ]
    return met


def _positions(count: int, stride: int, offset: int, size: int) -> slice:
    """Indices offset + i·stride for 0 ≤ i < count that lie inside [0, size), as a slice."""
    first = -(offset // stride) if offset < 0 else 0
    start = offset + first * stride
    stop = min(offset + (count - 1) * stride, size - 1) + 1
    return slice(start, max(stop, start), stride)


def kernel_counts(nest: LoopNest, kernel_nonzero: Bools | None, start: int, stop: int) -> Ints:
    """Non-zero weights among output channels [start, stop) of each group, at each (channel, position): [G, C, R·S]."""
    if kernel_nonzero is None:
        return np.full((nest.g, nest.c, nest.r * nest.s), stop - start, np.int64)
    by_group = kernel_nonzero.reshape(nest.g, nest.k, nest.c, -1)
    counts: Ints = by_group[:, start:stop].sum(axis=1, dtype=np.int64)
    return counts


def mac_counts(
    schedule: LayerSchedule, zeros: Zeros, met: list[Ints], kernel_nonzero: Bools | None, working: Bools | None
) -> MacCounts:
    """What becomes of a layer's MACs.

    met holds `window_counts` per image of the batch, kernel_nonzero is [G·K, C, R, S] or None when no weight is zero.
    working [G·C, position tiles] says which input channels the array works on after dynamic pruning, None for all: a
    channel that is not worked on has no non-zero element there. With Winograd all products of the channels worked on
    are performed, those that it saves are skipped, and no more than the performed ones count as effectual.
    """
    nest = schedule.nest
    kernels = kernel_counts(nest, kernel_nonzero, 0, nest.k).reshape(nest.g * nest.c, -1)
    nonzero = np.asarray(np.sum(np.stack(met), axis=0, dtype=np.int64))
    if working is None:
        positions = np.full(nest.g * nest.c, nest.n * nest.p * nest.q, np.int64)
    else:
        image, row, column = schedule.position_index(np.arange(schedule.position_tiles, dtype=np.int64))
        positions = working @ (schedule.images.size[image] * schedule.rows.size[row] * schedule.columns.size[column])
    every_position = np.broadcast_to(positions[:, None], kernels.shape)
    every_output = np.full_like(kernels, nest.k)

    def macs(ifm_side: Ints, kernel_side: Ints) -> int:
        return int((ifm_side * kernel_side).sum())

    effectual = macs(nonzero, kernels)
    if nest.winograd:
        present = macs(every_position, every_output)
        performed = -(-present * nest.multiplications // nest.macs)
        return MacCounts(nest.macs, min(effectual, performed), performed, 0, nest.macs - performed)
    performed = macs(
        every_position if zeros.ifm == "none" else nonzero, every_output if zeros.kernel == "none" else kernels
    )
    left = macs(nonzero if zeros.ifm == "skip" else every_position, kernels if zeros.kernel == "skip" else every_output)
    return MacCounts(nest.macs, effectual, performed, left - performed, nest.macs - left)


def tile_sizes(
    schedule: LayerSchedule, groups: Ints | None = None, channels: Ints | None = None, *, padding: bool = False
) -> TileSizes:
    """Loop sizes at every tile step; `groups` and `channels` replace their numbers where some are skipped.

    padding: whether the IFM includes its zero padding.
    """
    nest, steps = schedule.nest, schedule.steps
    image, row, column = schedule.position_index(steps.s)
    rows = schedule.rows.start[row], schedule.rows.stop[row]
    columns = schedule.columns.start[column], schedule.columns.stop[column]
    if padding:
        ifm_rows = nest.window_rows(schedule.rows.size[row], padding)
        ifm_columns = nest.window_columns(schedule.columns.size[column], padding)
    else:
        (row_first, row_last), (column_first, column_last) = nest.input_rows(*rows), nest.input_columns(*columns)
        ifm_rows, ifm_columns = row_last - row_first, column_last - column_first
    ofm_rows, ofm_columns = nest.ofm_rows(*rows), nest.ofm_columns(*columns)
    c = schedule.channels.size[steps.c] if channels is None else channels
    g = schedule.groups.size[steps.g] if groups is None else groups
    n, k = schedule.images.size[image], schedule.outputs.size[steps.k]
    return TileSizes(
        g=g,
        k=k,
        c=c,
        n=n,
        p=schedule.rows.size[row],
        q=schedule.columns.size[column],
        r=nest.r,
        s=nest.s,
        ifm_elements=g * n * c * ifm_rows * ifm_columns,
        ifm_rows=ifm_rows,
        ofm_elements=g * n * k * (ofm_rows[1] - ofm_rows[0]) * (ofm_columns[1] - ofm_columns[0]),
        stride=nest.stride if nest.windowed else (1, 1),
        winograd=nest.winograd,
    )


@dataclass(frozen=True, eq=False)
class ArrayWork:
    """What the array does at each tile step; pads is None for PEs without scratch pads."""

    cycles: Ints
    accesses: BufferAccesses
    pads: PadAccesses | None


def array_work(
    schedule: LayerSchedule,
    accelerator: Accelerator,
    working: Bools | None,
    tile_met: list[Ints] | None,
    kernel_nonzero: Bools | None,
) -> ArrayWork:
    """Cycles and buffer accesses of every step.

    working [G·C, position tiles] says which input channels the array works on for a tile of positions, None for all.
    tile_met (`tiled_window_counts` per image of the batch) is needed where the array skips zeros.
    """
    dataflow = dataflow_of(accelerator, schedule.nest)
    padding = accelerator.buffers.ifm.holds_padding
    every = tile_sizes(schedule, padding=padding)
    lanes = dataflow.lanes(every)
    zeros, steps = accelerator.array.zeros, schedule.steps
    cycles = np.zeros(steps.count, np.int64)
    accesses = BufferAccesses.none(steps.count)
    pads = PadAccesses.none(steps.count) if isinstance(dataflow, RowStationary) else None
    for groups, channels in [(None, None)] if working is None else working_chunks(schedule, working, lanes):
        sizes = tile_sizes(schedule, groups, channels, padding=padding)
        cycles = cycles + dataflow.cycles(sizes)
        accesses = accesses + dataflow.accesses(sizes)
        if pads is not None and isinstance(dataflow, RowStationary):
            pads = pads + dataflow.pad_accesses(sizes)
    if "skip" in (zeros.ifm, zeros.kernel) and isinstance(dataflow, Spatial):
        # Tiles at the edges may leave lanes to other loops, which the lanes of the largest tile do not show.
        cycles = np.minimum(cycles, _skipping_cycles(schedule, dataflow, zeros, tile_met, kernel_nonzero, working))
    cycles[-1] = max(0, int(cycles[-1]) + dataflow.overhead_cycles())
    accesses = accesses.accumulating(np.where(steps.c > 0, every.ofm_elements, 0))
    return ArrayWork(cycles, accesses, pads)


def working_channels(schedule: LayerSchedule, accelerator: Accelerator, active: Bools | None) -> Bools | None:
    """The channels that the array works on: those that are left, and with `aligned` lanes their lane neighbours.

    active and the answer are [G·C, position tiles]; None stands for all.
    """
    if active is None or accelerator.pruning.unrolled_channels == "compact":
        return active
    nest = schedule.nest
    lanes = dataflow_of(accelerator, nest).lanes(tile_sizes(schedule))
    by_group = active.reshape(nest.g, nest.c, -1)
    axis, blocks, width = (0, schedule.groups, lanes.groups) if nest.c == 1 else (1, schedule.channels, lanes.channels)
    size = by_group.shape[axis]
    starts = np.concatenate([np.arange(a, b, width) for a, b in zip(blocks.start, blocks.stop, strict=True)])
    together = np.logical_or.reduceat(by_group, starts, axis=axis)
    working = together.repeat(np.diff(starts, append=size), axis=axis)
    return np.ascontiguousarray(working.reshape(nest.g * nest.c, -1))


def working_chunks(schedule: LayerSchedule, working: Bools, lanes: Lanes) -> list[tuple[Ints, Ints]]:
    """Groups and channels per group that each step works on, as chunks whose costs add up.

    Depthwise groups close up. Groups with several channels keep their places: those side by side wait for the widest,
    and the others follow each other.
    """
    nest, steps = schedule.nest, schedule.steps
    by_group = working.reshape(nest.g, nest.c, -1)
    if nest.c == 1:
        left = np.add.reduceat(by_group[:, 0], schedule.groups.start, axis=0, dtype=np.int64)[steps.g, steps.s]
        return [(left, np.ones_like(left))]
    counts = np.add.reduceat(by_group, schedule.channels.start, axis=1, dtype=np.int64)
    chunks = []
    for offset in range(0, schedule.tiling.g, lanes.groups):
        first = schedule.groups.start + offset
        last = np.minimum(first + lanes.groups, schedule.groups.stop)
        widest = np.stack(
            [
                counts[a:b].max(axis=0) if b > a else np.zeros(counts.shape[1:], np.int64)
                for a, b in zip(first, last, strict=True)
            ]
        )
        chunks.append((np.maximum(last - first, 0)[steps.g], widest[steps.g, steps.c, steps.s]))
    return chunks


def _skipping_cycles(
    schedule: LayerSchedule,
    dataflow: Spatial,
    zeros: Zeros,
    tile_met: list[Ints] | None,
    kernel_nonzero: Bools | None,
    working: Bools | None,
) -> Ints:
    """Cycles of every step when lanes skip single zeros.

    A lane works through the pairs of one input channel: per kernel position, ceil(IFM elements left / positions side by
    side) × ceil(kernel elements left / output channels side by side). Positions of the kernel side by side share that
    work and wait for the fullest; so do the channels side by side. Lanes meet again when all of them have finished
    their channel.
    """
    nest, steps = schedule.nest, schedule.steps
    sizes = tile_sizes(schedule)
    factors = {name: int(np.max(value)) for name, value in dataflow.unrolled(sizes).items()}
    position_lanes = factors["N"] * factors["P"] * factors["Q"]
    kernel_lanes = factors["R"] * factors["S"]
    group_lanes, channel_lanes = factors["G"], factors["C"]
    met = _met_per_position_tile(schedule, zeros, tile_met)
    shape = (schedule.groups.count, schedule.outputs.count, schedule.channels.count, schedule.position_tiles)
    cycles = np.empty(shape, np.int64)
    groups = list(zip(schedule.groups.start, schedule.groups.stop, strict=True))
    channels = list(zip(schedule.channels.start, schedule.channels.stop, strict=True))
    for k, (k_start, k_stop) in enumerate(zip(schedule.outputs.start, schedule.outputs.stop, strict=True)):
        left = kernel_counts(nest, kernel_nonzero if zeros.kernel == "skip" else None, int(k_start), int(k_stop))
        turns = ceil_div(left, factors["K"])
        work = ceil_div(met, position_lanes) * turns[:, :, None, :]
        per_channel = np.maximum(ceil_div(work.sum(axis=3), kernel_lanes), work.max(axis=3))
        if working is not None:
            per_channel = np.where(working.reshape(nest.g, nest.c, -1), per_channel, -1)
        for g, (g_start, g_stop) in enumerate(groups):
            for c, (c_start, c_stop) in enumerate(channels):
                cycles[g, k, c] = _in_lanes(per_channel[g_start:g_stop, c_start:c_stop], group_lanes, channel_lanes)
    return cycles[steps.g, steps.k, steps.c, steps.s]


def _in_lanes(block: Ints, group_lanes: int, channel_lanes: int) -> Ints:
    """Cycles of [groups, channels, position tiles] of per-channel work on lanes that wait for each other.

    Channels marked −1 are gone and close up; the rest keep their order.
    """
    if block.shape[1] == 1:
        block, lanes = block[:, 0][None], group_lanes
    else:
        lanes = channel_lanes
    if (block < 0).any():
        order = np.argsort(block < 0, axis=1, kind="stable")
        block = np.maximum(np.take_along_axis(block, order, axis=1), 0)
    fullest = np.maximum.reduceat(block, np.arange(0, block.shape[1], lanes), axis=1)
    return np.asarray(fullest.sum(axis=(0, 1)), np.int64)


def _met_per_position_tile(schedule: LayerSchedule, zeros: Zeros, tile_met: list[Ints] | None) -> Ints:
    """IFM elements that each kernel position meets: [G, C, position tiles, R·S]."""
    nest = schedule.nest
    shape = (nest.g, nest.c, schedule.images.count, schedule.rows.count, schedule.columns.count, nest.r * nest.s)
    if zeros.ifm != "skip" or tile_met is None:
        positions = schedule.rows.size[:, None] * schedule.columns.size
        met = schedule.images.size[:, None, None] * positions
        return np.broadcast_to(met[None, None, ..., None], shape).reshape(nest.g, nest.c, -1, nest.r * nest.s)
    images = np.stack(tile_met, axis=1)
    by_tile = np.add.reduceat(images, schedule.images.start, axis=1)
    return by_tile.reshape(nest.g, nest.c, -1, nest.r * nest.s)
