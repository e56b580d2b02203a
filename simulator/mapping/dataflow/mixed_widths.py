"""Kernels of several widths on an array that is faster on narrow ones."""

import dataclasses
import itertools
from collections.abc import Iterator, Sequence

import numpy as np

from simulator.mapping.dataflow.base import BufferAccesses, Dataflow, Ints, Lanes, TileSizes

_Run = tuple[Dataflow, Ints, TileSizes]


class MixedWidths:
    """One array; the output channels of a tile run width by width, one after the other.

    Which channels share a tile is the compiler's choice, kernels being static: every tile holds the widths in the
    layer's proportions. Where few channels would leave most of the array idle they run with the next wider ones: each
    tile takes the fastest way to join widths. parts: (dataflow at a width, its channels in the layer), the widest last.
    """

    def __init__(self, parts: Sequence[tuple[Dataflow, int]]) -> None:
        self.parts = tuple(parts)

    def _ways(self) -> Iterator[list[tuple[Dataflow, int]]]:
        """All ways to let widths run at that of a wider one behind them: (dataflow, channels), the widest last."""
        *narrow, (widest, last) = self.parts
        for alone in itertools.product((True, False), repeat=len(narrow)):
            runs, waiting = [], 0
            for (dataflow, channels), by_itself in zip(narrow, alone, strict=True):
                waiting += channels
                if by_itself:
                    runs.append((dataflow, waiting))
                    waiting = 0
            yield [*runs, (widest, waiting + last)]

    def _dealt(self, way: Sequence[tuple[Dataflow, int]], tile: TileSizes) -> list[_Run]:
        """By run: its dataflow, its channels in each tile, and the tile with them alone, one at least."""
        total = sum(channels for _, channels in way)
        passed, given = 0, np.zeros_like(tile.k)
        dealt = []
        for dataflow, channels in way:
            passed += channels
            upto = tile.k * passed // total
            own, given = upto - given, upto
            outputs = tile.ofm_elements * own // np.maximum(tile.k, 1)
            dealt.append((dataflow, own, dataclasses.replace(tile, k=np.maximum(own, 1), ofm_elements=outputs)))
        return dealt

    def _options(self, tile: TileSizes) -> tuple[list[list[_Run]], Ints, Ints]:
        """The runs of every way, the cycles of the fastest, and which one that is."""
        ways = [self._dealt(way, tile) for way in self._ways()]
        each = [np.sum([np.where(own > 0, flow.cycles(part), 0) for flow, own, part in way], axis=0) for way in ways]
        cycles = np.stack(np.broadcast_arrays(*each))
        return ways, cycles.min(axis=0), cycles.argmin(axis=0)

    def cycles(self, tile: TileSizes) -> Ints:
        """Array cycles of each tile: those of all runs together."""
        return self._options(tile)[1]

    def overhead_cycles(self) -> int:
        """That of the widest: fill and drain do not repeat between widths."""
        return self.parts[-1][0].overhead_cycles()

    def accesses(self, tile: TileSizes) -> BufferAccesses:
        """What all runs move; each reads the IFM for itself."""
        ways, _, fastest = self._options(tile)
        moved = [[(own, vars(flow.accesses(part))) for flow, own, part in way] for way in ways]
        fields = {}
        for name in moved[0][0][1]:
            each = [np.sum([np.where(own > 0, count[name], 0) for own, count in way], axis=0) for way in moved]
            options = np.stack(np.broadcast_arrays(*each, fastest)[:-1])
            fields[name] = np.take_along_axis(options, fastest[None], axis=0)[0]
        return BufferAccesses(**fields)

    def lanes(self, tile: TileSizes) -> Lanes:
        """Those at the widest kernels, the fewest."""
        return self.parts[-1][0].lanes(tile)
