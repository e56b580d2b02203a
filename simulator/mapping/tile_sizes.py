"""Which sizes of each loop are worth trying, and which tiles of positions."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from simulator.hardware.mapping import FixedTiles
from simulator.mapping.burst_waste import Storage
from simulator.mapping.capacity import Capacity, ifm_tile_elements, ofm_tile_elements
from simulator.mapping.dataflow.base import ceil_div
from simulator.mapping.distinct import distinct
from simulator.mapping.loop_nest import LoopNest
from simulator.mapping.tiles import Bools, Ints, Tiles, input_extents
from simulator.mapping.traffic import ifm_fetched_elements, ofm_stores


def even_sizes(loop: int) -> Ints:
    """The smallest size for each number of tiles, ascending: a larger one takes more room and saves nothing."""
    size = np.arange(1, loop + 1, dtype=np.int64)
    return size[np.diff(ceil_div(loop, size), prepend=loop + 1) < 0]


def coarse(loop: int, sizes: Ints) -> Ints:
    """Of `sizes` those that are, or cut the loop into, 1, 2, 3, 4, 6, 8, 12, 16, 24, … (2^i or 3·2^i)."""
    return sizes if len(sizes) == 1 else sizes[_round(sizes) | _round(ceil_div(loop, sizes))]


def _round(number: Ints) -> Bools:
    odd = number // (number & -number)
    return np.asarray((odd == 1) | (odd == 3))


@dataclass(frozen=True, eq=False)
class LoopSizes:
    """Sizes of loops G, K, C and N worth trying, ascending; a fixed one stands alone."""

    g: Ints
    k: Ints
    c: Ints
    n: Ints

    @staticmethod
    def of(nest: LoopNest, fixed: FixedTiles) -> "LoopSizes":
        """Those of a layer."""

        def sizes(loop: int, given: int | None) -> Ints:
            return even_sizes(loop) if given is None else np.array([given], np.int64)

        return LoopSizes(sizes(nest.g, fixed.g), sizes(nest.k, fixed.k), sizes(nest.c, fixed.c), sizes(nest.n, fixed.n))


def row_sizes(nest: LoopNest, given: int | None) -> Ints:
    """Sizes of loop P worth trying."""
    return _window_sizes(nest.p, input_extents(nest, 0, "rows").summed, given)


def column_sizes(nest: LoopNest, given: int | None) -> Ints:
    """Sizes of loop Q worth trying."""
    return _window_sizes(nest.q, input_extents(nest, 0, "columns").summed, given)


def _window_sizes(loop: int, summed: Ints, given: int | None) -> Ints:
    """Even sizes, and those that read less halo than smaller ones with as many tiles (zero padding is not read)."""
    if given is not None:
        return np.array([given], np.int64)
    size = np.arange(1, loop + 1, dtype=np.int64)
    count = ceil_div(loop, size)
    # Keys fall from one number of tiles to the next, so that a running minimum starts anew with each.
    key = count * (int(summed.max()) + 1) + summed[1:]
    return size[np.diff(np.minimum.accumulate(key), prepend=key[0] + 1) < 0]


@dataclass(frozen=True, eq=False)
class Positions:
    """Tiles of images, rows and columns: every one that could mean the least traffic, and some simple ones.

    simple: parts of a row, whole rows of an image, whole images; of few sizes.
    """

    n: Ints
    p: Ints
    q: Ints
    simple: Bools

    @property
    def count(self) -> int:
        """How many."""
        return len(self.n)

    @staticmethod
    def of(capacity: Capacity, storage: Storage, sizes: LoopSizes, fixed: FixedTiles) -> "Positions":
        """Those of a layer of which one tile fits with one group and channel."""
        nest = capacity.nest
        rows, columns = row_sizes(nest, fixed.p), column_sizes(nest, fixed.q)
        p, q = (axis.ravel() for axis in np.meshgrid(rows, columns, indexing="ij"))
        found = Positions._worthwhile(capacity, storage, np.full_like(p, sizes.n[0]), p, q, fixed)
        several = len(sizes.n)
        if several == 1:
            return found
        p, q = (np.tile(axis, several) for axis in (found.p, found.q))
        return Positions._worthwhile(capacity, storage, np.repeat(sizes.n, found.count), p, q, fixed)

    @staticmethod
    def _worthwhile(capacity: Capacity, storage: Storage, n: Ints, p: Ints, q: Ints, fixed: FixedTiles) -> "Positions":
        fits = capacity.fits(_alone(n, p, q), copies=False)
        n, p, q = n[fits], p[fits], q[fits]
        simple = _simple(capacity.nest, n, p, q, fixed)
        keep = simple | undominated(_costs(capacity.nest, storage, _alone(n, p, q)))
        return Positions(n[keep], p[keep], q[keep], simple[keep])


def _alone(n: Ints, p: Ints, q: Ints) -> Tiles:
    one = np.ones_like(n)
    return Tiles(g=one, k=one, c=one, n=n, p=p, q=q, m=one)


def _simple(nest: LoopNest, n: Ints, p: Ints, q: Ints, fixed: FixedTiles) -> Bools:
    """Any where sizes are fixed, as there are few then."""
    if fixed.n or fixed.p or fixed.q:
        return np.ones(len(n), np.bool_)
    one, whole_rows = n == 1, q == nest.q
    whole = whole_rows & (p == nest.p)
    few = [np.isin(tile, coarse(loop, distinct(tile))) for tile, loop in ((n, nest.n), (p, nest.p), (q, nest.q))]
    shapes = (one & (p == 1) & few[2]) | (one & whole_rows & few[1]) | (whole & few[0])
    return np.asarray(shapes, np.bool_)


def _costs(nest: LoopNest, storage: Storage, tile: Tiles) -> list[Ints]:
    """What a tile of positions costs whatever channels go with it: room for IFM and psums, tiles, and the elements of
    all IFM tiles together; compressed OFM rows are stored once per tile of columns."""
    fetched: Ints = np.zeros(1, np.int64)
    for index, stored in enumerate(storage.inputs):
        fetched = fetched + ifm_fetched_elements(nest, tile, index, whole_rows=stored.compressed)
    costs = [
        ifm_tile_elements(nest, tile, padding=False),
        ofm_tile_elements(nest, tile, tile.k),
        tile.position_tiles(nest),
        np.broadcast_to(fetched, tile.n.shape),
    ]
    return [*costs, ofm_stores(nest, tile, storage)] if storage.ofm.compressed else costs


def undominated(costs: Sequence[Ints]) -> Bools:
    """Which entries no other one beats or equals in every cost; of equal ones the first stays."""
    order = np.lexsort(costs[::-1])
    table = [cost[order] for cost in costs]
    count = len(order)
    keep = np.ones(count, np.bool_)
    for start in range(0, count, 512):
        block = slice(start, min(start + 512, count))
        better = np.tri(block.stop - start, block.stop, k=start - 1, dtype=np.bool_)  # only an earlier one can
        for cost in table:
            better &= cost[: block.stop] <= cost[block, None]
        keep[block] = ~better.any(axis=1)
    found = np.empty(count, np.bool_)
    found[order] = keep
    return found
