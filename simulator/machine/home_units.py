"""Units of a compressed feature map that each stay at the address of their raw data: tiles of a block, or lines.

A unit is coded on its own and takes up as many whole bursts as it needs of the room that it would take raw, so that it
is found without knowing the sizes of those before it.
"""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
import numpy.typing as npt

from simulator.compression import Codec, Units, UnitSizes, falls_back, unit_sizes
from simulator.machine.pieces import Blocks, Pieces, Scalar, all_lanes, element_runs, expand
from simulator.mapping.distinct import distinct

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class StorageUnit:
    """What a compressed feature map is cut into: packed rows of a block, or units at home.

    rows and columns are those of a tile, line_bytes those of a line. burst: bytes of a burst, of which a unit at home
    takes whole ones. raw_fallback: whether units that the codec does not make smaller are raw, None for what is usual.
    """

    kind: Literal["row", "line", "tile"] = "row"
    at_home: bool = False
    rows: int = 1
    columns: int = 1
    line_bytes: int = 128
    burst: int = 1
    raw_fallback: bool | None = None

    def falls_back(self, codec: Codec) -> bool:
        """Whether units that the codec does not make smaller are raw."""
        return falls_back(codec, self.raw_fallback, on_its_own=self.at_home)


PACKED_ROWS = StorageUnit()
"""Rows of a block behind each other, bit by bit."""


class HomeUnits(Protocol):
    """The units of a tensor, numbered in order of addresses. count: how many; room: bytes that each has from the
    beginning of one to that of the next."""

    @property
    def count(self) -> int:
        """Units of the tensor."""

    @property
    def room(self) -> int:
        """Bytes from one unit to the next."""

    @property
    def elements(self) -> Ints:
        """Elements of each unit, padding included."""

    def cut(self, values: npt.NDArray[Scalar]) -> Iterator[tuple[Ints, npt.NDArray[Scalar]]]:
        """Values [N, C, H, W] as units of equal length: their numbers, and [units, elements] in storage order."""

    def touched(self, pieces: Pieces) -> tuple[Ints, Ints]:
        """The tile and number of every unit that pieces touch, each once for a tile, in order of both."""


