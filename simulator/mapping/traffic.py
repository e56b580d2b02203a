"""Estimated DRAM traffic of tilings, for every loop order.

Reuse is counted by loop-nest analysis: an operand's tile stays in its buffer over the loops inside the innermost loop
that changes it, and is fetched again for every turn of a loop outside it (Yang et al., "Interstellar", ASPLOS 2020).
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from simulator.hardware.accelerator import Accelerator
from simulator.mapping.burst_waste import Storage, TileExtent, burst_waste, tensor_waste
from simulator.mapping.capacity import kernel_bits
from simulator.mapping.dataflow.base import ceil_div
from simulator.mapping.loop_nest import LoopNest
from simulator.mapping.tiles import Floats, Ints, Tiles, input_extents, trips


@dataclass(frozen=True, eq=False)
class Reuse:
    """How often each operand is fetched (the OFM: visited) under each order of the loops: [orders, candidates]."""

    ifm: Ints
    kernel: Ints
    ofm: Ints


def reuse(nest: LoopNest, tile: Tiles, orders: tuple[str, ...]) -> Reuse:
    """Once, or once per turn of the loop that an operand does not depend on.

    Tiles of k turn inside all other loops where m is more than k, and then a kernel tile never stays.
    """
    found = trips(nest, tile)
    turns = {"S": found.positions, "K": found.stored_outputs, "C": found.channels}
    several = {loop: count > 1 for loop, count in turns.items()}
    kernels_turn = tile.m > tile.k

    def fetched(relevant: str, irrelevant: str) -> Ints:
        times = np.empty((len(orders), tile.count), np.int64)
        for index, order in enumerate(orders):
            displaced = kernels_turn if irrelevant == "S" else np.zeros(tile.count, np.bool_)
            for loop in order[order.index(irrelevant) + 1 :]:
                if loop in relevant:
                    displaced = displaced | several[loop]
            times[index] = np.where(displaced, turns[irrelevant], 1)
        return times

    return Reuse(ifm=fetched("SC", "K"), kernel=fetched("KC", "S"), ofm=fetched("SK", "C"))


@dataclass(frozen=True, eq=False)
class Traffic:
    """DRAM bytes of each operand: [orders, candidates]; the OFM's include psums that are spilled and fetched again.

    first_and_last: those of a first IFM and kernel tile and a last OFM tile, of average size: [candidates].
    """

    ifm: Floats
    kernel: Floats
    ofm: Floats
    first_and_last: Floats

    @cached_property
    def total(self) -> Floats:
        """All operands together."""
        return self.ifm + self.kernel + self.ofm


def traffic(nest: LoopNest, accelerator: Accelerator, tile: Tiles, storage: Storage, loads: Reuse) -> Traffic:
    """DRAM bytes; an unaligned run of bytes counts with the part of a burst that it wastes on average."""
    ifm = ifm_layer_bytes(nest, accelerator, tile, storage)
    kernel = _kernel_layer_bytes(nest, accelerator, tile)
    once, spill = _ofm_layer_bytes(nest, accelerator, tile, storage)
    count = trips(nest, tile)
    of_positions = (ifm / count.channels + once / count.stored_outputs) / count.positions
    of_tile = of_positions + kernel / (count.channels * count.outputs)
    return Traffic(
        ifm=ifm * loads.ifm,
        kernel=kernel * loads.kernel,
        ofm=once + spill * (2 * (loads.ofm - 1)),
        first_and_last=of_tile / count.groups,
    )


def ifm_fetched_elements(nest: LoopNest, tile: Tiles, index: int, *, whole_rows: bool) -> Ints:
    """Elements of input `index` when each tile of positions and channels is fetched once, halo included.

    whole_rows: a tile takes whole rows, whatever columns it needs of them.
    """
    channels, _, width = nest.inputs[index]
    columns = input_extents(nest, index, "columns").summed[tile.q]
    if whole_rows:
        columns = np.where(tile.q >= nest.q, columns, width * ceil_div(nest.q, tile.q))
    return nest.n * channels * input_extents(nest, index, "rows").summed[tile.p] * columns


def ifm_layer_bytes(nest: LoopNest, accelerator: Accelerator, tile: Tiles, storage: Storage) -> Floats:
    """Bytes of all inputs when each tile of positions and channels is fetched once."""
    bits, burst = accelerator.precision.ifm, accelerator.dram.burst
    total: Floats = np.zeros(1)
    for index, stored in enumerate(storage.inputs):
        waste = tensor_waste(nest, _ifm_extent(nest, tile, index), nest.inputs[index], stored, bits, burst)
        elements = ifm_fetched_elements(nest, tile, index, whole_rows=stored.compressed)
        total = total + elements * (bits / 8 * stored.ratio) * waste
    return total


def _ifm_extent(nest: LoopNest, tile: Tiles, index: int) -> TileExtent:
    """What tiles take of input `index`: windows that reach over its edge hold less."""
    _, height, width = nest.inputs[index]
    if nest.windowed:
        rows, columns = (
            np.gcd(tile.p * nest.stride[0], nest.padding[0]),
            np.gcd(tile.q * nest.stride[1], nest.padding[1]),
        )
    else:
        rows, columns = _step(tile.p, height, nest.p), _step(tile.q, width, nest.q)
    return TileExtent(
        tile.g * tile.c,
        nest.g * nest.c,
        tile.p,
        tile.q,
        rows=input_extents(nest, index, "rows").summed[tile.p] / ceil_div(nest.p, tile.p),
        columns=input_extents(nest, index, "columns").summed[tile.q] / ceil_div(nest.q, tile.q),
        row_step=rows,
        column_step=columns,
    )


def _step(size: Ints, side: int, loop: int) -> Ints:
    """What the first rows of a tensor of `side` are multiples of, for tiles of `size` of a loop that maps on it."""
    return np.asarray(np.where(size * side % loop == 0, size * side // loop, 1), np.int64)


def _ofm_extent(nest: LoopNest, tile: Tiles) -> TileExtent:
    """What tiles take of the OFM; the last of a row or column may be smaller."""
    return TileExtent(
        tile.g * tile.m,
        nest.g * nest.k,
        tile.p,
        tile.q,
        rows=nest.ofm[1] / ceil_div(nest.p, tile.p),
        columns=nest.ofm[2] / ceil_div(nest.q, tile.q),
        row_step=_step(tile.p, nest.ofm[1], nest.p),
        column_step=_step(tile.q, nest.ofm[2], nest.q),
    )


def _kernel_layer_bytes(nest: LoopNest, accelerator: Accelerator, tile: Tiles) -> Floats:
    bits, burst = nest.stored_kernel_bits(kernel_bits(nest, accelerator)), accelerator.dram.burst
    whole = nest.kernel_elements
    if burst * 8 <= bits:
        return np.full(tile.count, whole * bits / 8)
    slices = tile.g * tile.k * tile.c * nest.kernel_positions
    waste = np.where(slices >= whole, 1.0, burst_waste(slices * (bits / 8), bits / 8, burst))
    return np.asarray(whole * bits / 8 * waste, np.float64)


def ofm_stores(nest: LoopNest, tile: Tiles, storage: Storage) -> Ints:
    """How often each row of the OFM is stored: a compressed one with every tile of columns."""
    return ceil_div(nest.q, tile.q) if storage.ofm.compressed else np.ones(1, np.int64)


def _ofm_layer_bytes(
    nest: LoopNest, accelerator: Accelerator, tile: Tiles, storage: Storage
) -> tuple[Floats, Floats | float]:
    """Bytes of the finished OFM, and of all its psums."""
    precision, burst = accelerator.precision, accelerator.dram.burst
    elements = nest.n * nest.ofm[0] * nest.ofm[1] * nest.ofm[2]
    extent = _ofm_extent(nest, tile)
    waste = tensor_waste(nest, extent, nest.ofm, storage.ofm, precision.ofm, burst)
    once = elements * (precision.ofm / 8 * storage.ofm.ratio) * waste * ofm_stores(nest, tile, storage)
    psums = elements * precision.psum / 8
    if nest.unit == "vector":
        return once, psums
    raw = type(storage.ofm)(storage.ofm.lanes)
    return once, psums * tensor_waste(nest, extent, nest.ofm, raw, precision.psum, burst)
