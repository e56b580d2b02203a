"""Geometry of tiles in DRAM: from boxes of a tensor to pieces of its channel blocks, and from pieces to runs of bytes.

All layouts are one: channels are cut into blocks of `lanes`, and a block of one image is a row-major plane of positions
with its lanes side by side. NCHW has one lane; NHWC has one block.
"""

from dataclasses import dataclass
from typing import NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt

from simulator.machine.dram import RunTable
from simulator.trace.zero_map import row_runs

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]
Shape = tuple[int, int, int, int]
Scalar = TypeVar("Scalar", bound=np.generic)


@dataclass(frozen=True, eq=False)
class Boxes:
    """Tiles of a tensor: half-open ranges of images, channels, rows and columns, one entry per tile."""

    images: tuple[Ints, Ints]
    channels: tuple[Ints, Ints]
    rows: tuple[Ints, Ints]
    columns: tuple[Ints, Ints]

    @property
    def count(self) -> int:
        """Number of tiles."""
        return len(self.images[0])

    @property
    def elements(self) -> Ints:
        """Elements of each tile."""
        ranges = (self.images, self.channels, self.rows, self.columns)
        product = np.ones(self.count, np.int64)
        for start, stop in ranges:
            product = product * (stop - start)
        return product


@dataclass(frozen=True)
class Blocks:
    """How a tensor of shape (N, C, H, W) is cut into blocks of channels.

    lanes per block; of_channels: channels that lie together in memory, more than C for a part of a concatenation, whose
    own begin at first_channel.
    """

    shape: Shape
    lanes: int
    of_channels: int
    first_channel: int = 0

    @property
    def per_image(self) -> int:
        """Blocks of one image, the last one padded."""
        return -(-self.of_channels // self.lanes)

    def spread(self, values: npt.NDArray[Scalar]) -> npt.NDArray[Scalar]:
        """Values [N, C, ...] by block and lane, [N·blocks, lanes, ...]; zero where a lane is padding or another's."""
        images, channels, *rest = values.shape
        lanes = self.per_image * self.lanes
        if lanes == channels:
            return values.reshape(images * self.per_image, self.lanes, *rest)
        full = np.zeros((images, lanes, *rest), values.dtype)
        full[:, self.first_channel : self.first_channel + channels] = values
        return full.reshape(images * self.per_image, self.lanes, *rest)


@dataclass(frozen=True, eq=False)
class Pieces:
    """Boxes within single blocks: the tile that each belongs to, its block, and ranges of lanes, rows and columns.

    They stand in order of tiles. Where `in_order` is true they are also in order of addresses, one per tile and block.
    """

    owner: Ints
    block: Ints
    first_lane: Ints
    last_lane: Ints
    first_row: Ints
    last_row: Ints
    first_column: Ints
    last_column: Ints
    in_order: bool

    def where(self, wanted: Bools) -> "Pieces":
        """Those that are wanted."""
        bounds = {name: bound[wanted] for name, bound in vars(self).items() if name != "in_order"}
        return Pieces(**bounds, in_order=self.in_order)

    @property
    def positions(self) -> Ints:
        """Rows times columns of each piece."""
        return (self.last_row - self.first_row) * (self.last_column - self.first_column)


class _ChannelRanges(NamedTuple):
    """Boxes of several channels: the channels are numbered through all images, image · C + channel."""

    owner: Ints
    first: Ints
    last: Ints
    first_row: Ints
    last_row: Ints


def pieces_of(blocks: Blocks, boxes: Boxes, view: tuple[int, int, int] | None) -> Pieces:
    """The pieces of every tile. Tiles of a view that has other rows take whole rows of the tensor."""
    _, channels, height, width = blocks.shape
    other_rows = view is not None and view[1:] != (height, width)
    ranges = _ranges(blocks.shape[1] if view is None else view[0], boxes)
    if view is not None and other_rows:
        ranges = _seen_ranges(blocks, boxes, view)
    if blocks.lanes == 1 and blocks.of_channels == channels:
        range_of, block = expand(ranges.first, ranges.last)
        lane = np.zeros_like(block), np.ones_like(block)
    else:
        image_of, image = expand(ranges.first // channels, -(-ranges.last // channels))
        shift = blocks.first_channel - image * channels
        first = np.maximum(ranges.first[image_of] + shift, blocks.first_channel)
        last = np.minimum(ranges.last[image_of] + shift, blocks.first_channel + channels)
        block_of, inside = expand(first // blocks.lanes, -(-last // blocks.lanes))
        start = inside * blocks.lanes
        lane = np.maximum(first[block_of] - start, 0), np.minimum(last[block_of] - start, blocks.lanes)
        range_of, block = image_of[block_of], image[block_of] * blocks.per_image + inside
    owner = ranges.owner[range_of]
    columns = (np.zeros_like(owner), np.full_like(owner, width)) if other_rows else _of(boxes.columns, owner)
    rows = ranges.first_row[range_of], ranges.last_row[range_of]
    return Pieces(owner, block, *lane, *rows, *columns, in_order=blocks.lanes == 1 or not other_rows)


def _of(bounds: tuple[Ints, Ints], owner: Ints) -> tuple[Ints, Ints]:
    return bounds[0][owner], bounds[1][owner]


def _ranges(channels: int, boxes: Boxes) -> _ChannelRanges:
    """Boxes of a tensor of so many channels, image by image."""
    owner, image = expand(*boxes.images)
    first, last = _of(boxes.channels, owner)
    return _ChannelRanges(owner, image * channels + first, image * channels + last, *_of(boxes.rows, owner))


def _seen_ranges(blocks: Blocks, boxes: Boxes, view: tuple[int, int, int]) -> _ChannelRanges:
    """Boxes of a view: the rows of single channels that hold their elements, or ranges of whole channels."""
    _, _, height, width = blocks.shape
    view_channels, view_height, view_width = view
    image_of, image = expand(*boxes.images)
    first, last = _of(boxes.channels, image_of)
    if view_height * view_width == 1:  # channels follow each other without a gap
        owner, start, stop = image_of, image * view_channels + first, image * view_channels + last
    else:
        channel_of, channel = expand(first, last)
        owner, image = image_of[channel_of], image[channel_of]
        base = (image * view_channels + channel) * view_height * view_width
        start, stop = (base + bound[owner] * view_width for bound in boxes.rows)
    plane = height * width
    if not (start % plane).any() and not (stop % plane).any():
        return _ChannelRanges(owner, start // plane, stop // plane, np.zeros_like(owner), np.full_like(owner, height))
    piece_of, channel = expand(start // plane, -(-stop // plane))
    offset = channel * plane
    first_row = np.clip((start[piece_of] - offset) // width, 0, height)
    last_row = np.clip(-(-(stop[piece_of] - offset) // width), 0, height)
    return _ChannelRanges(owner[piece_of], channel, channel + 1, first_row, last_row)


def expand(start: Ints, stop: Ints) -> tuple[Ints, Ints]:
    """All integers of the ranges [start, stop), with the index of the range that each belongs to."""
    sizes = np.maximum(stop - start, 0)
    owner = np.repeat(np.arange(len(start), dtype=np.int64), sizes)
    first = np.repeat(np.cumsum(sizes) - sizes, sizes)
    return owner, np.arange(len(owner), dtype=np.int64) - first + start[owner]


@dataclass(frozen=True, eq=False)
class LaneRuns:
    """Runs of lanes that are wanted in each piece: those of piece i are count[i] entries from first[i] on."""

    first: Ints
    count: Ints
    start: Ints
    stop: Ints


def all_lanes(pieces: Pieces) -> LaneRuns:
    """Every lane of each piece."""
    index = np.arange(len(pieces.owner), dtype=np.int64)
    return LaneRuns(index, np.ones_like(index), pieces.first_lane, pieces.last_lane)


def kept_lanes(pieces: Pieces, kept: Bools) -> LaneRuns:
    """The lanes of each piece that `kept` [blocks, lanes] leaves."""
    lanes = kept.shape[1]
    keys = (pieces.block * (lanes + 1) + pieces.first_lane) * (lanes + 1) + pieces.last_lane
    unique, inverse = np.unique(keys, return_inverse=True)
    lane = np.arange(lanes)
    last, first = unique % (lanes + 1), unique // (lanes + 1) % (lanes + 1)
    runs = row_runs(kept[unique // (lanes + 1) ** 2] & (lane >= first[:, None]) & (lane < last[:, None]))
    count = np.bincount(runs.row, minlength=len(unique))
    return LaneRuns((np.cumsum(count) - count)[inverse], count[inverse], runs.start, runs.start + runs.length)


@dataclass(frozen=True, eq=False)
class Runs:
    """Ranges of elements within blocks, counted in storage order, with the tile that each belongs to."""

    owner: Ints
    block: Ints
    start: Ints
    length: Ints


def element_runs(blocks: Blocks, pieces: Pieces, wanted: LaneRuns) -> Runs:
    """The elements of pieces: whole rows in one run, parts of rows by row, and parts of the lanes by position."""
    lanes, width = blocks.lanes, blocks.shape[3]
    full = wanted.count == 1
    full[full] = (wanted.start[wanted.first[full]] == 0) & (wanted.stop[wanted.first[full]] == lanes)
    rows, columns = pieces.last_row - pieces.first_row, pieces.last_column - pieces.first_column
    whole = full & (columns == width)
    if whole.all():
        row_elements = width * lanes
        return Runs(pieces.owner, pieces.block, pieces.first_row * row_elements, rows * row_elements)
    if full.all():
        piece, down = expand(np.zeros_like(rows), np.where(whole, 1, rows))
        position = (pieces.first_row[piece] + down) * width + pieces.first_column[piece]
        length = np.where(whole, rows * width, columns)[piece]
        return Runs(pieces.owner[piece], pieces.block[piece], position * lanes, length * lanes)
    lines = np.where(whole, 1, np.where(full, rows, rows * columns))
    piece, number = expand(np.zeros_like(lines), lines * wanted.count)
    line, run = np.divmod(number, wanted.count[piece])
    per_row = np.where(full, 1, columns)
    down, across = np.divmod(line, per_row[piece])
    run += wanted.first[piece]
    position = (pieces.first_row[piece] + down) * width + pieces.first_column[piece] + across
    positions = np.where(whole, rows * width, np.where(full, columns, 1))[piece]
    length = (wanted.stop[run] - wanted.start[run]) + (positions - 1) * lanes
    return Runs(pieces.owner[piece], pieces.block[piece], position * lanes + wanted.start[run], length)


def masked_runs(blocks: Blocks, pieces: Pieces, kept: Bools) -> Runs:
    """The elements of pieces that `kept` [blocks, lanes, H, W] leaves."""
    _, _, height, width = blocks.shape
    lanes = blocks.lanes
    stored = np.ascontiguousarray(np.moveaxis(kept, 1, 3))
    used = np.asarray(stored.any(axis=(1, 2)))
    covers = used.argmax(axis=1), lanes - used[:, ::-1].argmax(axis=1)  # lanes outside are never kept
    by_row = bool(
        ((pieces.first_lane <= covers[0][pieces.block]) & (pieces.last_lane >= covers[1][pieces.block])).all()
    )
    unit = width * lanes if by_row else lanes
    runs = row_runs(stored.reshape(-1, unit))
    run_start = runs.row * unit + runs.start
    run_stop = run_start + runs.length
    piece, row = expand(pieces.first_row, pieces.last_row)
    line = pieces.block[piece] * height + row
    if by_row:
        low, high = pieces.first_column[piece] * lanes, pieces.last_column[piece] * lanes
    else:
        row_of, column = expand(pieces.first_column[piece], pieces.last_column[piece])
        piece, line = piece[row_of], line[row_of] * width + column
        low, high = pieces.first_lane[piece], pieces.last_lane[piece]
    low, high = line * unit + low, line * unit + high
    line_of, run = expand(np.searchsorted(run_stop, low, side="right"), np.searchsorted(run_start, high))
    start, stop = np.maximum(run_start[run], low[line_of]), np.minimum(run_stop[run], high[line_of])
    piece = piece[line_of]
    block = pieces.block[piece]
    return Runs(pieces.owner[piece], block, start - block * (height * width * lanes), stop - start)


def merged(table: RunTable, *, in_order: bool) -> RunTable:
    """The same bytes in as few runs as possible; runs that are not in order are sorted first."""
    request, start, stop = table.request, table.start, table.start + table.length
    if not in_order:
        order = np.lexsort((start, request))
        request, start, stop = request[order], start[order], stop[order]
    if not len(request):
        return table
    new = np.ones(len(request), np.bool_)
    new[1:] = (request[1:] != request[:-1]) | (start[1:] > stop[:-1])
    first = np.flatnonzero(new)
    return RunTable(table.requests, request[first], start[first], np.maximum.reduceat(stop, first) - start[first])
