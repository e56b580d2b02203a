"""The Cartesian product of non-zero activations and non-zero weights: SCNN (Parashar et al., ISCA 2017).

The plane of the padded IFM is cut into ⌈H/rows⌉ × ⌈W/columns⌉ elements for every PE. Its accumulators hold the psums of
Kc = ⌊accumulators / outputs of a PE⌋ output channels, a group. For every group and input channel a PE multiplies chunks
of I non-zero activations (row by row) by chunks of F non-zero weights (by r, s, then k): all I·F products of two chunks
in one cycle, or in as many as the fullest of the accumulator's banks takes, where for output channel k and position
(x, y)

    bank = ((((k&4)<<2) ^ ((x&2)<<3) ^ ((y&2)<<3)) + ((x&1)<<3) + ((y&1)<<2) + (k&3)) mod banks

Products that belong to no output reach no bank. All PEs wait for the slowest at every channel. With a stride, only
activations and weights of the same phase are multiplied, one phase after the other. After a group the psums on the rim
of each PE's outputs go to its eight neighbours at the same time, one a cycle to each: the largest rim counts.

How it is counted without looking at every product: with y and x alone an activation falls into one of eight classes
(three bits of the bank), and k adds two bits and may flip the third. So a chunk of activations is a number in base 9
(8 = no product) at each kernel position, and chunks of weights at one kernel position come in a few kinds
(`bank_times.py`). The time of each kind with each number is a table, and a channel's time is a product of two
histograms. Only chunks of weights that reach over two or more kernel positions are looked at one by one.
"""

from collections.abc import Sequence
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
    TileGrid,
    alike,
    expected_chunks,
    window_size,
)
from simulator.mapping.dataflow.sparse.chunks import (
    ActivationChunks,
    Codes,
    WeightChunks,
    activation_chunks,
    crossing_cycles,
    weight_chunks,
)

