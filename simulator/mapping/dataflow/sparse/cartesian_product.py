"""The Cartesian product of non-zero activations and non-zero weights: SCNN (Parashar et al., ISCA 2017).

The plane of the padded IFM is cut into ⌈H/rows⌉ × ⌈W/columns⌉ elements for every PE. An accumulator of so many entries
holds the psums of Kc = ⌊accumulators / outputs of a PE⌋ output channels, a group. For every group and input channel a PE
multiplies chunks of I non-zero activations (row by row) by chunks of F non-zero weights (by r, s, then k): all I·F
products of two chunks in one cycle, or as many cycles as the fullest of the accumulator's banks takes, where

    bank(k, x, y) = ((((k & 4) << 2) ^ ((x & 2) << 3) ^ ((y & 2) << 3)) + ((x & 1) << 3) + ((y & 1) << 2) + (k & 3)) mod banks

for output channel k and position (x, y). Products that belong to no output reach no bank. All PEs wait for the slowest at
every channel. With a stride, only activations and weights of the same phase are multiplied, one phase after the other.
After a group the psums on the rim of each PE's outputs go to its neighbours, at one a cycle to each of the eight: the
largest rim counts.

How it is counted without looking at every product: with y and x alone an activation falls into one of eight classes (three
bits of the bank), and k adds two bits and may flip the third. So a chunk of activations is a number in base 9 (8 = no
product) at each kernel position, and chunks of weights at one kernel position come in a few kinds (`bank_times.py`). The time of
each kind with each number is a table, and a channel's time is a product of two histograms. Only chunks of weights that
reach over two or more kernel positions are looked at one by one.
"""

from dataclasses import dataclass

import numpy as np

from simulator.mapping.dataflow.base import TileSizes, ceil_div
from simulator.mapping.dataflow.sparse.bank_times import BankTimes, bank_times
from simulator.mapping.dataflow.sparse.base import (
    Bools,
    Convolution,
    Floats,
    Ints,
    SparseCost,
    expected_chunks,
    window_size,
)
from simulator.mapping.dataflow.sparse.chunks import (
    ActivationChunks,
    Codes,
    activation_chunks,
    crossing_cycles,
    weight_chunks,
)


