"""Zero-maps packed to one bit per element, and the arithmetic on them.

A packed map has shape [..., C, ceil(H·W/8)]: bit 1 says "not zero", a feature map starts on a byte, the first element
is the highest bit of the first byte, and the padding bits are 0. Everything here is numpy on whole arrays.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Packed = npt.NDArray[np.uint8]
Bools = npt.NDArray[np.bool_]
Counts = npt.NDArray[np.int64]


def pack(nonzero: Bools) -> Packed:
    """Packs [..., C, H, W] booleans (True = not zero) to [..., C, ceil(H·W/8)] bytes."""
    *lead, rows, columns = nonzero.shape
    return np.packbits(nonzero.reshape(*lead, rows * columns), axis=-1)


def unpack(packed: Packed, height: int, width: int) -> Bools:
    """The [..., C, H, W] booleans of a packed map (True = not zero)."""
    flat = np.unpackbits(packed, axis=-1, count=height * width).view(np.bool_)
    return flat.reshape(*packed.shape[:-1], height, width)


def nonzeros(packed: Packed) -> Counts:
    """Non-zero elements per feature map: shape [..., C]."""
    counts: Counts = np.bitwise_count(packed).sum(axis=-1, dtype=np.int64)
    return counts


@dataclass(frozen=True, eq=False)
class BoxCounts:
    """Prefix sums of one map, so that the non-zeros of any box cost four look-ups per channel.

    sums has shape [C, H + 1, W + 1]; sums[c, h, w] counts the non-zeros above and left of (h, w).
    """

    sums: npt.NDArray[np.int32]

    @staticmethod
    def of(nonzero: Bools) -> "BoxCounts":
        """The prefix sums of a [C, H, W] boolean map (True = not zero)."""
        channels, height, width = nonzero.shape
        sums = np.zeros((channels, height + 1, width + 1), np.int32)
        np.cumsum(nonzero, axis=1, dtype=np.int32, out=sums[:, 1:, 1:])
        np.cumsum(sums[:, 1:, 1:], axis=2, out=sums[:, 1:, 1:])
        return BoxCounts(sums)

    def count(
        self,
        row_start: npt.ArrayLike,
        row_stop: npt.ArrayLike,
        column_start: npt.ArrayLike,
        column_stop: npt.ArrayLike,
    ) -> Counts:
        """Non-zeros per channel in boxes [row_start, row_stop) × [column_start, column_stop): shape [C, ...boxes].

        Bounds may be arrays that broadcast together; they are clipped to the map, so a box may hang over its edge.
        """
        height, width = self.sums.shape[1] - 1, self.sums.shape[2] - 1
        top, bottom = (np.clip(np.asarray(bound), 0, height) for bound in (row_start, row_stop))
        left, right = (np.clip(np.asarray(bound), 0, width) for bound in (column_start, column_stop))
        bottom, right = np.maximum(bottom, top), np.maximum(right, left)
        sums = self.sums
        result = sums[:, bottom, right] - sums[:, top, right] - sums[:, bottom, left] + sums[:, top, left]
        return result.astype(np.int64)


def tile_counts(nonzero: Bools, tile_rows: int, tile_columns: int) -> Counts:
    """Non-zeros per tile: shape [C, ceil(H/tile_rows), ceil(W/tile_columns)] of a [C, H, W] map."""
    _, height, width = nonzero.shape
    by_row = np.add.reduceat(nonzero.view(np.uint8), np.arange(0, height, tile_rows), axis=1, dtype=np.int64)
    return np.add.reduceat(by_row, np.arange(0, width, tile_columns), axis=2)


@dataclass(frozen=True)
class Runs:
    """Maximal runs of True in rows of a boolean matrix: row index, first column and length of each, in order."""

    row: Counts
    start: Counts
    length: Counts


def row_runs(mask: Bools) -> Runs:
    """The maximal runs of True in each row of a two-dimensional mask."""
    rows, columns = mask.shape
    edges = np.zeros((rows, columns + 2), np.int8)
    edges[:, 1:-1] = mask
    steps = np.diff(edges, axis=1)
    row, start = np.nonzero(steps == 1)
    _, stop = np.nonzero(steps == -1)
    return Runs(row, start, stop - start)
