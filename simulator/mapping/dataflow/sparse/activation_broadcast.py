"""Non-zero activations broadcast to PEs that hold the kernels by rows: EIE (Han et al., ISCA 2016).

Output channel k belongs to PE k mod PEs. A PE stores its part of every kernel column (one IFM element, C·R·S of them)
as non-zeros with the number of zeros before each; where that exceeds what an index of `index_bits` holds, padding zeros
lie between, which take a cycle like non-zeros: a gap of g to the non-zero before is ⌈g / 2^index_bits⌉ entries. Every
position of the OFM is a product of matrix and vector: its non-zero activations are broadcast one after the other, at
most one a cycle, into a FIFO before each PE. A PE works through its entries of a column, one a cycle. The next
broadcast waits while a FIFO is full, and all PEs meet when a vector ends, at the earliest with its last broadcast.
"""

from dataclasses import dataclass

import numpy as np

from simulator.mapping.dataflow.base import TileSizes, ceil_div
from simulator.mapping.dataflow.sparse.base import Bools, Convolution, Floats, Ints, SparseCost

_ELEMENTS_AT_ONCE = 1 << 24
"""Entries of (position, activation, PE) whose times are in memory together."""


@dataclass(frozen=True)
class ActivationBroadcast:
    """`pes` PEs with a FIFO of `fifo` activations each."""

    pes: int
    fifo: int
    index_bits: int

    @property
    def multipliers(self) -> int:
        """One for each PE."""
        return self.pes

    def entries(self, kernel: Bools) -> Ints:
        """Stored entries of every column in every PE, padding zeros included: [C·R·S, PEs] of a [K, C, R, S] map."""
        outputs = kernel.shape[0]
        rows = -(-outputs // self.pes)
        padded = np.zeros((rows * self.pes, int(np.prod(kernel.shape[1:]))), np.bool_)
        padded[:outputs] = kernel.reshape(outputs, -1)
        own = np.ascontiguousarray(
            padded.reshape(rows, self.pes, -1).transpose(2, 1, 0)
        )  # [columns, PEs, rows of a PE]
        column, pe, row = np.nonzero(own)
        first = np.append(True, (column[1:] != column[:-1]) | (pe[1:] != pe[:-1]))[: len(row)]
        gap = row - np.where(first, -1, np.append(-1, row[:-1])[: len(row)])
        stored = -(-gap // (1 << self.index_bits))
        counts = np.bincount(column * self.pes + pe, stored, len(own) * self.pes)
        return counts.astype(np.int64).reshape(-1, self.pes)

    def cost(self, window: Bools, kernel: Bools, convolution: Convolution) -> SparseCost:
        """cycles · PEs = products + metadata (padding zeros) + imbalance (waiting, for work or for the slowest).

        notes: `ideal_cycles`, those of equal shares in all PEs.
        """
        groups, outputs = kernel.shape[:2]
        rows, columns = convolution.outputs(window, kernel)
        cycles = worked = broadcasts = 0
        for group in range(groups):
            entries = self.entries(kernel[group])
            met = np.stack([seen for _, _, seen in convolution.met(window[group], kernel)], axis=1)  # [C, R·S, P, Q]
            active = met.reshape(len(entries), -1).T  # [positions, columns]
            of_vector = active.astype(np.float64) @ entries.sum(axis=1, dtype=np.float64)
            worked += int(of_vector.sum())
            broadcasts += int(np.count_nonzero(active))
            cycles += self._vectors(active, entries)
        products = convolution.products(window, kernel)
        return SparseCost(
            cycles=cycles,
            multipliers=self.pes,
            products=products,
            losses={"metadata": worked - products, "imbalance": cycles * self.pes - worked},
            performed=products,
            gated=0,
            ifm_reads=broadcasts,
            kernel_reads=worked,
            psum_writes=groups * outputs * rows * columns,
            notes={"ideal_cycles": -(-worked // self.pes)},
        )

    def _vectors(self, active: Bools, entries: Ints) -> int:
        """Cycles of all vectors (`active` [positions, columns]), one after the other; equal ones are looked at once."""
        _, where, times = np.unique(np.packbits(active, axis=1), axis=0, return_index=True, return_counts=True)
        count = np.count_nonzero(active[where], axis=1)
        longest = -(-int(count.max(initial=0)) // self.fifo) * self.fifo
        if longest == 0:
            return 0
        chunk = max(1, _ELEMENTS_AT_ONCE // (longest * self.pes))
        total = 0
        for first in range(0, len(where), chunk):
            own, some = count[first : first + chunk], active[where[first : first + chunk]]
            position, column = np.nonzero(some)
            turn = np.arange(len(position)) - np.repeat(np.cumsum(own) - own, own)
            work = np.zeros((len(some), longest, self.pes), np.int64)
            work[position, turn] = entries[column]
            total += int((self._finish(work, own) * times[first : first + chunk]).sum())
        return total

    def _finish(self, work: Ints, count: Ints) -> Ints:
        """When the slowest PE has finished each vector, of `count` activations: work [vectors, activations, PEs] in
        cycles.

        Activation j is broadcast at b_j ≥ b_{j-1} + 1, once every PE has begun with activation j − FIFO depth; a PE
        begins when it has it and has finished the one before. Within a FIFO's depth all broadcasts are known from the
        activations before, so a block of that many is one step: ends = running sum of work + running maximum of what
        broadcasts allow.
        """
        vectors, activations, pes = work.shape
        depth = self.fifo
        free = np.zeros((vectors, depth), np.int64)  # when each of the block's activations finds room in all FIFOs
        broadcast = np.full(vectors, -1, np.int64)
        done, finish = np.zeros((vectors, pes), np.int64), np.zeros(vectors, np.int64)
        step = np.arange(depth)
        for first in range(0, activations, depth):
            block = work[:, first : first + depth]
            earliest = np.maximum.accumulate(np.maximum(free - step, broadcast[:, None] + 1), axis=1) + step
            ends = np.cumsum(block, axis=1)
            before = ends - block
            begin = np.maximum.accumulate(np.maximum(earliest[:, :, None] - before, done[:, None, :]), axis=1) + before
            free = begin.max(axis=2)
            broadcast = earliest[:, -1]
            done = begin[:, -1] + block[:, -1]
            over = np.maximum((begin + block).max(axis=2), earliest + 1)
            finish = np.maximum(finish, np.where(step < (count - first)[:, None], over, 0).max(axis=1))
        return finish

    def dense_cycles(self, window: Bools, kernel: Bools, convolution: Convolution) -> int:
        """The fullest PE has ⌈K / PEs⌉ entries in every column, and never waits."""
        rows: int = -(-kernel.shape[1] // self.pes)
        return int(convolution.met_counts(window, kernel).sum()) * rows

    def expected_cycles(self, tile: TileSizes, ifm_density: float, kernel_density: float) -> Floats:
        """Equal shares of the entries that independent zeros leave, padding zeros included; a dense column at least
        takes its broadcast."""
        rows = ceil_div(tile.k, self.pes).astype(np.float64)
        of_column = rows * kernel_density
        if 0.0 < kernel_density < 1.0:
            gap = (1.0 - kernel_density) ** (1 << self.index_bits)
            of_column = of_column * (1.0 + np.where(rows > (1 << self.index_bits), gap / (1.0 - gap), 0.0))
        if kernel_density < 1.0:
            of_column = of_column * (tile.k / (rows * self.pes))
        vectors = tile.g * tile.positions
        return np.asarray(vectors * (tile.reduction * ifm_density) * np.maximum(of_column, 1.0), np.float64)
