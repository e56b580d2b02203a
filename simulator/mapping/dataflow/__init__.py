"""Dataflows: how many cycles the array needs for a tile, and what it reads and writes meanwhile."""

from collections.abc import Callable

from simulator.hardware.accelerator import Accelerator
from simulator.hardware.array import Array
from simulator.mapping.dataflow.base import Dataflow, TileSizes
from simulator.mapping.dataflow.output_blocks import OutputBlocks
from simulator.mapping.dataflow.row_stationary import RowStationary
from simulator.mapping.dataflow.several import SeveralArrays
from simulator.mapping.dataflow.spatial import Spatial
from simulator.mapping.dataflow.systolic import InputStationary, OutputStationary, WeightStationary
from simulator.mapping.dataflow.zero_skipping import ZeroSkipping
from simulator.mapping.loop_nest import LoopNest

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

    Quantised kernels run at the width of the widest of them, or at the accelerator's where that is less.
    """
    array, precision = accelerator.array, accelerator.precision
    kernel = precision.kernel if nest is None else nest.computed_kernel_bits(precision.kernel)
    one = _DATAFLOWS[array.dataflow](array, array.lanes_at(max(precision.ifm, kernel)))
    return (
        one if array.count == 1 or array.dataflow == "output_blocks" else SeveralArrays(one, array.count, array.split)
    )


__all__ = ["Dataflow", "TileSizes", "dataflow_of"]
