"""Dataflows: how many cycles the array needs for a tile, and what it reads and writes meanwhile."""

from collections.abc import Callable

from simulator.hardware.accelerator import Accelerator
from simulator.hardware.array import Array
from simulator.mapping.dataflow.base import Dataflow, TileSizes
from simulator.mapping.dataflow.row_stationary import RowStationary
from simulator.mapping.dataflow.several import SeveralArrays
from simulator.mapping.dataflow.spatial import Spatial
from simulator.mapping.dataflow.systolic import InputStationary, OutputStationary, WeightStationary
from simulator.mapping.dataflow.zero_skipping import ZeroSkipping

_DATAFLOWS: dict[str, Callable[[Array, int], Dataflow]] = {
    "spatial": Spatial,
    "row_stationary": RowStationary,
    "weight_stationary": WeightStationary,
    "output_stationary": OutputStationary,
    "input_stationary": InputStationary,
    "zero_skipping": ZeroSkipping,
}


def dataflow_of(accelerator: Accelerator) -> Dataflow:
    """How the arrays of an accelerator work, at the precision of its operands."""
    array, precision = accelerator.array, accelerator.precision
    one = _DATAFLOWS[array.dataflow](array, array.lanes_at(max(precision.ifm, precision.kernel)))
    return one if array.count == 1 else SeveralArrays(one, array.count, array.split)


__all__ = ["Dataflow", "TileSizes", "dataflow_of"]
