"""The tiles that a search looks at.

DRAM traffic never grows with a tile, so the least traffic is found among the largest tiles that fit: for every tile of
positions and every number k of output channels the most input channels c (a), and for the same with k as small as need
be the most output channels m whose psums stay (b). Time can also ask for smaller tiles, of which round sizes do (c).
A tile of several groups holds them whole: no operand is shared between groups, so it saves array cycles, not traffic.
"""

from collections.abc import Callable

import numpy as np

from simulator.hardware.mapping import FixedTiles
from simulator.mapping.burst_waste import Storage
from simulator.mapping.capacity import Capacity
from simulator.mapping.dataflow import Dataflow
from simulator.mapping.dataflow.base import ceil_div
from simulator.mapping.dataflow.row_stationary import RowStationary
from simulator.mapping.loop_nest import LoopNest
from simulator.mapping.tile_sizes import LoopSizes, Positions, coarse, row_sizes
from simulator.mapping.tiles import TILED, Ints, Tiles

Grow = Callable[[Tiles, Ints], Tiles]
"""Candidates with a size for each of one more loop, given by index from the smallest to the largest."""


def candidates(capacity: Capacity, dataflow: Dataflow, storage: Storage, fixed: FixedTiles) -> Tiles:
    """Tiles that fit into the buffers, none where nothing does."""
    nest, sizes = capacity.nest, LoopSizes.of(capacity.nest, fixed)
    if nest.unit == "array" and isinstance(dataflow, RowStationary):
        return _passes(capacity, dataflow, sizes, fixed)
    positions = Positions.of(capacity, storage, sizes, fixed)
    parts = []
    if nest.k == 1 and nest.c == 1:
        parts.append(_grown_groups(capacity, positions, sizes))
        parts.append(_groups(capacity, positions, sizes))
    else:
        if fixed.g in (None, 1):
            one_group = np.ones(1, np.int64)
            parts += _channels(capacity, positions, sizes, fixed, one_group)
        if nest.g > 1 and fixed.g != 1 and fixed.k in (None, nest.k) and fixed.c in (None, nest.c):
            parts.append(_groups(capacity, positions, sizes))
    return Tiles.joined(parts)


def smallest(nest: LoopNest, dataflow: Dataflow, fixed: FixedTiles) -> Tiles:
    """The smallest tiles, and the whole layer, which needs no second copy of anything."""
    small = {loop: getattr(fixed, loop) or 1 for loop in ("g", "k", "c", "n", "p", "q")}
    if nest.unit == "array" and isinstance(dataflow, RowStationary):
        small["q"] = nest.q
    if small["g"] > 1:
        small |= {"k": nest.k, "c": nest.c}
    small["m"] = fixed.m or small["k"]
    whole = {loop: getattr(fixed, loop) or getattr(nest, loop) for loop in ("g", "k", "c", "n", "p", "q")}
    whole["m"] = fixed.m or whole["k"]
    return Tiles(**{loop: np.array([small[loop], whole[loop]], np.int64) for loop in small})


def nothing() -> Tiles:
    """No candidates."""
    return Tiles(*(np.zeros(0, np.int64) for _ in TILED))


def _product(*axes: Ints) -> tuple[Ints, ...]:
    return tuple(axis.ravel() for axis in np.meshgrid(*axes, indexing="ij"))


def _tiles(positions: Positions, which: Ints, **channels: Ints) -> Tiles:
    return Tiles(n=positions.n[which], p=positions.p[which], q=positions.q[which], **channels)


def _fitting(capacity: Capacity, tile: Tiles) -> Tiles:
    return tile.take(capacity.fits(tile))


def _channels(
    capacity: Capacity, positions: Positions, sizes: LoopSizes, fixed: FixedTiles, one_group: Ints
) -> list[Tiles]:
    """Tiles of one group."""
    nest = capacity.nest
    every, simple = np.arange(positions.count), np.flatnonzero(positions.simple)
    few_k, few_c = coarse(nest.k, sizes.k), coarse(nest.c, sizes.c)
    found = []

    def largest_c(tile: Tiles) -> Tiles:
        grow: Grow = lambda of, index: of.replace(c=sizes.c[index])  # noqa: E731
        return grown(tile, grow, np.full(tile.count, len(sizes.c)), capacity)

    whole_k = sizes.k if fixed.m is None else sizes.k[sizes.k == fixed.m]
    if fixed.m is not None and fixed.k is None:
        whole_k = np.array([fixed.m], np.int64)
    if len(whole_k):
        s, k, c = _product(every, whole_k, sizes.c[:1])
        found.append(largest_c(_tiles(positions, s, g=np.ones_like(s), k=k, c=c, m=k)))  # (a)
        s, k, c = _product(simple, whole_k if fixed.m else few_k, few_c)
        found.append(_fitting(capacity, _tiles(positions, s, g=np.ones_like(s), k=k, c=c, m=k)))  # (c)
    turning = few_k[few_k < nest.k]
    if fixed.m is not None:
        turning = few_k if fixed.k or fixed.m == nest.k else np.arange(1, fixed.m, dtype=np.int64)
        turning = turning[(turning < fixed.m) & ((fixed.m % turning == 0) | (fixed.m == nest.k))]
    if len(turning):
        s, k, c = _product(every, turning, sizes.c[:1])
        tile = _tiles(positions, s, g=np.ones_like(s), k=k, c=c, m=k if fixed.m is None else np.full_like(k, fixed.m))
        tile = largest_m(tile, capacity) if fixed.m is None else _fitting(capacity, tile)
        found.append(largest_c(tile.take(tile.m > tile.k)))  # (b)
    return found


