"""A feature map as it lies in DRAM: which bytes a tile of it is, after compression and pruning.

Layout NCHW: image by image, channel by channel, row by row. A compressed feature map keeps every channel at the address
it would have uncompressed, so that maps can be found; its rows follow each other bit by bit without gaps, and a table
holds the size of each row, in as many bits as the largest row needs.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from simulator.compression import codec_of
from simulator.machine.dram import RunTable
from simulator.trace.zero_map import row_runs

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class StoredFeatureMap:
    """One tensor of a batch in DRAM.

    shape (N, C, H, W); bits per element; nonzero and kept are [N, C, H, W] maps or None when everything counts: nonzero
    for compression, kept for what dynamic pruning leaves ([N, C, 1, 1] when it flags whole feature maps). view: the
    (C, H, W) in which a layer sees the same elements in the same order (a flatten), when it is not the stored one.
    """

    shape: tuple[int, int, int, int]
    bits: int
    codec: str
    nonzero: Bools | None
    kept: Bools | None
    view: tuple[int, int, int] | None = None

    @property
    def plane_bytes(self) -> int:
        """Bytes reserved for one channel of one image."""
        return -(-self.shape[2] * self.shape[3] * self.bits // 8)

    def row_bits(self) -> tuple[Ints, Ints]:
        """Stored bits of every row [N, C, H] and how many of them are index."""
        images, channels, height, width = self.shape
        if self.nonzero is None:
            counts = np.full((images, channels, height), width, np.int64)
        else:
            counts = np.count_nonzero(self.nonzero, axis=3).astype(np.int64)
        codec = codec_of(self.codec)
        index = codec.index_bits(width, counts, self.bits)
        return codec.data_bits(width, counts, self.bits) + index, index

    @property
    def table_entry_bits(self) -> int:
        """Bits of a size table entry: enough for the bytes of a raw row."""
        return (-(-self.shape[3] * self.bits // 8)).bit_length()


@dataclass(frozen=True)
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
class StoredTiles:
    """Tiles as DRAM requests: the runs of each, and the bytes of them that say where zeros are."""

    runs: RunTable
    index_bytes: Ints
    table_bytes: Ints
    elements: Ints


def stored_tiles(tensor: StoredFeatureMap, boxes: Boxes) -> StoredTiles:
    """What loading or storing each tile touches.

    Tiles of a compressed tensor take whole rows, and so do tiles of a view. A feature map that is flagged as a whole is
    not there; of the flagged tiles of others a compressed tensor has only index bits, which stay.
    """
    owner, plane, first_row, last_row = _planes(tensor, boxes) if tensor.view is None else _seen_planes(tensor, boxes)
    if tensor.kept is not None:
        alive = tensor.kept.any(axis=(2, 3)).reshape(-1)[plane]
        owner, plane, first_row, last_row = owner[alive], plane[alive], first_row[alive], last_row[alive]
    width = tensor.shape[3]
    if tensor.view is None:
        column_start, column_stop = (bound[owner] for bound in boxes.columns)
    else:
        column_start, column_stop = np.zeros_like(owner), np.full_like(owner, width)

    def per_tile(values: Ints) -> Ints:
        return np.bincount(owner, weights=values, minlength=boxes.count).astype(np.int64)

    nothing = np.zeros(boxes.count, np.int64)
    elements = per_tile((last_row - first_row) * (column_stop - column_start))
    if tensor.codec != "raw":
        sizes, index = tensor.row_bits()
        first_bit, last_bit = _cumulative(sizes, plane, first_row, last_row)
        start, stop = first_bit // 8, -(-last_bit // 8)
        runs = RunTable.of(boxes.count, owner, plane * tensor.plane_bytes + start, stop - start)
        index_start, index_stop = _cumulative(index, plane, first_row, last_row)
        table_bytes = -(-per_tile(last_row - first_row) * tensor.table_entry_bits // 8)
        return StoredTiles(runs, -(-per_tile(index_stop - index_start) // 8), table_bytes, elements)
    if tensor.kept is not None and tensor.kept.shape[2:] != (1, 1) and tensor.view is None:
        return _masked_tiles(tensor, boxes)
    if ((column_start == 0) & (column_stop == width)).all():
        begin, end = first_row * width * tensor.bits, last_row * width * tensor.bits
        start = plane * tensor.plane_bytes + begin // 8
        runs = RunTable.of(boxes.count, owner, start, -(-end // 8) - begin // 8)
        return StoredTiles(runs, nothing, nothing, elements)
    line_of, row = _expand(first_row, last_row)
    begin = (row * width + column_start[line_of]) * tensor.bits
    end = (row * width + column_stop[line_of]) * tensor.bits
    start = plane[line_of] * tensor.plane_bytes + begin // 8
    length = -(-end // 8) - begin // 8
    return StoredTiles(RunTable.of(boxes.count, owner[line_of], start, length), nothing, nothing, elements)


def _seen_planes(tensor: StoredFeatureMap, boxes: Boxes) -> tuple[Ints, Ints, Ints, Ints]:
    """`_planes` for tiles that are given in the view's coordinates: the stored rows that hold their elements."""
    assert tensor.view is not None
    _, channels, height, width = tensor.shape
    view_channels, view_height, view_width = tensor.view
    image_of, image = _expand(*boxes.images)
    first, last = boxes.channels[0][image_of], boxes.channels[1][image_of]
    if view_height * view_width == 1:  # channels follow each other without a gap
        owner, start, stop = image_of, first, last
    else:
        channel_of, channel = _expand(first, last)
        owner, image = image_of[channel_of], image[channel_of]
        base = channel * view_height * view_width
        start, stop = (base + bound[owner] * view_width for bound in boxes.rows)
    plane_size = height * width
    piece_of, plane = _expand(start // plane_size, -(-stop // plane_size))
    offset = plane * plane_size
    first_row = np.clip((start[piece_of] - offset) // width, 0, height)
    last_row = np.clip(-(-(stop[piece_of] - offset) // width), 0, height)
    assert view_channels * view_height * view_width == channels * plane_size
    return owner[piece_of], image[piece_of] * channels + plane, first_row, last_row


def _planes(tensor: StoredFeatureMap, boxes: Boxes) -> tuple[Ints, Ints, Ints, Ints]:
    """Every (tile, image, channel) with its plane number and rows, in address order within a tile."""
    channels = tensor.shape[1]
    image_of, image = _expand(*boxes.images)
    channel_of, channel = _expand(boxes.channels[0][image_of], boxes.channels[1][image_of])
    owner = image_of[channel_of]
    plane = image[channel_of] * channels + channel
    return owner, plane, boxes.rows[0][owner], boxes.rows[1][owner]


def _expand(start: Ints, stop: Ints) -> tuple[Ints, Ints]:
    """All integers of the ranges [start, stop), with the index of the range that each belongs to."""
    sizes = np.maximum(stop - start, 0)
    owner = np.repeat(np.arange(len(start), dtype=np.int64), sizes)
    first = np.repeat(np.cumsum(sizes) - sizes, sizes)
    return owner, np.arange(len(owner), dtype=np.int64) - first + start[owner]


def _cumulative(sizes: Ints, plane: Ints, first_row: Ints, last_row: Ints) -> tuple[Ints, Ints]:
    """Offsets within a plane at which a range of rows starts and stops."""
    images, channels, height = sizes.shape
    offsets = np.zeros((images * channels, height + 1), np.int64)
    np.cumsum(sizes.reshape(-1, height), axis=1, out=offsets[:, 1:])
    return offsets[plane, first_row], offsets[plane, last_row]


def _masked_tiles(tensor: StoredFeatureMap, boxes: Boxes) -> StoredTiles:
    """Runs of the elements that pruning keeps, tile by tile."""
    assert tensor.kept is not None
    images, channels, height, width = tensor.shape
    kept = tensor.kept.reshape(images * channels, height, width)
    requests, starts, lengths, elements = [], [], [], []
    for tile in range(boxes.count):
        image, channel, row, column = (
            slice(int(bounds[0][tile]), int(bounds[1][tile]))
            for bounds in (boxes.images, boxes.channels, boxes.rows, boxes.columns)
        )
        planes = (
            np.arange(image.start, image.stop)[:, None] * channels + np.arange(channel.start, channel.stop)
        ).ravel()
        mask = kept[planes, row, column]
        runs = row_runs(mask.reshape(mask.shape[0] * mask.shape[1], mask.shape[2]))
        plane, line = planes[runs.row // max(mask.shape[1], 1)], runs.row % max(mask.shape[1], 1) + row.start
        begin = (line * width + runs.start + column.start) * tensor.bits
        end = begin + runs.length * tensor.bits
        requests.append(np.full(len(begin), tile, np.int64))
        starts.append(plane * tensor.plane_bytes + begin // 8)
        lengths.append(-(-end // 8) - begin // 8)
        elements.append(int(mask.sum()))
    table = RunTable.of(boxes.count, np.concatenate(requests), np.concatenate(starts), np.concatenate(lengths))
    nothing = np.zeros(boxes.count, np.int64)
    return StoredTiles(table, nothing, nothing, np.array(elements, np.int64))
