"""Blocks of outputs: how libraries spread a matrix product over the multiprocessors of a GPU or the cores of a CPU.

The outputs of a layer, channels by positions, are cut into blocks of a fixed size; a core takes a block, with the whole
reduction, and all cores work on blocks at the same time. A block that reaches over the edge takes as long as a full
one (tile quantisation), and so does a wave that leaves cores without one (wave quantisation). A library has kernels for
several sizes; the fastest for the tile is taken. NVIDIA, "Matrix Multiplication Background User's Guide", describes
both effects. Depthwise layers at an efficiency of their own run on kernels that give each output to a thread: these
are spread over all cores.

Winograd works as for `spatial`: positions are 2×2 outputs, with 16 products each; transforms take no time.
"""

import numpy as np

from simulator.hardware.array import Array
from simulator.mapping.dataflow.base import BufferAccesses, Ints, Lanes, TileSizes, ceil_div


class OutputBlocks:
    """`count` cores that take blocks of outputs."""

    def __init__(self, array: Array, lanes: int = 1) -> None:
        """lanes: how many times its widest operands' MACs a core does in a cycle."""
        self._cores = array.count
        self._macs = array.rows * array.columns * array.macs_per_pe * lanes
        self._blocks = [(block.outputs, block.positions) for block in array.blocks]
        self._efficiency = array.efficiency
        self._alone = array.depthwise_efficiency

    def cycles(self, tile: TileSizes) -> Ints:
        """Cycles of each tile under the blocks that suit it best; depthwise groups take the place of outputs."""
        depthwise = (tile.k == 1) & (tile.c == 1)  # also where a tile holds a single group
        own_kernels = depthwise & (self._alone is not None)
        groups, outputs = np.where(depthwise, 1, tile.g), np.where(depthwise, tile.g, tile.k)
        positions, reduction = tile.positions, tile.reduction
        if tile.winograd:
            positions, reduction = tile.n * ceil_div(tile.p, 2) * ceil_div(tile.q, 2), tile.c * 16
        choices = []
        for width, height in self._blocks:
            waves = ceil_div(groups * ceil_div(outputs, width) * ceil_div(positions, height), self._cores)
            choices.append(waves * (width * height * reduction))
        fastest = np.min(np.stack(np.broadcast_arrays(*choices)), axis=0)
        spread = groups * outputs * positions * reduction / self._cores
        alone = self._efficiency if self._alone is None else self._alone
        work = np.where(own_kernels, spread / alone, fastest / self._efficiency)
        return np.asarray(np.ceil(work / self._macs), np.int64)

    def overhead_cycles(self) -> int:
        """None: `layer_overhead` holds what a launch takes."""
        return 0

    def accesses(self, tile: TileSizes) -> BufferAccesses:
        """Each block reads the rows and columns that it needs: the IFM once per block of outputs, kernels per block of
        positions, of the largest blocks."""
        width = max(block[0] for block in self._blocks)
        height = max(block[1] for block in self._blocks)
        once = BufferAccesses.once(tile)
        return BufferAccesses(
            ifm_reads=once.ifm_reads * ceil_div(tile.k, width),
            kernel_reads=once.kernel_reads * ceil_div(tile.positions, height),
            psum_reads=once.psum_reads,
            psum_writes=once.psum_writes,
        )

    def lanes(self, tile: TileSizes) -> Lanes:
        """Channels are summed one after the other; none has neighbours that must stay."""
        return Lanes(1, 1)