@dataclass(frozen=True)
class TileUnits:
    """Tiles of `rows` times `columns` positions of every block, those at its edges as small as what is left."""

    blocks: Blocks
    rows: int
    columns: int
    room: int

    @property
    def _grid(self) -> tuple[int, int]:
        _, _, height, width = self.blocks.shape
        return -(-height // self.rows), -(-width // self.columns)

    @property
    def per_block(self) -> int:
        """Units of a block."""
        down, across = self._grid
        return down * across

    @property
    def count(self) -> int:
        """Units of the tensor."""
        return self.blocks.shape[0] * self.blocks.per_image * self.per_block

    @property
    def elements(self) -> Ints:
        """Elements of each unit, padded channels included."""
        _, _, height, width = self.blocks.shape
        rows, columns = (
            np.minimum(step, side - np.arange(0, side, step))
            for side, step in ((height, self.rows), (width, self.columns))
        )
        return np.tile(np.outer(rows, columns).ravel() * self.blocks.lanes, self.count // self.per_block)

    def cut(self, values: npt.NDArray[Scalar]) -> Iterator[tuple[Ints, npt.NDArray[Scalar]]]:
        """The tiles inside, and those at the edges."""
        _, _, height, width = self.blocks.shape
        stored = np.moveaxis(self.blocks.spread(values), 1, 3)
        blocks, lanes = stored.shape[0], stored.shape[3]
        numbers = np.arange(self.count, dtype=np.int64).reshape(blocks, *self._grid)
        for top, bottom, rows in _parts(height, self.rows):
            for left, right, columns in _parts(width, self.columns):
                down, across = (bottom - top) // rows, (right - left) // columns
                part = stored[:, top:bottom, left:right].reshape(blocks, down, rows, across, columns, lanes)
                tiles = part.transpose(0, 1, 3, 2, 4, 5).reshape(blocks * down * across, rows * columns * lanes)
                first = top // self.rows, left // self.columns
                inside = numbers[:, first[0] : first[0] + down, first[1] : first[1] + across]
                yield inside.ravel(), tiles

    def touched(self, pieces: Pieces) -> tuple[Ints, Ints]:
        """All tiles that a piece covers in part, with all channels of its block."""
        _, across = self._grid
        piece, row = expand(pieces.first_row // self.rows, -(-pieces.last_row // self.rows))
        first, last = pieces.first_column[piece] // self.columns, -(-pieces.last_column[piece] // self.columns)
        line, column = expand(first, last)
        piece, row = piece[line], row[line]
        return _each_once(pieces.owner[piece], pieces.block[piece] * self.per_block + row * across + column, self.count)


@dataclass(frozen=True)
class LineUnits:
    """Lines of `room` bytes of the raw image, every image from a line of its own on."""

    blocks: Blocks
    bits: int
    room: int

    @property
    def block_bytes(self) -> int:
        """Bytes of a raw block."""
        _, _, height, width = self.blocks.shape
        return -(-height * width * self.blocks.lanes * self.bits // 8)

    @property
    def per_image(self) -> int:
        """Lines of an image."""
        return -(-self.blocks.per_image * self.block_bytes // self.room)

    @property
    def count(self) -> int:
        """Units of the tensor."""
        return self.blocks.shape[0] * self.per_image

    @property
    def elements(self) -> Ints:
        """Elements of each unit, padding included."""
        return np.full(self.count, self.room * 8 // self.bits, np.int64)

    def cut(self, values: npt.NDArray[Scalar]) -> Iterator[tuple[Ints, npt.NDArray[Scalar]]]:
        """All lines, in one; zeros where blocks and images are padded."""
        images = self.blocks.shape[0]
        stored = np.moveaxis(self.blocks.spread(values), 1, 3)
        blocks = stored.reshape(images * self.blocks.per_image, -1)
        of_block = _padded(blocks, self.block_bytes * 8 // self.bits).reshape(images, -1)
        elements = self.room * 8 // self.bits
        yield (
            np.arange(self.count, dtype=np.int64),
            _padded(of_block, self.per_image * elements).reshape(self.count, elements),
        )

    def touched(self, pieces: Pieces) -> tuple[Ints, Ints]:
        """All lines in which a piece has an element."""
        runs = element_runs(self.blocks, pieces, all_lanes(pieces))
        wanted = runs.length > 0
        owner, block, start, length = (part[wanted] for part in (runs.owner, runs.block, runs.start, runs.length))
        image, inside = np.divmod(block, self.blocks.per_image)
        # Runs that reach into the blocks behind theirs do so without padding between.
        first = inside * self.block_bytes + start * self.bits // 8
        last = inside * self.block_bytes + -(-(start + length) * self.bits // 8)
        run, line = expand(first // self.room, -(-last // self.room))
        return _each_once(owner[run], image[run] * self.per_image + line, self.count)


def home_sizes(
    home: HomeUnits, nonzero: Bools, values: Ints | None, codec: Codec, bits: int, unit: StorageUnit
) -> UnitSizes:
    """The sizes of all units, [units] each: raw where the codec does not save a burst, if units fall back to that.

    Units of another length, at the edges, have another code table, where the codec has one.
    """
    data, index, raw = np.zeros(home.count, np.int64), np.zeros(home.count, np.int64), np.zeros(home.count, np.bool_)
    shared = 0
    values_of = itertools.repeat(None) if values is None else (part[:, None] for _, part in home.cut(values))
    for (number, part), known in zip(home.cut(nonzero), values_of, strict=False):
        units, burst_bits = Units.of(part[:, None], known), unit.burst * 8
        sizes = unit_sizes(codec, units, bits, raw_fallback=unit.falls_back(codec), granule_bits=burst_bits)
        shared += sizes.shared
        data[number], index[number], raw[number] = sizes.data[:, 0], sizes.index[:, 0], sizes.raw[:, 0]
    return UnitSizes(data, index, raw, shared)


def _each_once(owner: Ints, unit: Ints, count: int) -> tuple[Ints, Ints]:
    keys = distinct(owner * count + unit)
    return keys // count, keys % count


def _parts(length: int, step: int) -> list[tuple[int, int, int]]:
    """Beginning, end and step of the whole steps in a length, and of what is left."""
    whole = length // step * step
    parts = [(0, whole, step), (whole, length, length - whole)]
    return [part for part in parts if part[1] > part[0]]


def _padded(rows: npt.NDArray[Scalar], length: int) -> npt.NDArray[Scalar]:
    """Rows filled up with zeros to a length."""
    if rows.shape[1] == length:
        return rows
    return np.pad(rows, ((0, 0), (0, length - rows.shape[1])))