@dataclass(frozen=True)
class CartesianProduct:
    """rows × columns PEs with activations × weights multipliers and `banks` accumulator banks each (a power of 2, up to
    32); at most 4 activations and 4 weights."""

    rows: int
    columns: int
    activations: int
    weights: int
    banks: int
    accumulators: int

    @property
    def multipliers(self) -> int:
        """rows · columns · activations · weights."""
        return self.rows * self.columns * self.activations * self.weights

    def group_size(self, rows: int, columns: int) -> int:
        """Output channels whose psums fit into a PE's accumulator, for an OFM of so many rows and columns."""
        outputs = -(-rows // self.rows) * -(-columns // self.columns)
        return max(1, self.accumulators // max(1, outputs))

    def cost(self, window: Bools, kernel: Bools, convolution: Convolution) -> SparseCost:
        """cycles · multipliers = products + outside + fragmentation + bank_conflicts + imbalance + halo."""
        groups, outputs, channels, _, _ = kernel.shape
        rows, columns = convolution.outputs(window, kernel)
        group = min(outputs, self.group_size(rows, columns))
        filters = np.minimum(group, outputs - np.arange(0, outputs, group))
        counts = _Counts.none(groups * channels, self.rows * self.columns, len(filters))
        by_channel = kernel.transpose(0, 2, 3, 4, 1).reshape(groups * channels, *kernel.shape[-2:], outputs)
        plane = self._by_pe(window.reshape(groups * channels, *window.shape[-2:]))
        for phase in _phases(convolution):
            counts = counts + self._phase(plane, by_channel, convolution, phase, (rows, columns), group)
        slowest = counts.cycles.max(axis=1, keepdims=True)
        halo = groups * outputs * self._largest_rim(window, kernel, convolution) if convolution.finishes else 0
        size = self.activations * self.weights
        compute = int(slowest.sum())
        return SparseCost(
            cycles=compute + halo,
            multipliers=self.multipliers,
            products=counts.products,
            losses={
                "outside": counts.pairs - counts.products,
                "fragmentation": counts.chunk_pairs * size - counts.pairs,
                "bank_conflicts": (int(counts.cycles.sum()) - counts.chunk_pairs) * size,
                "imbalance": int((slowest - counts.cycles).sum()) * size,
                "halo": halo * self.multipliers,
            },
            performed=counts.products,
            gated=0,
            ifm_reads=int(np.count_nonzero(window)) * len(filters),
            kernel_reads=counts.weights_read,
            psum_writes=groups * outputs * rows * columns,
            notes={"output_channel_groups": len(filters) * groups},
        )

    def _by_pe(self, plane: Bools) -> Bools:
        """[C, H, W] cut into tiles: [C, PE rows, PE columns, rows of a tile, columns of a tile]."""
        channels, height, width = plane.shape
        tile = -(-height // self.rows), -(-width // self.columns)
        whole = np.zeros((channels, self.rows * tile[0], self.columns * tile[1]), np.bool_)
        whole[:, :height, :width] = plane
        return np.ascontiguousarray(
            whole.reshape(channels, self.rows, tile[0], self.columns, tile[1]).transpose(0, 1, 3, 2, 4)
        )

    def _largest_rim(self, window: Bools, kernel: Bools, convolution: Convolution) -> int:
        """Psums of one output channel that a PE inside the array hands to the neighbour who gets most of them."""
        sides = []
        for axis, pes in enumerate((self.rows, self.columns)):
            stride, padding = convolution.stride[axis], convolution.padding[axis]
            reach = convolution.dilation[axis] * (kernel.shape[-2 + axis] - 1)
            tile = -(-window.shape[-2 + axis] // pes)
            before = -(-max(0, reach - padding) // stride)
            sides.append((before, -(-tile // stride), -(-min(padding, reach) // stride)))
        (above, height, below), (left, width, right) = sides
        return int(max(max(above, below) * max(left, right, width), height * max(left, right)))

    def _phase(
        self,
        plane: Bools,
        kernel: Bools,
        convolution: Convolution,
        phase: tuple[int, int],
        outputs: tuple[int, int],
        group: int,
    ) -> "_Counts":
        """What PEs do with the activations [C, PEs …] and weights [C, R, S, K] of one phase of the stride."""
        stride, dilation = convolution.stride, convolution.dilation
        acts = activation_chunks(plane, stride, phase, self.activations)
        kernel_rows = [r for r in range(kernel.shape[1]) if r * dilation[0] % stride[0] == phase[0]]
        kernel_columns = [s for s in range(kernel.shape[2]) if s * dilation[1] % stride[1] == phase[1]]
        channels, pes = kernel.shape[0], self.rows * self.columns
        starts = range(0, kernel.shape[3], group)
        if not acts.total or not kernel_rows or not kernel_columns:
            return _Counts.none(channels, pes, len(starts))
        offsets = [(r * dilation[0], s * dilation[1]) for r in kernel_rows for s in kernel_columns]
        own = kernel[:, kernel_rows][:, :, kernel_columns].reshape(channels, len(offsets), -1)
        codes = np.stack([acts.code(offset, stride, outputs, self.banks) for offset in offsets])
        times = bank_times(self.banks)
        of_group = [weight_chunks(own[:, :, start : start + group], start, self.weights) for start in starts]
        kinds = np.stack([chunks.kinds(times) for chunks in of_group], axis=2)  # [channels, offsets · kinds, groups]
        cycles = np.rint(self._by_kind(acts, codes, kinds, times)).astype(np.int64)
        for number, chunks in enumerate(of_group):
            cycles[:, :, number] += crossing_cycles(acts, codes, chunks, times).reshape(channels, pes)
        weights = own.sum(axis=2, dtype=np.int64)
        present = np.stack([np.bincount(acts.channel, times.present[code], channels) for code in codes], axis=1)
        act_chunks, act_count = (each.reshape(channels, pes).sum(axis=1) for each in (acts.chunks, acts.count))
        chunk_count = sum(chunks.count for chunks in of_group)
        return _Counts(
            cycles,
            int((present.astype(np.int64) * weights).sum()),
            int((act_count * weights.sum(axis=1)).sum()),
            int((act_chunks * chunk_count).sum()),
            int((act_chunks * weights.sum(axis=1)).sum()),
        )

    def _by_kind(self, acts: ActivationChunks, codes: Codes, kinds: Ints, times: BankTimes) -> Floats:
        """Cycles of chunks of weights at one kernel position: [channels, PEs, groups].

        How often each kind meets each chunk of activations is known, so times are summed per PE and kind first.
        """
        channels, pes = len(kinds), self.rows * self.columns
        of_kind = len(times.cycles[0])
        used = np.flatnonzero(kinds.any(axis=(0, 2)))
        sums = np.empty((channels, pes, len(used)))
        for number, (offset, kind) in enumerate(zip(*np.divmod(used, of_kind), strict=True)):
            of_chunk = times.cycles[:, kind][codes[offset]]
            sums[:, :, number] = np.bincount(acts.segment, of_chunk, channels * pes).reshape(channels, pes)
        return np.asarray(np.matmul(sums, kinds[:, used].astype(np.float64)))

    def dense_cycles(self, window: Bools, kernel: Bools, convolution: Convolution) -> int:
        """Whole tiles of activations by whole kernels; all channels take the same time."""
        groups, _, channels = kernel.shape[:3]
        one = self.cost(window[:1, :1], np.ones_like(kernel[:1, :, :1]), convolution)
        halo = one.losses["halo"] // self.multipliers
        return int(groups * (channels * (one.cycles - halo) + halo))

    def expected_cycles(self, tile: TileSizes, ifm_density: float, kernel_density: float) -> Floats:
        """Chunks of activations by chunks of weights in a whole PE, and the halo; no conflicts, nobody waits."""
        height, width = window_size(tile)
        area = ceil_div(height, self.rows) * ceil_div(width, self.columns)
        outputs = ceil_div(tile.p, self.rows) * ceil_div(tile.q, self.columns)
        group = np.minimum(tile.k, np.maximum(1, self.accumulators // outputs))
        stride = tile.stride[0] * tile.stride[1]
        phases = min(tile.r, tile.stride[0]) * min(tile.s, tile.stride[1])
        acts = expected_chunks(area / stride, ifm_density, self.activations)
        weights = expected_chunks(group * (tile.r * tile.s / phases), kernel_density, self.weights)
        of_channel = phases * acts * weights * (tile.k / group)
        if kernel_density >= 1.0:
            rest = expected_chunks(tile.k % group * (tile.r * tile.s / phases), 1.0, self.weights)
            of_channel = phases * acts * (weights * (tile.k // group) + rest)
        rim = np.maximum(ceil_div(height, self.rows), ceil_div(width, self.columns)) * (tile.r > 1 or tile.s > 1)
        halo = tile.k * -(-rim * (max(tile.r, tile.s) // 2) // max(tile.stride))
        return np.asarray(tile.n * tile.g * (tile.c * of_channel + halo), np.float64)


@dataclass(frozen=True)
class _Counts:
    """cycles [channels, PEs, groups of output channels] without waiting; the others are sums."""

    cycles: Ints
    products: int
    pairs: int
    chunk_pairs: int
    weights_read: int

    @staticmethod
    def none(channels: int, pes: int, groups: int) -> "_Counts":
        return _Counts(np.zeros((channels, pes, groups), np.int64), 0, 0, 0, 0)

    def __add__(self, other: "_Counts") -> "_Counts":
        pairs = zip(vars(self).values(), vars(other).values(), strict=True)
        return _Counts(*(mine + theirs for mine, theirs in pairs))


def _phases(convolution: Convolution) -> list[tuple[int, int]]:
    rows, columns = convolution.stride
    return [(row, column) for row in range(rows) for column in range(columns)]