_SEGMENTS_AT_ONCE = 1 << 16
"""(channel, PE) pairs that are in memory together."""


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

    def cost(self, window: Bools, kernel: Bools, convolution: Convolution) -> SparseCost:
        """cycles · multipliers = products + outside + fragmentation + bank_conflicts + imbalance + halo."""
        whole = TileGrid(((0, kernel.shape[1]),), ((0, kernel.shape[2]),))
        return self.tile_costs(window, kernel, convolution, whole)[0][0]

    def tile_costs(
        self, window: Bools, kernel: Bools, convolution: Convolution, tiles: TileGrid
    ) -> list[list[SparseCost]]:
        """`cost` of every tile of output and input channels. Channels follow each other, and activations are cut into
        chunks once for all output channels."""
        groups, channels = len(kernel), kernel.shape[2]
        rows, columns = convolution.outputs(window, kernel)
        counts = self._by_channel(window, kernel, convolution, tiles.outputs).reshape(groups, channels, -1, 7)
        rim = groups * self._largest_rim(window, kernel, convolution)
        found: list[list[SparseCost]] = []
        for number, (first, last) in enumerate(tiles.outputs):
            outputs = last - first
            turns = len(self._groups(outputs, rows, columns))
            found.append([])
            for start, stop in tiles.channels:
                sums = counts[:, start:stop, number].sum(axis=(0, 1)).tolist()
                halo = rim * outputs if convolution.finishes and stop == channels else 0
                outside = groups * outputs * rows * columns
                found[-1].append(self._cost(sums, halo, turns, groups, outside))
        return found

    def _cost(self, sums: Sequence[int], halo: int, turns: int, groups: int, outputs: int) -> SparseCost:
        slowest, cycles, products, pairs, chunk_pairs, weights_read, activations = sums
        size = self.activations * self.weights
        return SparseCost(
            cycles=slowest + halo,
            multipliers=self.multipliers,
            products=products,
            losses={
                "outside": pairs - products,
                "fragmentation": chunk_pairs * size - pairs,
                "bank_conflicts": (cycles - chunk_pairs) * size,
                "imbalance": slowest * self.multipliers - cycles * size,
                "halo": halo * self.multipliers,
            },
            performed=products,
            gated=0,
            ifm_reads=activations * turns,
            kernel_reads=weights_read,
            psum_writes=outputs,
            notes={"output_channel_groups": turns * groups},
        )

    def _groups(self, outputs: int, rows: int, columns: int) -> range:
        """Where the groups of output channels begin whose psums fit into the accumulators, for an OFM of that size."""
        own = -(-rows // self.rows) * -(-columns // self.columns)
        return range(0, outputs, max(1, self.accumulators // max(1, own)))

    def _by_channel(
        self, window: Bools, kernel: Bools, convolution: Convolution, tiles: Sequence[tuple[int, int]]
    ) -> Ints:
        """Per channel of all groups and tile of output channels [G·C, tiles, 7]: cycles of the slowest PE and of all
        PEs, products, pairs of an activation and a weight, pairs of chunks, weights read and activations read.

        Channels of equal maps are looked at once, and so are tiles of equal weights, as those of dense kernels are."""
        size = convolution.outputs(window, kernel)
        weights = kernel.transpose(0, 2, 3, 4, 1).reshape(-1, *kernel.shape[-2:], kernel.shape[1])
        planes = window.reshape(-1, *window.shape[-2:])
        block = max(1, _SEGMENTS_AT_ONCE // (self.rows * self.columns))
        found = np.zeros((len(planes), len(tiles), 7), np.int64)
        working = np.flatnonzero(planes.any(axis=(1, 2)))
        same_channel = alike([(planes[channel], weights[channel]) for channel in working.tolist()])
        same_tile = alike([(weights[:, :, :, start:stop],) for start, stop in tiles])
        different = working[sorted(set(same_channel))]
        for first in range(0, len(different), block):
            some = different[first : first + block]
            own, plane = weights[some], self._by_pe(planes[some])
            cycles: list[Ints | int] = [0] * len(tiles)
            for phase in _phases(convolution):
                part = _Phase.of(self, plane, own, convolution, phase, size)
                for number in sorted(set(same_tile)) if part is not None else ():
                    assert part is not None
                    start, stop = tiles[number]
                    groups = self._groups(stop - start, *size)
                    chunks = [part.weight_chunks(start, start + g, min(start + g + groups.step, stop)) for g in groups]
                    cycles[number] = cycles[number] + part.cycles(chunks)
                    found[some, number, 2:6] += part.others(chunks, start, stop)
            for number, of_pes in enumerate(cycles):
                if isinstance(of_pes, np.ndarray):
                    found[some, number, 0] = of_pes.max(axis=1).sum(axis=1)
                    found[some, number, 1] = of_pes.sum(axis=(1, 2))
            found[some, :, 6] = np.count_nonzero(plane, axis=(1, 2, 3, 4))[:, None]
        found[working] = found[working[same_channel]]
        return found[:, same_tile]

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


@dataclass(frozen=True, eq=False)
class _Phase:
    """The activations and weights of one phase of the stride, of a block of channels: chunks of activations with their
    codes at each kernel position [positions, chunks], and weights [C, positions, K]. present: activations that have an
    output at each kernel position, [C, positions]. sums: what has been added up over
    the chunks of activations, for all groups of output channels."""

    array: CartesianProduct
    acts: ActivationChunks
    codes: Codes
    weights: Bools
    times: BankTimes
    present: Ints
    sums: dict[int, Floats]

    @staticmethod
    def of(
        array: CartesianProduct,
        plane: Bools,
        kernel: Bools,
        convolution: Convolution,
        phase: tuple[int, int],
        outputs: tuple[int, int],
    ) -> "_Phase | None":
        """Of planes [C, PEs …] and weights [C, R, S, K]; None where there is nothing to multiply."""
        stride, dilation = convolution.stride, convolution.dilation
        rows = [r for r in range(kernel.shape[1]) if r * dilation[0] % stride[0] == phase[0]]
        columns = [s for s in range(kernel.shape[2]) if s * dilation[1] % stride[1] == phase[1]]
        acts = activation_chunks(plane, stride, phase, array.activations)
        if not acts.total or not rows or not columns:
            return None
        offsets = [(r * dilation[0], s * dilation[1]) for r in rows for s in columns]
        codes = np.stack([acts.code(offset, stride, outputs, array.banks) for offset in offsets])
        weights = kernel[:, rows][:, :, columns].reshape(len(kernel), len(offsets), -1)
        times = bank_times(array.banks)
        present = [np.bincount(acts.channel, times.present[code], len(kernel)) for code in codes]
        return _Phase(array, acts, codes, weights, times, np.stack(present, axis=1).astype(np.int64), {})

    def weight_chunks(self, start: int, first: int, last: int) -> WeightChunks:
        """Those of output channels [first, last) of a tile that begins with `start`."""
        return weight_chunks(self.weights[:, :, first:last], first - start, self.array.weights)

    def cycles(self, groups: Sequence[WeightChunks]) -> Ints:
        """Cycles of every PE for groups of output channels, without waiting: [channels, PEs, groups].

        How often each kind of chunk of weights meets each chunk of activations is known, so that times are summed per
        PE and kind first.
        """
        channels, pes = len(self.weights), self.array.rows * self.array.columns
        kinds = np.stack([chunks.kinds(self.times) for chunks in groups])  # [groups, channels, positions · kinds]
        used = np.flatnonzero(kinds.any(axis=(0, 1)))
        often = kinds[:, :, used].transpose(1, 0, 2).astype(np.float64)
        sums = np.empty((channels, len(used), pes))
        for number, kind in enumerate(used.tolist()):
            sums[:, number] = self._sum(kind).reshape(channels, pes)
        cycles = np.rint(np.matmul(often, sums)).astype(np.int64).transpose(0, 2, 1)
        for number, chunks in enumerate(groups):
            cycles[:, :, number] += crossing_cycles(self.acts, self.codes, chunks, self.times).reshape(channels, pes)
        return np.asarray(cycles)

    def _sum(self, kind: int) -> Floats:
        """Cycles of all chunks of activations of every (channel, PE) with a kind of chunk at a kernel position."""
        if kind not in self.sums:
            position, of_chunk = divmod(kind, self.times.cycles.shape[1])
            times = self.times.cycles[:, of_chunk].astype(np.float64)[self.codes[position]]
            self.sums[kind] = np.asarray(np.bincount(self.acts.segment, times, len(self.acts.count)), np.float64)
        return self.sums[kind]

    def others(self, groups: Sequence[WeightChunks], start: int, stop: int) -> Ints:
        """Per channel [C, 4]: products, pairs, pairs of chunks and weights read, for output channels [start, stop)."""
        channels = len(self.weights)
        weights = self.weights[:, :, start:stop].sum(axis=2, dtype=np.int64)
        of_channel = weights.sum(axis=1)
        chunks, count = (each.reshape(channels, -1).sum(axis=1) for each in (self.acts.chunks, self.acts.count))
        of_groups = np.sum([group.count for group in groups], axis=0)
        products = (self.present * weights).sum(axis=1)
        return np.stack([products, count * of_channel, chunks * of_groups, chunks * of_channel], axis=1)


def _phases(convolution: Convolution) -> list[tuple[int, int]]:
    rows, columns = convolution.stride
    return [(row, column) for row in range(rows) for column in range(columns)]
