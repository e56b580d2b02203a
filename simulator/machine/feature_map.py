"""A feature map as it lies in DRAM: which bytes a tile of it is, after compression and pruning.

Image by image, block of channels by block, row by row (see `pieces`). A compressed feature map keeps every block at the
address it would have uncompressed (or as the largest that the codec can make it), so that blocks can be found; the
codec's unit is a row of a block, W times its lanes elements, the units follow each other bit by bit without gaps, and a
table holds the size of each, in as many bits as the largest unit needs. A codec that makes one stream of a block needs
no sizes to decode it from its beginning; a tile that begins inside a block looks up where. Units may instead stay each
at its own address (see `home_units`).
"""

import dataclasses
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from simulator.compression import Units, UnitSizes, codec_of, true_counts, unit_sizes
from simulator.hardware.layout import LayoutName, lanes_of
from simulator.machine.dram import RunTable
from simulator.machine.home_units import PACKED_ROWS, HomeUnits, LineUnits, StorageUnit, TileUnits, home_sizes
from simulator.machine.pieces import (
    Blocks,
    Boxes,
    Pieces,
    Scalar,
    all_lanes,
    element_runs,
    expand,
    kept_lanes,
    masked_runs,
    merged,
    pieces_of,
)
from simulator.mapping.distinct import distinct

__all__ = ["Boxes", "StoredFeatureMap", "StoredTiles", "stored_tiles"]

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Region:
    """Where something begins in DRAM, and where its table of sizes does."""

    address: int
    table_address: int


