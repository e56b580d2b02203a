"""Tile sizes of many candidates as arrays, and what the tiles of a loop touch for every tile size."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Literal

import numpy as np
import numpy.typing as npt

from simulator.mapping.dataflow.base import ceil_div
from simulator.mapping.loop_nest import LoopNest

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

Axis = Literal["rows", "columns"]


@dataclass(frozen=True, eq=False)
class Tiles:
    """Tile sizes, one entry per candidate; m as in `Tiling`."""

    g: Ints
    k: Ints
    c: Ints
    n: Ints
    p: Ints
    q: Ints
    m: Ints

    @property
    def count(self) -> int:
        """How many candidates."""
        return len(self.g)

    def take(self, which: Bools | Ints) -> "Tiles":
        """Those that a mask or indices choose."""
        where = np.flatnonzero(which) if which.dtype == np.bool_ else which
        return Tiles(*(getattr(self, loop).take(where) for loop in TILED))

    def replace(self, **sizes: Ints) -> "Tiles":
        """With other sizes of some loops."""
        return dataclasses.replace(self, **sizes)

    def position_tiles(self, nest: LoopNest) -> Ints:
        """Tiles of N, P and Q together."""
        return ceil_div(nest.n, self.n) * ceil_div(nest.p, self.p) * ceil_div(nest.q, self.q)

    @staticmethod
    def joined(parts: Sequence["Tiles"]) -> "Tiles":
        """All candidates of several lots."""
        return Tiles(*(np.concatenate([getattr(part, loop) for part in parts]) for loop in TILED))


TILED = ("g", "k", "c", "n", "p", "q", "m")
"""The fields of `Tiles`."""


@dataclass(frozen=True, eq=False)
class Trips:
    """Into how many tiles each candidate cuts the loops: groups, output channels of a step, those whose psums stay
    (m), input channels, and positions of all images."""

    groups: Ints
    outputs: Ints
    stored_outputs: Ints
    channels: Ints
    positions: Ints

    @cached_property
    def steps(self) -> Ints:
        """Tile steps of the layer."""
        return self.positions * (self.groups * self.outputs * self.channels)


@lru_cache(maxsize=2)
def trips(nest: LoopNest, tile: Tiles) -> Trips:
    """Those of the candidates of a layer; a search asks for them again and again."""
    return Trips(
        groups=ceil_div(nest.g, tile.g),
        outputs=ceil_div(nest.k, tile.k),
        stored_outputs=ceil_div(nest.k, tile.m),
        channels=ceil_div(nest.c, tile.c),
        positions=tile.position_tiles(nest),
    )


@dataclass(frozen=True, eq=False)
class Extents:
    """What tiles of one loop take of a tensor, by tile size (entry 0 is unused): the largest tile's rows (or columns),
    and those of all tiles together."""

    largest: Ints
    summed: Ints


@lru_cache(maxsize=1024)
def input_extents(nest: LoopNest, index: int, axis: Axis) -> Extents:
    """Rows or columns of input `index`, halo included, for every tile size of P or Q."""
    start, stop, firsts = _cuts(nest.p if axis == "rows" else nest.q)
    span = nest.input_rows if axis == "rows" else nest.input_columns
    return _extents(*span(start, stop, index), firsts)


@lru_cache(maxsize=1024)
def output_extents(nest: LoopNest, axis: Axis) -> Extents:
    """Rows or columns of the OFM for every tile size of P or Q."""
    start, stop, firsts = _cuts(nest.p if axis == "rows" else nest.q)
    span = nest.ofm_rows if axis == "rows" else nest.ofm_columns
    return _extents(*span(start, stop), firsts)


def _extents(first: Ints, last: Ints, firsts: Ints) -> Extents:
    size = last - first
    largest, summed = np.maximum.reduceat(size, firsts), np.add.reduceat(size, firsts)
    return Extents(np.append(0, largest), np.append(0, summed))


@lru_cache(maxsize=256)
def _cuts(loop: int) -> tuple[Ints, Ints, Ints]:
    """The tiles [start, stop) of a loop for every tile size, one size after the other, and where each size begins."""
    size = np.arange(1, loop + 1, dtype=np.int64)
    counts = ceil_div(loop, size)
    firsts = np.cumsum(counts) - counts
    tile_size = np.repeat(size, counts)
    start = (np.arange(counts.sum(), dtype=np.int64) - np.repeat(firsts, counts)) * tile_size
    return start, np.minimum(start + tile_size, loop), firsts
