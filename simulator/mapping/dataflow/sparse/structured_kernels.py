"""N:M structured kernels: of every M neighbouring channels at most N weights are not zero (2:4 on NVIDIA's Ampere;
Mishra et al., "Accelerating Sparse Deep Neural Networks", arXiv 2104.08378).

A matrix unit multiplies `outputs` channels by `positions` positions, `depth` products of the reduction a cycle:

    cycles = ⌈K / outputs⌉ · ⌈P·Q / positions⌉ · ⌈reduction / depth⌉,   reduction = R·S·C, or R·S·⌈C/M⌉·N

The reduction is shorter when every group of the layer's kernels keeps to the pattern, else the unit runs dense; `notes`
says which (`keeps_pattern`). Zero activations are not seen.
"""

from dataclasses import dataclass

import numpy as np

from simulator.mapping.dataflow.base import Ints, TileSizes, ceil_div
from simulator.mapping.dataflow.sparse.base import Bools, Convolution, Floats, SparseCost


@dataclass(frozen=True)
class StructuredKernels:
    """outputs × positions dot products of `depth`; `nonzeros` of every `group` neighbouring channels."""

    outputs: int
    positions: int
    depth: int
    nonzeros: int
    group: int

    @property
    def multipliers(self) -> int:
        """outputs · positions · depth."""
        return self.outputs * self.positions * self.depth

    def keeps_pattern(self, kernel: Bools) -> bool:
        """Whether no `group` neighbouring channels of kernels [G, K, C, R, S] have more than `nonzeros` weights."""
        weights = np.add.reduceat(kernel, np.arange(0, kernel.shape[2], self.group), axis=2, dtype=np.int64)
        return bool((weights <= self.nonzeros).all())

    def cost(self, window: Bools, kernel: Bools, convolution: Convolution) -> SparseCost:
        """cycles · multipliers = products + ineffectual + fragmentation (edges of the unit)."""
        groups, outputs, channels, r, s = kernel.shape
        rows, columns = convolution.outputs(window, kernel)
        keeps = self.keeps_pattern(kernel)
        reduction = r * s * (-(-channels // self.group) * self.nonzeros if keeps else channels)
        reduction = min(reduction, r * s * channels)
        tiles = -(-outputs // self.outputs), -(-rows * columns // self.positions)
        cycles = groups * tiles[0] * tiles[1] * -(-reduction // self.depth)
        performed = groups * outputs * rows * columns * reduction
        products = convolution.products(window, kernel)
        return SparseCost(
            cycles=cycles,
            multipliers=self.multipliers,
            products=products,
            losses={"ineffectual": performed - products, "fragmentation": cycles * self.multipliers - performed},
            performed=performed,
            gated=0,
            ifm_reads=groups * tiles[0] * rows * columns * r * s * channels,
            kernel_reads=groups * tiles[1] * outputs * reduction,
            psum_writes=groups * outputs * rows * columns,
            notes={"keeps_pattern": int(keeps)},
        )

    def dense_cycles(self, window: Bools, kernel: Bools, convolution: Convolution) -> int:
        """The whole reduction."""
        return self.cost(window, np.ones_like(kernel), convolution).cycles

    def expected_cycles(self, tile: TileSizes, ifm_density: float, kernel_density: float) -> Floats:
        """As long as dense kernels take, or half of it (N/M) where they are as sparse as the pattern asks for."""
        channels: Ints = np.asarray(tile.c)
        if kernel_density <= self.nonzeros / self.group:
            channels = np.minimum(channels, ceil_div(channels, self.group) * self.nonzeros)
        reduction = ceil_div(channels * (tile.r * tile.s), self.depth)
        tiles = ceil_div(tile.k, self.outputs) * tile.n * ceil_div(tile.p * tile.q, self.positions)
        return np.asarray(tile.g * tiles * reduction, np.float64)
