"""Pairs of non-zeros, one multiply-accumulate per PE and cycle: the PE of Eyeriss v2 (Chen et al., JETCAS 2019).

A PE holds compressed kernels and a compressed piece of the IFM. For every non-zero IFM element it runs through the
non-zero weights of that channel which the element meets, one a cycle. For a 1×1 kernel a PE takes exactly
Σ_c nnz_ifm(c) · nnz_kernel(c); for R×S kernels Σ_{c,r,s} of the non-zero elements that position (r, s) meets times the
non-zero weights there.

Several PEs divide the OFM: its rows in min(P, columns) blocks, and its channels (of all groups) in as many as PEs are
left for each, whole channels and rows, and wait for the slowest: that is this project's own definition.
"""

from dataclasses import dataclass

import numpy as np

from simulator.mapping.dataflow.base import TileSizes, ceil_div
from simulator.mapping.dataflow.sparse.base import Bools, Convolution, Floats, SparseCost, parts


@dataclass(frozen=True)
class NonzeroPairs:
    """rows × columns PEs."""

    rows: int
    columns: int

    @property
    def multipliers(self) -> int:
        """One for each PE."""
        return self.rows * self.columns

    def cost(self, window: Bools, kernel: Bools, convolution: Convolution) -> SparseCost:
        """cycles · PEs = products + imbalance."""
        groups, outputs = kernel.shape[:2]
        rows, columns = convolution.outputs(window, kernel)
        across = max(1, min(rows, self.columns))
        down = max(1, min(groups * outputs, self.multipliers // across))
        work = np.zeros((groups * outputs, across), np.int64)
        fetched = 0
        for r, s, met in convolution.met(window, kernel):
            by_row = np.count_nonzero(met, axis=3)
            if rows:
                by_part = np.add.reduceat(by_row, parts(rows, across), axis=2, dtype=np.int64)
                products = np.matmul(kernel[:, :, :, r, s].astype(np.float64), by_part.astype(np.float64))
                work += products.astype(np.int64).reshape(groups * outputs, across)
        if rows:
            fetched = self._elements(window, kernel, convolution, rows, across) * down
        of_pe = np.add.reduceat(work, parts(groups * outputs, down), axis=0)
        cycles, products_done = int(of_pe.max()), int(of_pe.sum())
        return SparseCost(
            cycles=cycles,
            multipliers=self.multipliers,
            products=products_done,
            losses={"imbalance": cycles * self.multipliers - products_done},
            performed=products_done,
            gated=0,
            ifm_reads=fetched,
            kernel_reads=int(np.count_nonzero(kernel)) * across,
            psum_writes=groups * outputs * rows * columns,
            notes={},
        )

    @staticmethod
    def _elements(window: Bools, kernel: Bools, convolution: Convolution, rows: int, across: int) -> int:
        """Non-zero elements that the blocks of rows need, their overlaps counted in each."""
        by_row = np.concatenate([[0], np.cumsum(np.count_nonzero(window, axis=(0, 1, 3)))])
        start = parts(rows, across)
        stop = np.append(start[1:], rows)
        reach = convolution.dilation[0] * (kernel.shape[-2] - 1) + 1
        first, last = start * convolution.stride[0], (stop - 1) * convolution.stride[0] + reach
        return int((by_row[np.minimum(last, window.shape[2])] - by_row[first]).sum())

    def dense_cycles(self, window: Bools, kernel: Bools, convolution: Convolution) -> int:
        """All products, divided like those of non-zeros."""
        return self.cost(window, np.ones_like(kernel), convolution).cycles

    def expected_cycles(self, tile: TileSizes, ifm_density: float, kernel_density: float) -> Floats:
        """The products of a PE's block of rows and channels."""
        across = np.minimum(tile.p, self.columns)
        outputs = tile.g * tile.k
        down = np.minimum(outputs, self.multipliers // across)
        block = ceil_div(outputs, down) * ceil_div(tile.p, across) * tile.q * tile.n * tile.reduction
        return np.asarray(block * (ifm_density * kernel_density), np.float64)
