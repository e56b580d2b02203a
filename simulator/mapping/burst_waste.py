"""Estimates for the tile search: how many bytes bursts and layout move for each byte that a tile of a tensor needs."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from simulator.mapping.loop_nest import LoopNest
from simulator.trace.records import Shape

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Stored:
    """How a tensor lies in memory. lanes: channels side by side; compressed: in units of rows, to be fetched whole;
    ratio: bytes stored per raw byte, as far as the planner can tell, with the bursts of units that stay at home: lines
    of line_bytes, or tiles of (rows, columns) of a block."""

    lanes: int = 1
    compressed: bool = False
    ratio: float = 1.0
    line_bytes: int | None = None
    tile: tuple[int, int] | None = None


@dataclass(frozen=True)
class Storage:
    """How each input of a layer, and its OFM, lie in memory."""

    inputs: tuple[Stored, ...]
    ofm: Stored


@dataclass(frozen=True, eq=False)
class TileExtent:
    """What tiles take of a tensor [C, H, W], one entry per candidate: channels, of a layer's `of_channels`, p and q.

    rows, columns: of the tensor, halo included, on average over the tiles; row_step, column_step: what the first row
    and column of every tile are multiples of.
    """

    channels: Ints
    of_channels: int
    p: Ints
    q: Ints
    rows: Floats
    columns: Floats
    row_step: Ints
    column_step: Ints


def tensor_waste(nest: LoopNest, tile: TileExtent, shape: Shape, stored: Stored, bits: int, burst: int) -> Floats:
    """Bytes moved over bytes wanted for tiles of a tensor; compressed tiles want whole rows already."""
    if stored.tile is not None:
        return _tile_waste(tile, shape, stored.lanes, stored.tile)
    if stored.line_bytes is not None:
        return tensor_waste(nest, tile, shape, Stored(stored.lanes), bits, stored.line_bytes)
    lanes, compressed = stored.lanes, stored.compressed
    if burst * 8 <= bits and lanes == 1:
        return np.ones(1)
    if lanes == 1 and compressed:
        run = run_elements(nest, tile, shape, compressed) * (bits / 8 * stored.ratio)
        return burst_waste(run, bits / 8, burst, aligned=False)
    if lanes == 1:
        return _run_waste(nest, tile, shape, bits, burst)
    channels = np.maximum(np.rint(tile.channels * shape[0] / tile.of_channels).astype(np.int64), 1)
    channels = np.minimum(channels, shape[0])
    shared = np.gcd(channels, lanes)
    positions = _positions(nest, tile, shape)
    blocks = (channels + lanes - shared) / lanes
    if compressed:
        taken = np.minimum(blocks * lanes, shape[0]) / channels
        return taken * burst_waste(positions * lanes * (bits / 8 * stored.ratio), bits / 8, burst, aligned=False)
    whole = positions >= shape[1] * shape[2]
    block_run = positions * lanes * np.where(whole, np.maximum(channels // lanes, 1), 1) * bits / 8
    full = burst_waste(block_run, int(np.gcd(lanes * bits, burst * 8)) / 8, burst)
    share, part = _partial_blocks(channels, shape[0], lanes, shared, blocks)
    aligned = np.gcd(np.gcd(channels, lanes) * bits, burst * 8) / 8
    run = np.maximum(part * bits / 8, bits / 8)
    by_position = np.minimum(1.0 + np.maximum(0.0, burst - aligned) / run, lanes * bits / 8 / run * full)
    return np.asarray((1 - share) * full + share * by_position, np.float64)


def _run_waste(nest: LoopNest, tile: TileExtent, shape: Shape, bits: int, burst: int) -> Floats:
    """Bytes moved over bytes wanted for tiles of an NCHW tensor without compression.

    A run begins at a multiple of what its tile's first row and column, the rows and the planes have in common with a
    burst, here a. Lengthened to a whole number of a, it touches burst − a more on average than it holds. Parts of short
    rows, and of small planes, touch no more than what lies between the first and the last of them.
    """
    plane, width = shape[1] * shape[2], shape[2]
    whole_rows = tile.q >= nest.q
    whole_planes = whole_rows & (tile.p >= nest.p)
    channels = np.maximum(np.rint(tile.channels * shape[0] / tile.of_channels).astype(np.int64), 1)
    everything = tile.channels >= tile.of_channels
    planes = np.where(everything, shape[0] * nest.n, channels)
    run = np.where(whole_planes, planes * plane, np.where(whole_rows, tile.rows * width, tile.columns))
    rows_span = (tile.rows - 1) * width + tile.columns
    begins = np.where(whole_planes, planes * plane, np.gcd(plane, np.where(whole_rows, tile.row_step, 1) * width))
    begins = np.where(whole_rows, begins, np.gcd(begins, tile.column_step))
    shared = np.gcd(begins * bits, burst * 8)

    def touched(elements: Floats) -> Floats:
        return np.asarray(np.ceil(elements * bits / shared - 1e-9) * shared + burst * 8 - shared, np.float64)

    of_plane = np.where(whole_rows, touched(run), np.minimum(tile.rows * touched(run), touched(rows_span)))
    in_plane = np.where(whole_rows, run, tile.rows * run)
    together = touched((channels - 1) * plane + np.where(whole_rows, run, rows_span)) / channels
    of_plane = np.where(whole_planes, of_plane, np.minimum(of_plane, together))
    return np.asarray(of_plane / np.maximum(in_plane * bits, 1.0), np.float64)


def _tile_waste(tile: TileExtent, shape: Shape, lanes: int, unit: tuple[int, int]) -> Floats:
    """Elements of all units that a tile touches over those that it needs: an extent that begins at a multiple of what
    its tiles' begins share with a unit, lengthened to a whole number of that, touches so many more on average."""
    channels = np.clip(np.rint(tile.channels * shape[0] / tile.of_channels).astype(np.int64), 1, shape[0])
    waste: Floats = np.ones(1)
    for extent, begins, side, step in (
        (channels, channels, shape[0], lanes),
        (tile.rows, tile.row_step, shape[1], unit[0]),
        (tile.columns, tile.column_step, shape[2], unit[1]),
    ):
        shared = np.gcd(begins, step)
        taken = np.ceil(extent / shared - 1e-9) * shared + step - shared
        waste = waste * np.where(extent >= side, 1.0, np.minimum(taken, side) / np.maximum(extent, 1e-9))
    return waste


