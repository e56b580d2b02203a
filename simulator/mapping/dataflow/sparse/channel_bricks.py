"""Bricks of V neighbouring channels that are skipped when all of them are zero.

A dot-product array takes one brick a cycle, for `filters` output channels at once. At every window it leaves out the
bricks of the IFM without a non-zero element, and with `kernels` those which no filter of the group has a weight for:

    cycles = Σ_groups of filters Σ_{r,s,bricks} (windows that meet the brick) · [a filter needs it]

Vector- or brick-granular pruning aims at such arrays; single zeros inside a brick cost as much as non-zeros.
"""

from dataclasses import dataclass

import numpy as np

from simulator.mapping.dataflow.base import TileSizes, ceil_div
from simulator.mapping.dataflow.sparse.base import Bools, Convolution, Floats, SparseCost


@dataclass(frozen=True)
class ChannelBricks:
    """`filters` dot products over `brick` channels; kernels: whether bricks without weights are skipped too."""

    filters: int
    brick: int
    kernels: bool = False

    @property
    def multipliers(self) -> int:
        """filters · brick."""
        return self.filters * self.brick

    def cost(self, window: Bools, kernel: Bools, convolution: Convolution) -> SparseCost:
        """cycles · multipliers = products + ineffectual + fragmentation (filters and channels left over)."""
        groups, outputs, channels = kernel.shape[:3]
        rows, columns = convolution.outputs(window, kernel)
        starts = np.arange(0, channels, self.brick)
        sizes = np.diff(starts, append=channels)
        met = convolution.met_counts(np.logical_or.reduceat(window, starts, axis=1), kernel)
        filters = np.arange(0, outputs, self.filters)
        together = np.diff(filters, append=outputs)
        needed = np.ones((groups, len(filters), *met.shape[1:]), np.bool_)
        if self.kernels:
            needed = np.logical_or.reduceat(np.logical_or.reduceat(kernel, starts, axis=2), filters, axis=1)
        bricks = met[:, None] * needed  # [G, groups of filters, bricks, R, S]
        cycles = int(bricks.sum())
        elements = int((bricks * sizes[:, None, None]).sum())
        performed = int((bricks * sizes[:, None, None] * together[:, None, None, None]).sum())
        products = convolution.products(window, kernel)
        return SparseCost(
            cycles=cycles,
            multipliers=self.multipliers,
            products=products,
            losses={"ineffectual": performed - products, "fragmentation": cycles * self.multipliers - performed},
            performed=performed,
            gated=0,
            ifm_reads=elements,
            kernel_reads=performed,
            psum_writes=groups * outputs * rows * columns,
            notes={},
        )

    def dense_cycles(self, window: Bools, kernel: Bools, convolution: Convolution) -> int:
        """Every brick that is not padding."""
        return self.cost(window, np.ones_like(kernel), convolution).cycles

    def expected_cycles(self, tile: TileSizes, ifm_density: float, kernel_density: float) -> Floats:
        """The chance that one of V independent elements is not zero, for the IFM and for the filters of a group."""
        whole, left = np.divmod(tile.c, self.brick)
        filters = np.minimum(tile.k, self.filters)

        def lives(size: object) -> Floats:
            count = np.asarray(size, np.float64)
            of_ifm = 1.0 - (1.0 - ifm_density) ** count
            return np.asarray(of_ifm * (1.0 - (1.0 - kernel_density) ** (count * filters)) if self.kernels else of_ifm)

        bricks = whole * lives(self.brick) + np.where(left > 0, lives(left), 0.0)
        windows = tile.g * tile.positions * (tile.r * tile.s) * ceil_div(tile.k, self.filters)
        return np.asarray(windows * bricks, np.float64)
