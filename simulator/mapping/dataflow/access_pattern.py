"""Which elements of a buffer the array takes in one cycle, and how many cycles banks need to give them.

What is assumed:
- A tile lies in its buffer as it comes from DRAM: an IFM tile as [n, channel, row, column], a kernel tile as
  [group, c, k, r, s] (a slice per input channel in one piece), psums and OFM as [n, channel, row, column]. Its first
  element starts a word of bank 0, and a word holds as many whole elements as fit.
- Words are interleaved: word w is in bank w mod banks. Elements of the same word come with one access.
- A vector is what the PEs take together: for a systolic array one element per row (or column), before any skewing,
  which registers behind the buffer do; for free unrolling one element per combination of the unrolled loops that the
  operand depends on. Operands that the PEs keep (`local_reuse`, scratch pads), and those of arrays that skip zeros, are
  read in the order in which they lie.
- Every vector of a tile needs as many cycles as the first. Channels that dynamic pruning or zeros have taken away leave
  the pattern as it is.
- The vector unit reads and writes in the order in which tensors lie.
- `interleaving: lanes`: the elements of a vector lie side by side.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from simulator.hardware.array import Array
from simulator.hardware.buffer import Buffer
from simulator.mapping.dataflow.base import Ints, TileSizes, ceil_div
from simulator.mapping.dataflow.spatial import Spatial
from simulator.mapping.distinct import distinct
from simulator.mapping.loop_nest import LoopNest

Loops = dict[str, Ints]

_OF_IFM, _OF_KERNEL, _OF_PSUM = "NGCPQRS", "GCKRS", "NGKPQ"


@dataclass(frozen=True)
class Vector:
    """Elements that are accessed together, per tile: a grid of `counts` by `strides` (in elements), outermost first.

    Only the first `limit` elements of the grid belong to it, where there is a limit. No loops: elements in the order in
    which they lie.
    """

    counts: tuple[Ints, ...] = ()
    strides: tuple[Ints, ...] = ()
    limit: int | None = None


def access_vectors(array: Array, nest: LoopNest, tile: TileSizes) -> dict[str, Vector]:
    """The vector of every operand ("ifm", "kernel", "psum") on an array."""
    strides = _strides(nest, tile)
    return {
        operand: _vector(loops, strides[operand], limit)
        for operand, (loops, limit) in _side_by_side(array, tile).items()
    }


def _vector(loops: Loops, strides: Mapping[str, Ints], limit: int | None) -> Vector:
    return Vector(tuple(loops.values()), tuple(strides[name] for name in loops), limit)


def _side_by_side(array: Array, tile: TileSizes) -> dict[str, tuple[Loops, int | None]]:
    """The loops that run side by side in an operand's vector, outermost first, and how many elements there are."""
    one = np.asarray(1, np.int64)
    reduction: Loops = {"C": tile.c, "R": tile.r * one, "S": tile.s * one}
    positions: Loops = {"N": tile.n, "P": tile.p, "Q": tile.q}
    outputs: Loops = {"K": tile.k}
    rows, columns = array.rows, array.columns
    if array.dataflow == "weight_stationary":
        return {"ifm": (reduction, rows), "kernel": (outputs, columns), "psum": (outputs, columns)}
    if array.dataflow == "output_stationary":
        return {"ifm": (positions, rows), "kernel": (outputs, columns), "psum": (outputs, columns)}
    if array.dataflow == "input_stationary":
        return {"ifm": (positions, columns), "kernel": (reduction, rows), "psum": (positions, columns)}
    if array.dataflow in ("row_stationary", "zero_skipping", "output_blocks"):
        return {operand: ({}, None) for operand in ("ifm", "kernel", "psum")}
    factors = Spatial(array).unrolled(tile)

    def unrolled(operand: str, names: str) -> tuple[Loops, int | None]:
        return ({} if operand in array.local_reuse else {name: factors[name] for name in names}), None

    return {
        "ifm": unrolled("ifm", _OF_IFM),
        "kernel": unrolled("kernel", _OF_KERNEL),
        "psum": unrolled("psum", _OF_PSUM),
    }


