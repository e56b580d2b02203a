"""Dataflows: how many cycles the array needs for a tile, and what it reads and writes meanwhile."""

import math
from collections.abc import Callable

from simulator.hardware.accelerator import Accelerator
from simulator.hardware.array import Array
from simulator.mapping.dataflow.base import Dataflow, TileSizes
from simulator.mapping.dataflow.mixed_widths import MixedWidths
from simulator.mapping.dataflow.output_blocks import OutputBlocks
from simulator.mapping.dataflow.row_stationary import RowStationary
from simulator.mapping.dataflow.several import SeveralArrays
from simulator.mapping.dataflow.spatial import Spatial
from simulator.mapping.dataflow.systolic import InputStationary, OutputStationary, WeightStationary
from simulator.mapping.dataflow.zero_skipping import ZeroSkipping
from simulator.mapping.loop_nest import LoopNest
from simulator.mapping.precision import computed_widths

_DATAFLOWS: dict[str, Callable[[Array, int], Dataflow]] = {
    "spatial": Spatial,
    "row_stationary": RowStationary,
    "weight_stationary": WeightStationary,
    "output_stationary": OutputStationary,
    "input_stationary": InputStationary,
    "zero_skipping": ZeroSkipping,
    "output_blocks": OutputBlocks,
}


def dataflow_of(accelerator: Accelerator, nest: LoopNest | None = None) -> Dataflow:
    """How the arrays of an accelerator work, at the precision of its operands; with `nest`, on that layer.

    Kernels of several widths run width by width where the array is faster on some of them, and at the widest where it
    skips zeros.
    """
    array, precision = accelerator.array, accelerator.precision
    if nest is not None and array.dataflow == "output_blocks":
        array = _library(array, nest, precision.ifm)
    widths = {precision.kernel: 1} if nest is None else computed_widths(nest, accelerator)
    by_lanes: dict[int, int] = {}
    for bits, channels in widths.items():
        lanes = array.lanes_at(precision.ifm, bits)
        by_lanes[lanes] = by_lanes.get(lanes, 0) + channels
    if "skip" in (array.zeros.ifm, array.zeros.kernel):
        by_lanes = {min(by_lanes): sum(by_lanes.values())}
    parts = [(_DATAFLOWS[array.dataflow](array, lanes), by_lanes[lanes]) for lanes in sorted(by_lanes, reverse=True)]
    one = parts[0][0] if len(parts) == 1 else MixedWidths(parts)
    if array.count == 1 or array.dataflow == "output_blocks":
        return one
    return SeveralArrays(one, array.count, array.split)


def _library(array: Array, nest: LoopNest, bits: int) -> Array:
    """The array with the blocks that a library has for a layer, and at the rate at which it runs that."""
    blocks = tuple(block for block in array.blocks if block.serves(nest.n * nest.p * nest.q))
    rate = 1.0
    if nest.c > 1 and array.vector is not None:
        rate = math.gcd(nest.c * bits, 8 * array.vector) / (8 * array.vector)
    if rate == 1.0 and blocks == array.blocks:
        return array
    return array.model_copy(update={"blocks": blocks, "efficiency": rate * array.efficiency})


__all__ = ["Dataflow", "TileSizes", "dataflow_of"]
