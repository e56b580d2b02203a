"""Systolic arrays: one operand stays in the PEs (a fold of it at a time), the others stream past.

Cycle and access formulas of the strict mode: SCALE-Sim (Samajdar et al., ISPASS 2020), CALC mode. Folds run one after
the other there and the layer's total is the index of its last cycle. The pipelined mode loads the next fold while one
streams, which takes a cycle per row (or per `fold_load_rows`), and pays fill and drain once per layer.
"""

from abc import ABC, abstractmethod

import numpy as np

from simulator.hardware.array import Array
from simulator.mapping.dataflow.base import BufferAccesses, Ints, Lanes, TileSizes, ceil_div


class Systolic(ABC):
    """What the three share: folds, and the length of one."""

    def __init__(self, array: Array, lanes: int = 1) -> None:
        """lanes: channels that a PE multiplies and sums in a cycle."""
        self.rows = array.rows
        self.columns = array.columns
        self.depth = array.rows * lanes
        self.pe_lanes = lanes
        self.load_cycles = -(-array.rows // array.fold_load_rows)
        self.by_position = array.rows_hold == "channels"
        self.strict = array.timing == "strict"

    @abstractmethod
    def folds(self, tile: TileSizes) -> Ints:
        """How often the array is filled."""

    @abstractmethod
    def stream(self, tile: TileSizes) -> Ints:
        """Cycles for which the moving operand streams in one fold."""

    @abstractmethod
    def accesses(self, tile: TileSizes) -> BufferAccesses:
        """Elements that each tile moves between buffers and array."""

    @property
    @abstractmethod
    def skew(self) -> int:
        """Cycles a fold spends on loading its stationary operand, filling and draining."""

    def cycles(self, tile: TileSizes) -> Ints:
        """Array cycles of each tile."""
        if self.strict:
            return self.folds(tile) * (self.stream(tile) + self.skew)
        return self.folds(tile) * np.maximum(self.stream(tile), self.load_cycles)

    def overhead_cycles(self) -> int:
        """Fill and drain, once; in strict mode −1, because SCALE-Sim counts cycles from 0."""
        return -1 if self.strict else self.skew

    def lanes(self, tile: TileSizes) -> Lanes:
        """One group, and the whole channels that fit into the rows that hold the reduction."""
        return Lanes(1, max(1, self.depth if self.by_position else self.depth // (tile.r * tile.s)))

    def row_folds(self, tile: TileSizes) -> Ints:
        """Folds of the reduction over the rows."""
        if self.by_position:
            return ceil_div(tile.c, self.depth) * (tile.r * tile.s)
        return ceil_div(tile.reduction, self.depth)


class WeightStationary(Systolic):
    """Rows hold the reduction (c·r·s), columns the output channels; positions stream."""

    @property
    def skew(self) -> int:
        """Load (rows), fill and drain (rows + columns − 2)."""
        return 2 * self.rows + self.columns - 2

    def folds(self, tile: TileSizes) -> Ints:
        """Folds of the kernels."""
        return tile.g * self.row_folds(tile) * ceil_div(tile.k, self.columns)

    def stream(self, tile: TileSizes) -> Ints:
        """One position a cycle."""
        return tile.positions

    def accesses(self, tile: TileSizes) -> BufferAccesses:
        """Kernels once, the IFM once per fold of columns, a psum per fold of rows."""
        row_folds, outputs = self.row_folds(tile), tile.ofm_elements
        return BufferAccesses(
            ifm_reads=tile.g * ceil_div(tile.k, self.columns) * tile.positions * tile.reduction,
            kernel_reads=tile.g * tile.reduction * tile.k,
            psum_reads=np.maximum(row_folds - 1, 0) * outputs,
            psum_writes=row_folds * outputs,
        )


class OutputStationary(Systolic):
    """Rows hold positions, columns output channels; the reduction streams."""

    @property
    def skew(self) -> int:
        """Fill and drain."""
        return self.rows + self.columns - 2

    def folds(self, tile: TileSizes) -> Ints:
        """Folds of the OFM."""
        return tile.g * ceil_div(tile.positions, self.rows) * ceil_div(tile.k, self.columns)

    def stream(self, tile: TileSizes) -> Ints:
        """One product per output, lane and cycle."""
        return ceil_div(tile.reduction, self.pe_lanes)

    def accesses(self, tile: TileSizes) -> BufferAccesses:
        """Both operands once per fold of the other, each output once."""
        outputs = tile.ofm_elements
        return BufferAccesses(
            ifm_reads=tile.g * ceil_div(tile.k, self.columns) * tile.positions * tile.reduction,
            kernel_reads=tile.g * ceil_div(tile.positions, self.rows) * tile.reduction * tile.k,
            psum_reads=np.zeros_like(outputs),
            psum_writes=outputs,
        )

    def lanes(self, tile: TileSizes) -> Lanes:
        """The reduction is streamed: one channel at a time."""
        return Lanes(1, 1)


class InputStationary(Systolic):
    """Rows hold the reduction, columns positions; the output channels stream."""

    @property
    def skew(self) -> int:
        """Load (rows), fill and drain (rows + columns − 2)."""
        return 2 * self.rows + self.columns - 2

    def folds(self, tile: TileSizes) -> Ints:
        """Folds of the unrolled IFM."""
        return tile.g * self.row_folds(tile) * ceil_div(tile.positions, self.columns)

    def stream(self, tile: TileSizes) -> Ints:
        """One output channel a cycle."""
        return tile.k

    def accesses(self, tile: TileSizes) -> BufferAccesses:
        """The unrolled IFM once, kernels once per fold of columns, a psum per fold of rows."""
        row_folds, outputs = self.row_folds(tile), tile.ofm_elements
        return BufferAccesses(
            ifm_reads=tile.g * tile.positions * tile.reduction,
            kernel_reads=tile.g * ceil_div(tile.positions, self.columns) * tile.reduction * tile.k,
            psum_reads=np.maximum(row_folds - 1, 0) * outputs,
            psum_writes=row_folds * outputs,
        )