def _strides(nest: LoopNest, tile: TileSizes) -> dict[str, dict[str, Ints]]:
    """Elements from one turn of each loop to the next, in the tile of each operand."""
    one, (_, height, width) = np.asarray(1, np.int64), nest.inputs[0]
    rows = _extent(height, nest.p, tile.p, nest.stride[0], nest.dilation[0] * (nest.r - 1) + 1, nest.windowed)
    columns = _extent(width, nest.q, tile.q, nest.stride[1], nest.dilation[1] * (nest.s - 1) + 1, nest.windowed)
    plane, slices = rows * columns, tile.k * (tile.r * tile.s)
    kernel = {"G": tile.c * slices, "C": slices, "K": tile.r * tile.s * one, "R": tile.s * one, "S": one}
    if nest.two_activations:
        kernel = {"G": tile.k * tile.c, "C": one, "K": tile.c, "R": one, "S": one}
    return {
        "ifm": {
            "N": tile.g * tile.c * plane,
            "G": tile.c * plane,
            "C": plane,
            "P": nest.stride[0] * columns,
            "Q": nest.stride[1] * one,
            "R": nest.dilation[0] * columns,
            "S": nest.dilation[1] * one,
        },
        "kernel": kernel,
        "psum": {
            "N": tile.g * tile.k * tile.p * tile.q,
            "G": tile.k * tile.p * tile.q,
            "K": tile.p * tile.q,
            "P": tile.q,
            "Q": one,
        },
    }


def _extent(size: int, loop: int, tile: Ints, stride: int, reach: int, windowed: bool) -> Ints:
    """Rows or columns of an IFM tile away from the edges."""
    return np.minimum(size, (tile - 1) * stride + reach if windowed else ceil_div(tile * size, loop))


def bank_cycles(buffer: Buffer, elements: Ints, bits: int, vector: Vector, interleaving: str) -> Ints:
    """Cycles for which the banks of `buffer` are busy to give `elements` of `bits` each, vector by vector.

    A buffer without a width takes no time.
    """
    if buffer.width is None:
        return np.zeros_like(elements)
    banks, width = buffer.banks or 1, buffer.width
    if not vector.counts:
        return ceil_div(_words(elements, bits, width), banks)
    counts = [np.asarray(count, np.int64) for count in vector.counts]
    lanes: Ints = np.asarray(1, np.int64)
    for index in range(len(counts) - 1, -1, -1):
        if vector.limit is not None:
            counts[index] = np.minimum(counts[index], ceil_div(vector.limit, lanes))
        lanes = lanes * counts[index]
    lanes = lanes if vector.limit is None else np.minimum(lanes, vector.limit)
    if interleaving == "lanes":
        each = ceil_div(_words(lanes, bits, width), banks)
    else:
        each = _conflict_cycles(counts, list(vector.strides), vector.limit, bits, width, banks)
    return ceil_div(elements * each, lanes)


def _words(elements: Ints, bits: int, width: int) -> Ints:
    """Words that so many elements in a row fill."""
    if bits > width:
        return elements * (-(-bits // width))
    return ceil_div(elements, width // bits)


def _conflict_cycles(
    counts: list[Ints], strides: list[Ints], limit: int | None, bits: int, width: int, banks: int
) -> Ints:
    columns = np.broadcast_arrays(*counts, *strides)
    table = np.stack([column.ravel() for column in columns], axis=1)
    unique, inverse = np.unique(table, axis=0, return_inverse=True)
    half = len(counts)
    cycles = [vector_cycles(tuple(row[:half]), tuple(row[half:]), limit, bits, width, banks) for row in unique.tolist()]
    return np.array(cycles, np.int64)[inverse.ravel()].reshape(columns[0].shape)


@lru_cache(maxsize=1 << 16)
def vector_cycles(
    counts: tuple[int, ...], strides: tuple[int, ...], limit: int | None, bits: int, width: int, banks: int
) -> int:
    """Cycles for one vector: the most words of it that lie in one bank.

    L elements at a stride of σ whole words need ceil(L / (banks / gcd(banks, σ))) cycles.
    """
    address = np.zeros(1, np.int64)
    for count, stride in zip(counts, strides, strict=True):
        address = np.add.outer(address, np.arange(count, dtype=np.int64) * stride).ravel()
    words = distinct(address[:limit] // max(1, width // bits))
    per_element = -(-bits // width)
    words = np.add.outer(words * per_element, np.arange(per_element)).ravel()
    return int(np.bincount(words % banks).max())
