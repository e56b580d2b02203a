"""What an array that skips zeros does with a layer: every tile step on the real maps of its operands."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from simulator.hardware.accelerator import Accelerator
from simulator.machine.array_time import ArrayTime
from simulator.machine.work import ArrayWork, MacCounts, tile_sizes
from simulator.mapping.dataflow.base import BufferAccesses, Ints, TileSizes
from simulator.mapping.dataflow.sparse.base import Convolution, Scheme, SparseCost, TileGrid, tile_costs
from simulator.mapping.dataflow.sparse.registry import scheme_of
from simulator.mapping.loop_nest import LoopNest
from simulator.mapping.schedule import Blocks, LayerSchedule

Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class SkippingWork:
    """Cycles and accesses of every step, MACs by what becomes of them, and where the array's time went."""

    array: ArrayWork
    macs: MacCounts
    time: ArrayTime


def skipping_work(
    schedule: LayerSchedule,
    accelerator: Accelerator,
    images: Sequence[Bools | None],
    kernel_nonzero: Bools | None,
) -> SkippingWork:
    """The work of a layer on `images` ([G·C, H, W] maps, as many times as the batch needs them; None for no zeros).

    kernel_nonzero is [G·K, C, R, S], None for no zeros. Images of a tile follow each other. A tile reads its window
    with halo and padding; where channels are cut into tiles, psums are finished with the last.
    """
    nest, steps = schedule.nest, schedule.steps
    tiles = _Tiles(schedule, images, kernel_nonzero, scheme_of(accelerator.array))
    costs = [
        tiles.cost(*step)
        for step in zip(*(index.tolist() for index in (steps.g, steps.k, steps.c, steps.s)), strict=True)
    ]

    def each(name: str) -> Ints:
        return np.array([sum(getattr(cost, name) for cost in step) for step in costs], np.int64)

    cycles, sizes = each("cycles"), tile_sizes(schedule)
    flat = [cost for step in costs for cost in step]
    performed, gated = (sum(getattr(cost, name) for cost in flat) for name in ("performed", "gated"))
    products = sum(cost.products for cost in flat)
    losses: dict[str, int] = {}
    for cost in flat:
        for name, lost in cost.losses.items():
            losses[name] = losses.get(name, 0) + lost
    nothing = np.zeros(steps.count, np.int64)
    accesses = BufferAccesses(each("ifm_reads"), each("kernel_reads"), nothing, sizes.ofm_elements)
    accesses = accesses.accumulating(np.where(steps.c > 0, sizes.ofm_elements, 0))
    density = tiles.ifm_density * _inside(nest)
    expected = tiles.scheme.expected_cycles(_as_run(nest, sizes), density, tiles.kernel_density)
    return SkippingWork(
        ArrayWork(cycles, accesses, None),
        MacCounts(nest.macs, products, performed, gated, nest.macs - performed - gated),
        ArrayTime(products, losses, round(float(np.broadcast_to(expected, cycles.shape).sum()))),
    )


def _as_run(nest: LoopNest, sizes: TileSizes) -> TileSizes:
    """The tiles as the scheme sees them: a transposed convolution is a 1×1 one with K·R·S output channels."""
    if nest.windowed:
        return sizes
    return dataclasses.replace(sizes, k=sizes.k * (nest.r * nest.s), r=1, s=1, stride=(1, 1))


def _inside(nest: LoopNest) -> float:
    """The share of what kernels meet that is not zero padding; sizes alone say so."""
    if not nest.windowed:
        return 1.0
    share = 1.0
    for axis, (positions, reach) in enumerate(((nest.p, nest.r), (nest.q, nest.s))):
        first = np.arange(positions) * nest.stride[axis] - nest.padding[axis]
        met = first[:, None] + np.arange(reach) * nest.dilation[axis]
        share *= float(((met >= 0) & (met < nest.inputs[0][1 + axis])).mean())
    return share