def _partial_blocks(channels: Ints, of: int, lanes: int, shared: Ints, blocks: Floats) -> tuple[Floats, Floats]:
    """The share of a tile's channels that lie in blocks of which it takes a part, and the channels of such a part.

    Tiles of all channels cut only the last block. Others begin anywhere at multiples of what tile and block share.
    """
    tail = of % lanes
    everything = channels >= of
    inside = np.where(channels < lanes, 1.0, np.minimum((lanes - shared) / channels, 1.0))
    share = np.where(everything, tail / of, np.where(channels % lanes == 0, 0.0, inside))
    part = np.where(everything, tail, np.where(channels < lanes, channels / blocks, lanes / 2))
    return np.asarray(share, np.float64), np.asarray(part, np.float64)


def _positions(nest: LoopNest, tile: TileExtent, shape: Shape) -> Floats:
    """Positions that follow each other in a tile: part of a row, rows, or the plane."""
    rows = tile.p * shape[1] / nest.p * shape[2]
    columns = tile.q * shape[2] / nest.q
    return np.asarray(np.where(tile.q >= nest.q, rows, columns), np.float64)


def run_elements(nest: LoopNest, tile: TileExtent, shape: Shape, compressed: bool) -> Floats:
    """Elements that follow each other in a tile of an NCHW tensor: part of a row, rows, whole planes, or all of it.

    Compressed planes leave gaps behind them, so they never join.
    """
    plane = shape[1] * shape[2]
    planes = np.where(tile.channels >= tile.of_channels, shape[0] * nest.n, tile.channels * shape[0] / tile.of_channels)
    planes = planes * plane
    if compressed:
        planes = np.full_like(planes, plane)
    whole = (tile.p >= nest.p) & (tile.q >= nest.q)
    return np.asarray(np.where(whole, planes, _positions(nest, tile, shape)), np.float64)


def burst_waste(run_bytes: npt.ArrayLike, element_bytes: float, burst: int, aligned: bool = True) -> Floats:
    """Bytes moved over bytes wanted: a run at a random address touches (length + burst − element) / burst bursts.

    Runs of whole bursts waste nothing, unless compression (aligned False) has shifted what precedes them.
    """
    run = np.maximum(np.asarray(run_bytes, np.float64), 1.0)
    wasted = 1.0 + max(0.0, burst - element_bytes) / run
    return np.where(run % burst == 0, 1.0, wasted) if aligned else wasted