@dataclass(frozen=True, eq=False)
class StoredFeatureMap:
    """One tensor of a batch in DRAM.

    shape (N, C, H, W); bits per element; nonzero and kept are [N, C, H, W] maps or None when everything counts: nonzero
    for compression, kept for what dynamic pruning leaves ([N, C, 1, 1] when it flags whole feature maps). view: the
    (C, H, W) in which a layer sees the same elements, channel by channel and row by row, when it is not the stored one
    (a flatten; images that count as groups). part: the first channel and the channels of the concatenation that the
    tensor was written into; addresses then count from the start of that. region: its place in DRAM, where that matters.
    on_chip: whether it stays on chip instead, laid out alike. unit: what is coded on its own. values: the elements as
    whole numbers, for codecs that look at them. known_sizes: what has been coded before of the same maps, for all that
    share it.
    """

    shape: tuple[int, int, int, int]
    bits: int
    codec: str
    nonzero: Bools | None
    kept: Bools | None
    view: tuple[int, int, int] | None = None
    layout: LayoutName = "NCHW"
    part: tuple[int, int] | None = None
    region: Region | None = None
    on_chip: bool = False
    unit: StorageUnit = PACKED_ROWS
    values: Ints | None = None
    known_sizes: dict[Any, UnitSizes] = field(default_factory=dict, repr=False, compare=False)

    @property
    def blocks(self) -> Blocks:
        """How the channels are cut into blocks."""
        first, channels = self.part or (0, self.shape[1])
        return Blocks(self.shape, lanes_of(self.layout, channels), channels, first)

    @property
    def block_bytes(self) -> int:
        """Bytes reserved for one block of one image."""
        codec, elements, rows = codec_of(self.codec), self.unit_elements, self.shape[2]
        home = self.home_units
        if isinstance(home, TileUnits):
            return home.per_block * home.room
        if home is not None or self.unit.falls_back(codec):
            return -(-rows * elements * self.bits // 8)
        if codec.streams:
            return -(-codec.largest_bits(rows * elements, self.bits) // 8)
        return -(-rows * codec.largest_bits(elements, self.bits) // 8)

    @property
    def stored_bytes(self) -> int:
        """Bytes that the tensor occupies, padding included; for a part those of the whole concatenation."""
        if isinstance(self.home_units, LineUnits):
            return self.home_units.count * self.home_units.room
        return self.shape[0] * self.blocks.per_image * self.block_bytes

    @property
    def unit_elements(self) -> int:
        """Elements of a codec's unit: a row of a block."""
        return self.shape[3] * self.blocks.lanes

    @cached_property
    def home_units(self) -> HomeUnits | None:
        """The units that stay at home, None for packed rows and raw tensors."""
        if self.codec == "raw" or not self.unit.at_home:
            return None
        if self.unit.kind == "line":
            return LineUnits(self.blocks, self.bits, self.unit.line_bytes)
        height, width = self.shape[2:]
        rows, columns = (1, width) if self.unit.kind == "row" else (self.unit.rows, self.unit.columns)
        rows, columns = min(rows, height), min(columns, width)
        codec, elements = codec_of(self.codec), rows * columns * self.blocks.lanes
        falls_back = self.unit.falls_back(codec)
        largest = elements * self.bits if falls_back else codec.largest_bits(elements, self.bits)
        return TileUnits(self.blocks, rows, columns, -(-largest // (8 * self.unit.burst)) * self.unit.burst)

    def unit_bits(self) -> tuple[Ints, Ints]:
        """Stored bits of every unit, packed rows as [N·blocks, H], and how many of them are index."""
        return self.unit_sizes.bits, self.unit_sizes.index

    @property
    def unit_sizes(self) -> UnitSizes:
        """Sizes of every unit: [N·blocks, H] for packed rows, [units] at home. Padding counts as zeros."""
        key = self.codec, self.bits, self.layout, self.part, self.unit, self.nonzero is None
        if key not in self.known_sizes:
            self.known_sizes[key] = self._coded()
        return self.known_sizes[key]

    def _coded(self) -> UnitSizes:
        if self.home_units is not None:
            nonzero = np.ones(self.shape, np.bool_) if self.nonzero is None else self.nonzero
            codec = codec_of(self.codec)
            return home_sizes(self.home_units, nonzero, self.values, codec, self.bits, self.unit)
        images, channels, height, width = self.shape
        dense = np.full((images, channels, height), width, np.int64)
        in_rows = dense if self.nonzero is None else true_counts(self.nonzero)
        in_unit = self.blocks.spread(in_rows).sum(axis=1, dtype=np.int64)
        values = self.values
        units = Units(
            self.unit_elements,
            in_unit,
            lambda: self._in_storage_order(np.ones(self.shape, np.bool_) if self.nonzero is None else self.nonzero),
            None if values is None else lambda: self._in_storage_order(values),
        )
        codec = codec_of(self.codec)
        return unit_sizes(codec, units, self.bits, raw_fallback=self.unit.falls_back(codec))

    def _in_storage_order(self, values: npt.NDArray[Scalar]) -> npt.NDArray[Scalar]:
        """Values by unit, [N·blocks, H, W·lanes]. Padding counts as zeros."""
        return np.moveaxis(self.blocks.spread(values), 1, 3).reshape(-1, self.shape[2], self.unit_elements)

    @property
    def table_entry_bits(self) -> int:
        """Bits of a table entry: enough for the bytes of the largest unit, for its bursts at home, or for any bit of a
        stream."""
        codec = codec_of(self.codec)
        if self.home_units is not None:
            return (self.home_units.room // self.unit.burst).bit_length()
        if codec.streams:
            return (self.block_bytes * 8).bit_length()
        bits = self.unit_elements * self.bits
        largest = bits if self.unit.falls_back(codec) else codec.largest_bits(self.unit_elements, self.bits)
        return (-(-largest // 8)).bit_length()

    @property
    def table_bytes(self) -> int:
        """Bytes of the whole table of sizes."""
        units = self.shape[0] * self.shape[1] * self.shape[2] if self.home_units is None else self.home_units.count
        return -(-self.table_entry_bits * units // 8) + self.shared_bytes

    @property
    def shared_bytes(self) -> int:
        """Bytes of a code table that all units share; 0 for most codecs."""
        return -(-self.unit_sizes.shared // 8) if codec_of(self.codec).needs_values else 0

    def without_flags(self) -> "StoredFeatureMap":
        """The same tensor with nothing pruned."""
        return dataclasses.replace(self, kept=None)


@dataclass(frozen=True, eq=False)
class Skipping:
    """What dynamic pruning could leave out of each tile, and the requests that there would be without it.

    Of a raw tensor flagged elements could save their bits. Of a compressed one they could save what they take up while
    nothing is flagged (`Codec.zero_bits`).
    """

    flagged_bits: Ints
    unpruned: RunTable


@dataclass(frozen=True, eq=False)
class StoredTiles:
    """Tiles as DRAM requests: the runs of each, and the bytes of them that say where zeros are.

    coded: elements that pass the codec for each tile, None for raw tiles.
    """

    runs: RunTable
    index_bytes: Ints
    table_bytes: Ints
    elements: Ints
    coded: Ints | None = None
    skipping: Skipping | None = None


def stored_tiles(tensor: StoredFeatureMap, boxes: Boxes) -> StoredTiles:
    """What loading or storing each tile touches.

    Tiles of a compressed tensor take whole units, and tiles of a view whole rows of each channel. A block whose feature
    maps are all flagged is not there. Of a raw tensor, flagged feature maps and tiles leave holes of single elements;
    of a compressed one they are zeros like others.
    """
    pieces = pieces_of(tensor.blocks, boxes, tensor.view)
    tiles = _tiles(tensor, pieces, boxes.count)
    if tensor.kept is None:
        return tiles
    all_tiles = _tiles(tensor.without_flags(), pieces, boxes.count)
    flagged = (all_tiles.elements - tiles.elements) * tensor.bits
    if tensor.codec != "raw":
        flagged = _flagged_bits(tensor, pieces, boxes.count)
    return dataclasses.replace(tiles, skipping=Skipping(flagged, all_tiles.runs))


def _tiles(tensor: StoredFeatureMap, pieces: Pieces, count: int) -> StoredTiles:
    if tensor.codec != "raw":
        return _compressed_tiles(tensor, pieces, count)
    blocks = tensor.blocks
    if tensor.kept is None:
        runs = element_runs(blocks, pieces, all_lanes(pieces))
    elif _flags_are_maps(tensor):
        kept = _kept_by_lane(tensor, tensor.kept)
        pieces = pieces.where(_any_lane(kept)[pieces.block])
        runs = element_runs(blocks, pieces, all_lanes(pieces) if blocks.lanes == 1 else kept_lanes(pieces, kept))
    else:
        runs = masked_runs(blocks, pieces, blocks.spread(tensor.kept))
    table = _byte_runs(tensor, count, runs.owner, runs.block, runs.start * tensor.bits, runs.length * tensor.bits)
    nothing = np.zeros(count, np.int64)
    elements = _per_tile(runs.owner, runs.length, count)
    return StoredTiles(merged(table, in_order=pieces.in_order), nothing, nothing, elements)


def _byte_runs(tensor: StoredFeatureMap, count: int, owner: Ints, block: Ints, start: Ints, bits: Ints) -> RunTable:
    """The whole bytes around runs of bits that begin at `start` in their block."""
    first, last = start // 8, -(-(start + bits) // 8)
    return RunTable.of(count, owner, block * tensor.block_bytes + first, np.where(bits > 0, last - first, 0))


def _flags_are_maps(tensor: StoredFeatureMap) -> bool:
    """Whether feature maps go as a whole or not at all: whole maps are flagged, or a view takes whole rows of them."""
    assert tensor.kept is not None
    whole_rows = tensor.view is not None and tensor.view[1:] != tensor.shape[2:]
    return tensor.kept.shape[2:] == (1, 1) or whole_rows


def _kept_by_lane(tensor: StoredFeatureMap, kept: Bools) -> Bools:
    """Feature maps that are not flagged as a whole, [N·blocks, lanes]."""
    return tensor.blocks.spread(np.asarray(kept.any(axis=(2, 3))))


def _any_lane(kept: Bools) -> Bools:
    return np.asarray(kept.any(axis=1))


def _compressed_tiles(tensor: StoredFeatureMap, pieces: Pieces, count: int) -> StoredTiles:
    lanes = pieces.last_lane - pieces.first_lane
    there = pieces
    if tensor.kept is not None:
        kept = _kept_by_lane(tensor, tensor.kept)
        before = _offsets(kept)
        lanes = before[pieces.block, pieces.last_lane] - before[pieces.block, pieces.first_lane]
        there = pieces.where(_any_lane(kept)[pieces.block])
    elements = _per_tile(pieces.owner, lanes * pieces.positions, count)
    if tensor.home_units is not None:
        return _home_tiles(tensor, tensor.home_units, there, elements)
    owner, block, first, last = _units(tensor, there)
    sizes, index = tensor.unit_bits()
    bits, index_bits = _offsets(sizes), _offsets(index)
    start = bits[block, first]
    table = _byte_runs(tensor, count, owner, block, start, bits[block, last] - start)
    looked_up = _entries(owner, block, first, last) if codec_of(tensor.codec).streams else last - first
    return StoredTiles(
        merged(table, in_order=True),
        -(-_per_tile(owner, index_bits[block, last] - index_bits[block, first], count) // 8),
        _table_bytes(tensor, _per_tile(owner, looked_up, count)),
        elements,
        _per_tile(owner, last - first, count) * tensor.unit_elements,
    )


def _table_bytes(tensor: StoredFeatureMap, entries: Ints) -> Ints:
    """Bytes of so many entries of the table for each tile; a code table comes with the first."""
    size = -(-entries * tensor.table_entry_bits // 8)
    size[:1] += tensor.shared_bytes
    return size


def _home_tiles(tensor: StoredFeatureMap, home: HomeUnits, pieces: Pieces, elements: Ints) -> StoredTiles:
    """Tiles of units at home: the bytes of each unit from its own address on, and its entry of the table."""
    count = len(elements)
    owner, unit = home.touched(pieces)
    bits, index = tensor.unit_bits()
    table = RunTable.of(count, owner, unit * home.room, -(-bits[unit] // 8))
    return StoredTiles(
        merged(table, in_order=True),
        -(-_per_tile(owner, index[unit], count) // 8),
        _table_bytes(tensor, _per_tile(owner, np.ones_like(unit), count)),
        elements,
        _per_tile(owner, home.elements[unit], count),
    )


def _entries(owner: Ints, block: Ints, first: Ints, last: Ints) -> Ints:
    """1 for units at which a tile enters a stream inside: neither at its beginning nor where it has read up to."""
    inside = first > 0
    same = (owner[1:] == owner[:-1]) & (block[1:] == block[:-1]) & (first[1:] == last[:-1])
    inside[1:] &= ~same
    return inside.astype(np.int64)


def _units(tensor: StoredFeatureMap, pieces: Pieces) -> tuple[Ints, Ints, Ints, Ints]:
    """The tile, block and range of rows of the units that pieces touch, in order, each unit once."""
    if pieces.in_order:
        return pieces.owner, pieces.block, pieces.first_row, pieces.last_row
    height, blocks = tensor.shape[2], tensor.shape[0] * tensor.blocks.per_image
    piece, row = expand(pieces.first_row, pieces.last_row)
    unit = distinct((pieces.owner[piece] * blocks + pieces.block[piece]) * height + row)
    return unit // (height * blocks), unit // height % blocks, unit % height, unit % height + 1


def _flagged_bits(tensor: StoredFeatureMap, pieces: Pieces, count: int) -> Ints:
    """Bits that the flagged elements of a compressed tensor take up in the units that tiles load."""
    assert tensor.kept is not None
    if tensor.home_units is not None:
        return _flagged_at_home(tensor, tensor.home_units, pieces, count)
    images, channels, height, width = tensor.shape
    flagged = np.count_nonzero(~tensor.kept, axis=3) * (width // tensor.kept.shape[3])
    flagged = np.broadcast_to(flagged, (images, channels, height))
    in_unit = tensor.blocks.spread(flagged).sum(axis=1, dtype=np.int64)
    in_codec = codec_of(tensor.codec).zero_bits(in_unit, tensor.bits)
    before = _offsets(np.where(tensor.unit_sizes.raw, in_unit * tensor.bits, in_codec))
    owner, block, first, last = _units(tensor, pieces)
    return _per_tile(owner, before[block, last] - before[block, first], count)


def _flagged_at_home(tensor: StoredFeatureMap, home: HomeUnits, pieces: Pieces, count: int) -> Ints:
    assert tensor.kept is not None
    flagged = np.zeros(home.count, np.int64)
    for number, part in home.cut(np.broadcast_to(~tensor.kept, tensor.shape)):
        flagged[number] = np.count_nonzero(part, axis=1)
    in_codec = codec_of(tensor.codec).zero_bits(flagged, tensor.bits)
    bits = np.where(tensor.unit_sizes.raw, flagged * tensor.bits, in_codec)
    owner, unit = home.touched(pieces)
    return _per_tile(owner, bits[unit], count)


def _offsets(sizes: npt.NDArray[Any]) -> Ints:
    """Sums of each row of `sizes` up to each of its entries: [rows, entries + 1]."""
    offsets = np.zeros((sizes.shape[0], sizes.shape[1] + 1), np.int64)
    np.cumsum(sizes, axis=1, out=offsets[:, 1:])
    return offsets


def _per_tile(owner: Ints, values: Ints, count: int) -> Ints:
    return np.bincount(owner, weights=values, minlength=count).astype(np.int64)
