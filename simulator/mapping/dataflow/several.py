"""Several arrays that share the buffers: they divide a tile among themselves and finish together."""

import dataclasses
from collections.abc import Sequence

import numpy as np

from simulator.mapping.dataflow.base import BufferAccesses, Dataflow, Ints, Lanes, TileSizes, ceil_div


class SeveralArrays:
    """`count` arrays of one kind. Each takes an equal share of one loop of the tile, of whichever is fastest."""

    def __init__(self, one: Dataflow, count: int, split: Sequence[str]) -> None:
        self.one, self.count, self.split = one, count, tuple(split)

    def share(self, tile: TileSizes, loop: str) -> TileSizes:
        """The largest share of each tile when `loop` is divided."""
        size = {"K": tile.k, "P": tile.p, "N": tile.n}[loop]
        largest = ceil_div(size, self.count)

        def part(elements: Ints) -> Ints:
            return ceil_div(elements * largest, np.maximum(size, 1))

        ofm = part(tile.ofm_elements)
        if loop == "K":
            return dataclasses.replace(tile, k=largest, ofm_elements=ofm)
        ifm = part(tile.ifm_elements)
        if loop == "P":
            return dataclasses.replace(
                tile, p=largest, ifm_elements=ifm, ifm_rows=part(tile.ifm_rows), ofm_elements=ofm
            )
        return dataclasses.replace(tile, n=largest, ifm_elements=ifm, ofm_elements=ofm)

    def _options(self, tile: TileSizes) -> tuple[list[TileSizes], Ints, Ints]:
        """The share under each split, the cycles of the fastest, and which one that is."""
        shares = [self.share(tile, loop) for loop in self.split]
        cycles = np.stack(np.broadcast_arrays(*(self.one.cycles(share) for share in shares)))
        return shares, cycles.min(axis=0), cycles.argmin(axis=0)

    def cycles(self, tile: TileSizes) -> Ints:
        """Array cycles of each tile: those of the largest share."""
        return self._options(tile)[1]

    def overhead_cycles(self) -> int:
        """As for one array: all fill and drain at the same time."""
        return self.one.overhead_cycles()

    def accesses(self, tile: TileSizes) -> BufferAccesses:
        """What all arrays together move; each reads for itself what they have in common."""
        shares, _, fastest = self._options(tile)
        each = [self.one.accesses(share) for share in shares]
        fields = {}
        for name in vars(each[0]):
            options = np.stack(np.broadcast_arrays(*(getattr(moved, name) for moved in each), fastest)[:-1])
            fields[name] = np.take_along_axis(options, fastest[None], axis=0)[0] * self.count
        return BufferAccesses(**fields)

    def lanes(self, tile: TileSizes) -> Lanes:
        """Those of one array."""
        return self.one.lanes(tile)
