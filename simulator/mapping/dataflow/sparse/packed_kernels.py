"""Non-zero weights packed into the array row by row: SIGMA (Qin et al., HPCA 2020).

The kernels are a matrix of G·K rows (output channels) and C·R·S columns. Its non-zeros are stationary: whole rows, one
after the other, fill the array as long as they fit; a row longer than the array takes folds of its own and begins the
next one with its rest. Each fold is loaded and then meets every position, one a cycle:

    cycles = Σ_folds ⌈nnz(fold) / load bandwidth⌉ + P·Q

A flexible network adds up rows of any length. Zero activations save their delivery and the product, not the cycle.
"""

from dataclasses import dataclass

import numpy as np

from simulator.mapping.dataflow.base import TileSizes
from simulator.mapping.dataflow.sparse.base import Bools, Convolution, Floats, Ints, SparseCost


@dataclass(frozen=True)
class PackedKernels:
    """`size` multipliers that take `load_elements` weights a cycle."""

    size: int
    load_elements: int

    @property
    def multipliers(self) -> int:
        """The array's size."""
        return self.size

    def folds(self, rows: Ints) -> Ints:
        """Non-zeros in each fold, for rows of so many."""
        ends = np.cumsum(rows)
        filled: list[int] = []
        row, rest = 0, 0  # the next row, and what is left over of a long one before it
        while row < len(rows) or rest:
            before = int(ends[row - 1]) if row else 0
            upto = int(np.searchsorted(ends, before + self.size - rest, side="right"))
            if upto > row or rest:
                taken = rest + (int(ends[upto - 1]) - before if upto > row else 0)
                row, rest = max(row, upto), 0
            else:
                whole, rest = divmod(int(rows[row]), self.size)
                filled.extend([self.size] * whole)
                row += 1
                continue
            if taken:
                filled.append(taken)
        return np.array(filled, np.int64)

    def cost(self, window: Bools, kernel: Bools, convolution: Convolution) -> SparseCost:
        """cycles · multipliers = products + ineffectual (zero activations) + fragmentation + load."""
        groups, outputs = kernel.shape[:2]
        rows, columns = convolution.outputs(window, kernel)
        positions = rows * columns
        folds = self.folds(np.count_nonzero(kernel, axis=(2, 3, 4)).ravel())
        weights, loads = int(folds.sum()), int((-(-folds // self.load_elements)).sum())
        products = convolution.products(window, kernel)
        streamed = int(convolution.met_counts(window, kernel).sum())
        return SparseCost(
            cycles=loads + len(folds) * positions,
            multipliers=self.size,
            products=products,
            losses={
                "ineffectual": weights * positions - products,
                "fragmentation": (len(folds) * self.size - weights) * positions,
                "load": loads * self.size,
            },
            performed=products,
            gated=weights * positions - products,
            ifm_reads=streamed * len(folds),
            kernel_reads=weights,
            psum_writes=groups * outputs * positions,
            notes={"folds": len(folds)},
        )

    def dense_cycles(self, window: Bools, kernel: Bools, convolution: Convolution) -> int:
        """Whole kernels packed."""
        return self.cost(window, np.ones_like(kernel), convolution).cycles

    def expected_cycles(self, tile: TileSizes, ifm_density: float, kernel_density: float) -> Floats:
        """Rows of equal length: as many whole ones as fit, or a long one in pieces."""
        length = np.ceil(tile.reduction * kernel_density - 1e-9)
        rows = np.asarray(tile.g * tile.k, np.float64)
        whole = np.floor(self.size / np.maximum(length, 1))
        folds = np.where(whole >= 1, np.ceil(rows / np.maximum(whole, 1)), np.ceil(rows * length / self.size))
        folds = np.where(length > 0, folds, 0.0)
        left = rows - np.floor(rows / np.maximum(whole, 1)) * whole
        loads = np.floor(rows / np.maximum(whole, 1)) * np.ceil(whole * length / self.load_elements)
        loads = loads + np.ceil(left * length / self.load_elements)
        loads = np.where(whole >= 1, loads, np.ceil(rows * length / self.load_elements))
        return np.asarray(tile.n * folds * (tile.p * tile.q) + tile.n * loads, np.float64)
