"""Dataflows: how many cycles the array needs for a tile, and what it reads and writes meanwhile."""

from collections.abc import Callable

from simulator.hardware.accelerator import Array
from simulator.mapping.dataflow.base import Dataflow, TileSizes
from simulator.mapping.dataflow.row_stationary import RowStationary
from simulator.mapping.dataflow.spatial import Spatial
from simulator.mapping.dataflow.systolic import InputStationary, OutputStationary, WeightStationary

_DATAFLOWS: dict[str, Callable[[Array], Dataflow]] = {
    "spatial": Spatial,
    "row_stationary": RowStationary,
    "weight_stationary": WeightStationary,
    "output_stationary": OutputStationary,
    "input_stationary": InputStationary,
}


def dataflow_of(array: Array) -> Dataflow:
    """The dataflow that the accelerator file names."""
    return _DATAFLOWS[array.dataflow](array)


__all__ = ["Dataflow", "TileSizes", "dataflow_of"]