def _groups(capacity: Capacity, positions: Positions, sizes: LoopSizes) -> Tiles:
    """Tiles of whole groups."""
    nest = capacity.nest
    several = sizes.g if nest.k * nest.c == 1 else sizes.g[sizes.g > 1]
    simple, every = np.flatnonzero(positions.simple), np.arange(positions.count)
    parts = []
    for which, groups in ((simple, several), (every, coarse(nest.g, several))):
        s, g = _product(which, groups)
        k, c = np.full_like(g, nest.k), np.full_like(g, nest.c)
        parts.append(_fitting(capacity, _tiles(positions, s, g=g, k=k, c=c, m=k)))
    return Tiles.joined(parts)


def _grown_groups(capacity: Capacity, positions: Positions, sizes: LoopSizes) -> Tiles:
    """For every tile of positions the most groups of one channel."""
    s, g = _product(np.arange(positions.count), sizes.g[:1])
    one = np.ones_like(g)
    grow: Grow = lambda of, index: of.replace(g=sizes.g[index])  # noqa: E731
    return grown(_tiles(positions, s, g=g, k=one, c=one, m=one), grow, np.full(len(g), len(sizes.g)), capacity)


def _passes(capacity: Capacity, dataflow: RowStationary, sizes: LoopSizes, fixed: FixedTiles) -> Tiles:
    """Tiles that one pass of a row-stationary array takes on: whole rows, and the psums of several passes together.

    Depthwise layers have a group per PE set, other groups follow each other.
    """
    nest = capacity.nest
    n, p = _product(sizes.n, row_sizes(nest, fixed.p))
    sets = dataflow.sets(p, nest.r)
    n, p, sets = n[sets > 0], p[sets > 0], sets[sets > 0]
    if nest.k == 1 and nest.c == 1:
        s, g = _product(np.arange(len(n)), sizes.g)
        one = np.ones_like(g)
        return _fitting(capacity, Tiles(g=g, k=one, c=one, n=n[s], p=p[s], q=one * nest.q, m=one))
    if not len(p):
        return nothing()
    k, c = _product(sizes.k, coarse(nest.c, sizes.c))
    one = np.ones_like(k)
    small = Tiles(g=one, k=k, c=c, n=one * n[0], p=one * p[0], q=one * nest.q, m=k)
    k, c = (axis[capacity.fits(small, copies=False)] for axis in (k, c))
    several, which = np.unique(sets, return_inverse=True)
    shares = dataflow.pass_of(several[:, None], k, c, np.ones(1, np.int64), nest.r, nest.s)
    s, j = np.nonzero((shares.p > 0)[which])
    one = np.ones_like(s)
    m = k[j] if fixed.m is None else np.full_like(s, fixed.m)
    tile = Tiles(g=one, k=k[j], c=c[j], n=n[s], p=p[s], q=one * nest.q, m=m)
    if fixed.m is None:
        return largest_m(tile, capacity)
    tile = tile.take((tile.k <= fixed.m) & ((fixed.m % tile.k == 0) | (fixed.m == nest.k)))
    return _fitting(capacity, tile)


def largest_m(tile: Tiles, capacity: Capacity) -> Tiles:
    """Each candidate with as many turns of its k output channels in the OFM buffer as fit, evenly many each time."""
    loop = capacity.nest.k
    grow: Grow = lambda of, index: of.replace(m=np.minimum(loop, of.k * (index + 1)))  # noqa: E731
    found = grown(tile, grow, ceil_div(loop, tile.k), capacity)
    turns = ceil_div(loop, found.k)
    resident = ceil_div(found.m, found.k)
    even = ceil_div(turns, ceil_div(turns, resident))
    return found.replace(m=np.minimum(loop, found.k * even))


def grown(tile: Tiles, grow: Grow, counts: Ints, capacity: Capacity) -> Tiles:
    """Each candidate at the largest of its `counts` sizes that fits, without those for which none does.

    Room grows with the size, but the largest may need less than others, as the only tile of an operand.
    """
    top = counts - 1
    found = np.where(capacity.fits(grow(tile, top)), top, -1)
    open_, low, high = np.flatnonzero(found < 0), np.full(len(top), -1), top.copy()
    while len(open_):
        middle = (low[open_] + high[open_]) // 2
        middle = np.maximum(middle, 0)
        fits = capacity.fits(grow(tile.take(open_), middle))
        low[open_] = np.where(fits, middle, low[open_])
        high[open_] = np.where(fits, high[open_], middle)
        open_ = open_[high[open_] - low[open_] > 1]
    found = np.where(found < 0, low, found)
    keep = found >= 0
    return grow(tile.take(keep), found[keep])
