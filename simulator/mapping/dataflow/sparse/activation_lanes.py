"""Zero activations skipped lane by lane: Cnvlutin (Albericio et al., ISCA 2016).

The IFM is stored in bricks of neighbouring channels, each as its non-zeros with their offsets. A window's bricks, in
the order (r, s, channels), go round the lanes; a lane takes its non-zeros one a cycle, for all filters at once, and an
empty brick still takes one. Lanes meet at the window's end:

    cycles = ⌈K / filters⌉ · Σ_windows max_lanes Σ_bricks max(1, nnz(brick))

Zero padding is bricks like others. Zero weights are not seen.
"""

from dataclasses import dataclass

import numpy as np

from simulator.mapping.dataflow.base import TileSizes, ceil_div
from simulator.mapping.dataflow.sparse.base import Bools, Convolution, Floats, Ints, SparseCost


@dataclass(frozen=True)
class ActivationLanes:
    """lanes, each with a multiplier for every one of `filters`; bricks of `brick` channels."""

    lanes: int
    filters: int
    brick: int

    @property
    def multipliers(self) -> int:
        """lanes · filters."""
        return self.lanes * self.filters

    def cost(self, window: Bools, kernel: Bools, convolution: Convolution) -> SparseCost:
        """cycles · multipliers = products + ineffectual + fragmentation (filters left over) + metadata (empty bricks)
        + imbalance."""
        groups, outputs, channels = kernel.shape[:3]
        rows, columns = convolution.outputs(window, kernel)
        nonzero = np.add.reduceat(window, np.arange(0, channels, self.brick), axis=1, dtype=np.int64)
        turn = self._by_lane(np.maximum(nonzero, 1))
        lanes = np.zeros((groups, self.lanes, rows, columns), np.int64)
        values = empty = 0
        for _, _, met in convolution.met(nonzero, kernel):
            values += int(met.sum())
            empty += int(met.size - np.count_nonzero(met))
        for number, (_, _, met) in enumerate(convolution.met(turn, kernel)):
            lanes += np.roll(met, number * nonzero.shape[1] % self.lanes, axis=1)
        turns = -(-outputs // self.filters)
        busy = values + empty
        longest = int(lanes.max(axis=1).sum())
        products = convolution.products(window, kernel)
        return SparseCost(
            cycles=longest * turns,
            multipliers=self.multipliers,
            products=products,
            losses={
                "ineffectual": values * outputs - products,
                "fragmentation": busy * (turns * self.filters - outputs),
                "metadata": empty * outputs,
                "imbalance": (longest * self.lanes - busy) * turns * self.filters,
            },
            performed=values * outputs,
            gated=0,
            ifm_reads=values * turns,
            kernel_reads=values * outputs,
            psum_writes=groups * outputs * rows * columns,
            notes={},
        )

    def _by_lane(self, cycles: Ints) -> Ints:
        """Cycles of bricks [G, bricks, H, W] summed by the lane of a window's first kernel position."""
        groups, bricks, *plane = cycles.shape
        padded = np.zeros((groups, -(-bricks // self.lanes) * self.lanes, *plane), np.int64)
        padded[:, :bricks] = cycles
        return np.asarray(padded.reshape(groups, -1, self.lanes, *plane).sum(axis=1))

    def dense_cycles(self, window: Bools, kernel: Bools, convolution: Convolution) -> int:
        """One brick a cycle for all lanes together, as in the array without lanes of their own."""
        groups, outputs, channels, r, s = kernel.shape
        rows, columns = convolution.outputs(window, kernel)
        bricks = groups * -(-channels // self.brick) * r * s * rows * columns
        return int(bricks * -(-outputs // self.filters))

    def expected_cycles(self, tile: TileSizes, ifm_density: float, kernel_density: float) -> Floats:
        """The mean of a brick, as if all lanes had equal shares."""
        whole, left = np.divmod(tile.c, self.brick)

        def mean(size: Ints | int) -> Floats:
            return np.asarray(size * ifm_density + (1.0 - ifm_density) ** np.asarray(size, np.float64) * (size > 0))

        positions = tile.r * tile.s
        if ifm_density >= 1.0:  # the fullest lane is known: it begins with whole bricks
            bricks = ceil_div(tile.c, self.brick) * positions
            of_window = np.ceil(bricks / self.lanes) * np.minimum(tile.c, self.brick)
        else:
            of_window = positions * (whole * mean(self.brick) + mean(left)) / self.lanes
        return np.asarray(tile.g * tile.positions * ceil_div(tile.k, self.filters) * of_window, np.float64)
