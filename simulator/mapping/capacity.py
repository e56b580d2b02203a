"""Which tiles fit into the buffers."""

from dataclasses import dataclass

import numpy as np

from simulator.hardware.accelerator import Accelerator
from simulator.hardware.buffer import Space
from simulator.hardware.section import Operand
from simulator.mapping.dataflow.base import ceil_div
from simulator.mapping.loop_nest import LoopNest
from simulator.mapping.tiles import Axis, Bools, Ints, Tiles, input_extents, output_extents


def kernel_bits(nest: LoopNest, accelerator: Accelerator) -> int:
    """Bits of a kernel element, which is a feature map's in a product of two activations."""
    return accelerator.precision.ifm if nest.two_activations else accelerator.precision.kernel


def input_side(nest: LoopNest, index: int, axis: Axis, tile: Ints, padding: bool) -> Ints:
    """Rows or columns of the largest tile of input `index`; padding: whether those of a window count zero padding."""
    if padding and nest.windowed and index == 0:
        return nest.window_rows(tile, padding) if axis == "rows" else nest.window_columns(tile, padding)
    return input_extents(nest, index, axis).largest[tile]


def ifm_tile_elements(nest: LoopNest, tile: Tiles, padding: bool) -> Ints:
    """Elements of the largest IFM tile, all inputs together."""
    total: Ints = np.zeros(1, np.int64)
    together = tile.g if nest.c == 1 else tile.g * tile.c
    for index, (channels, _, _) in enumerate(nest.inputs):
        of_tile = together
        if channels != nest.g * nest.c:
            of_tile = np.minimum(channels, ceil_div(together * channels, nest.g * nest.c))
        rows = input_side(nest, index, "rows", tile.p, padding)
        columns = input_side(nest, index, "columns", tile.q, padding)
        total = total + tile.n * of_tile * rows * columns
    return total


def ofm_tile_elements(nest: LoopNest, tile: Tiles, outputs: Ints) -> Ints:
    """Elements of `outputs` channels of the largest OFM tile in each group."""
    rows = tile.p if nest.ofm[1] == nest.p else output_extents(nest, "rows").largest[tile.p]
    columns = tile.q if nest.ofm[2] == nest.q else output_extents(nest, "columns").largest[tile.q]
    return tile.g * outputs * tile.n * rows * columns


def tile_bytes(nest: LoopNest, accelerator: Accelerator, tile: Tiles) -> dict[Operand, Ints]:
    """Bytes of the largest tile of each operand in its buffer; that of the OFM holds psums."""
    precision = accelerator.precision
    ifm = ifm_tile_elements(nest, tile, accelerator.buffers.ifm.holds_padding)
    array = nest.unit == "array"
    kernel = tile.g * tile.k * tile.c * nest.kernel_positions if array else np.zeros_like(tile.g)
    ofm_bits = precision.psum if array else precision.ofm
    return {
        "ifm": ceil_div(ifm * precision.ifm, 8),
        "kernel": ceil_div(kernel * kernel_bits(nest, accelerator), 8),
        "ofm": ceil_div(ofm_tile_elements(nest, tile, tile.m) * ofm_bits, 8),
    }


@dataclass(frozen=True)
class Capacity:
    """The buffers, as a layer meets them."""

    nest: LoopNest
    accelerator: Accelerator

    def need(self, tile: Tiles, *, copies: bool = True) -> list[tuple[Space, Ints]]:
        """Bytes that candidates need in each part of the buffers, in whole allocation units.

        As many copies of a tile as its operand's buffering asks for, one where it is the operand's only tile. copies:
        False counts one of each.
        """
        nest, buffers = self.nest, self.accelerator.buffers
        position = (tile.n >= nest.n) & (tile.p >= nest.p) & (tile.q >= nest.q)
        group, k, c, m = tile.g >= nest.g, tile.k >= nest.k, tile.c >= nest.c, tile.m >= nest.k
        only: dict[Operand, Bools] = {"ifm": position & group & c, "kernel": group & k & c, "ofm": position & group & m}
        of_operand: dict[Operand, Ints] = {}
        for operand, size in tile_bytes(nest, self.accelerator, tile).items():
            unit, wanted = buffers.of(operand).allocation_unit, buffers.copies(operand) if copies else 1
            room = size if wanted == 1 else np.where(only[operand], size, size * wanted)
            of_operand[operand] = room if unit == 1 else ceil_div(room, unit) * unit
        nothing = np.zeros_like(tile.g)
        return [(space, sum((of_operand[o] for o in space.operands), nothing)) for space in buffers.spaces]

    def fits(self, tile: Tiles, *, copies: bool = True) -> Bools:
        """Which candidates fit."""
        fits = np.ones(tile.count, np.bool_)
        for space, need in self.need(tile, copies=copies):
            fits &= need <= space.capacity
        return fits

    def why_not(self, smallest: Tiles) -> str:
        """Why not even the smallest tiles fit, and by how much."""
        name = self.accelerator.name
        for space, need in self.need(smallest):
            if (least := int(need.min())) > space.capacity:
                return (
                    f"accelerator '{name}': {space.setting}, but the smallest tile of "
                    f"{' and '.join(space.operands)} needs {least} B, {least - space.capacity} B too many"
                )
        return f"accelerator '{name}': no tile fits into all buffers at once; enlarge buffers.*.capacity"