class _Tiles:
    """The sub-maps of tiles, and what the scheme does with them."""

    def __init__(
        self, schedule: LayerSchedule, images: Sequence[Bools | None], kernel: Bools | None, scheme: Scheme
    ) -> None:
        nest = schedule.nest
        self.schedule, self.scheme = schedule, scheme
        self.convolution = Convolution(nest.stride, nest.dilation, nest.padding) if nest.windowed else Convolution()
        self._planes = [_plane(nest, image) for image in images]
        kernels = np.ones((nest.g * nest.k, nest.c, nest.r, nest.s), np.bool_) if kernel is None else kernel
        self._kernels = kernels.reshape(nest.g, nest.k, nest.c, nest.r, nest.s)
        if not nest.windowed:
            self._kernels = self._kernels.transpose(0, 1, 3, 4, 2).reshape(nest.g, -1, nest.c, 1, 1)
        self.ifm_density = float(np.mean([1.0 if image is None else image.mean() for image in images]))
        self.kernel_density = float(self._kernels.mean())
        self._known: dict[tuple[int, ...], list[list[SparseCost]]] = {}
        turns = 1 if nest.windowed else nest.r * nest.s
        self._grid = TileGrid(_ranges(schedule.outputs, turns), _ranges(schedule.channels, 1))
        self._dense = kernel is None and all(image is None for image in images)

    def cost(self, g: int, k: int, c: int, s: int) -> list[SparseCost]:
        """What the array does at a step, image by image."""
        schedule = self.schedule
        image, row, column = (int(index) for index in schedule.position_index(np.asarray(s)))
        first, last = int(schedule.images.start[image]), int(schedule.images.stop[image])
        return [self._of_image(n % len(self._planes), g, row, column)[k][c] for n in range(first, last)]

    def _of_image(self, image: int, g: int, row: int, column: int) -> list[list[SparseCost]]:
        """All tiles of output and input channels of a tile of groups and positions."""
        schedule = self.schedule
        groups = slice(int(schedule.groups.start[g]), int(schedule.groups.stop[g]))
        rows = self._span(int(schedule.rows.start[row]), int(schedule.rows.stop[row]), 0)
        columns = self._span(int(schedule.columns.start[column]), int(schedule.columns.stop[column]), 1)
        key: tuple[int, ...] = (image, g, row, column)
        if self._dense:  # tiles of one size differ in their padding alone
            sizes = [part.stop - part.start for part in (groups, rows, columns)]
            key = (*sizes, *self._edges(rows, 0), *self._edges(columns, 1))
        if key not in self._known:
            window, kernel = self._planes[image][groups, :, rows, columns], self._kernels[groups]
            self._known[key] = tile_costs(self.scheme, window, kernel, self.convolution, self._grid)
        return self._known[key]

    def _span(self, start: int, stop: int, axis: int) -> slice:
        """Rows (or columns) of the padded plane that positions [start, stop) read."""
        nest = self.schedule.nest
        if not nest.windowed:
            return slice(start, stop)
        stride = nest.stride[axis]
        reach = nest.dilation[axis] * ((nest.r, nest.s)[axis] - 1) + 1
        return slice(start * stride, (stop - 1) * stride + reach)

    def _edges(self, span: slice, axis: int) -> tuple[int, int]:
        """Rows (or columns) of padding in a span, before and behind the feature map."""
        nest = self.schedule.nest
        if not nest.windowed:
            return 0, 0
        before, size = nest.padding[axis], nest.inputs[0][1 + axis]
        return max(0, before - span.start), max(0, span.stop - before - size)


def _ranges(blocks: Blocks, times: int) -> tuple[tuple[int, int], ...]:
    pairs = zip((blocks.start * times).tolist(), (blocks.stop * times).tolist(), strict=True)
    return tuple(pairs)


def _plane(nest: LoopNest, image: Bools | None) -> Bools:
    """The IFM with as much padding as its windows reach: [G, C, rows, columns]."""
    channels, height, width = nest.inputs[0]
    nonzero = np.ones((channels, height, width), np.bool_) if image is None else image
    if not nest.windowed:
        return nonzero.reshape(nest.g, nest.c, height, width)
    sizes = [
        (positions - 1) * stride + dilation * (reach - 1) + 1
        for positions, stride, dilation, reach in zip(
            (nest.p, nest.q), nest.stride, nest.dilation, (nest.r, nest.s), strict=True
        )
    ]
    plane = np.zeros((channels, *sizes), np.bool_)
    top, left = nest.padding
    inside = nonzero[:, : sizes[0] - top, : sizes[1] - left]
    plane[:, top : top + inside.shape[1], left : left + inside.shape[2]] = inside
    return plane.reshape(nest.g, nest.c, *sizes)
