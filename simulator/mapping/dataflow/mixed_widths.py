"""Kernels of several widths on an array that is faster on narrow ones."""

import dataclasses
from collections.abc import Sequence

import numpy as np

from simulator.mapping.dataflow.base import BufferAccesses, Dataflow, Ints, Lanes, TileSizes


class MixedWidths:
    """One array; the output channels of a tile run width by width, one after the other.

    Which channels share a tile is the compiler's choice, kernels being static: every tile holds the widths in the
    layer's proportions. parts: (dataflow at a width, its channels in the layer), the widest last.
    """

    def __init__(self, parts: Sequence[tuple[Dataflow, int]]) -> None:
        self.parts = tuple(parts)

    def _dealt(self, tile: TileSizes) -> list[tuple[Dataflow, Ints, TileSizes]]:
        """By width: its dataflow, its channels in each tile, and the tile with them alone, one at least."""
        total = sum(channels for _, channels in self.parts)
        passed, given = 0, np.zeros_like(tile.k)
        dealt = []
        for dataflow, channels in self.parts:
            passed += channels
            upto = tile.k * passed // total
            own, given = upto - given, upto
            outputs = tile.ofm_elements * own // np.maximum(tile.k, 1)
            dealt.append((dataflow, own, dataclasses.replace(tile, k=np.maximum(own, 1), ofm_elements=outputs)))
        return dealt

    def cycles(self, tile: TileSizes) -> Ints:
        """Array cycles of each tile: those of all widths together."""
        parts = [np.where(own > 0, flow.cycles(part), 0) for flow, own, part in self._dealt(tile)]
        return np.asarray(sum(parts[1:], start=parts[0]), np.int64)

    def overhead_cycles(self) -> int:
        """That of the widest: fill and drain do not repeat between widths."""
        return self.parts[-1][0].overhead_cycles()

    def accesses(self, tile: TileSizes) -> BufferAccesses:
        """What all widths move; each reads the IFM for itself."""
        moved = []
        for flow, own, part in self._dealt(tile):
            fields = vars(flow.accesses(part)).items()
            moved.append(BufferAccesses(**{name: np.where(own > 0, count, 0) for name, count in fields}))
        return sum(moved[1:], start=moved[0])

    def lanes(self, tile: TileSizes) -> Lanes:
        """Those at the widest kernels, the fewest."""
        return self.parts[-1][0].lanes(tile)
