"""The comparators of the pruning unit: how many comparisons there are, and when they hold the machine up."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from simulator.hardware.accelerator import Accelerator, PruningUnit
from simulator.machine.loader import OperandStream
from simulator.mapping.dataflow.base import ceil_div

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Comparisons:
    """What the pruning unit does in a layer: values held against epsilon, elements added to a count or a sum."""

    compared: int = 0
    accumulated: int = 0


def compared_elements(unit: PruningUnit, nonzero: Bools) -> int:
    """Comparisons until the first element above epsilon (early exit) of each map, or each tile where tiles are flagged;
    all elements of those that have none.
    """
    _, height, width = nonzero.shape
    rows, columns = unit.tile or (height, width)
    below, beside = -height % rows, -width % columns
    padded = np.pad(nonzero, ((0, 0), (0, below), (0, beside)))
    tiles = padded.reshape(len(nonzero), -1, rows, padded.shape[2] // columns, columns).swapaxes(2, 3)
    tall = np.diff(np.arange(0, height, rows), append=height)[:, None]
    wide = np.diff(np.arange(0, width, columns), append=width)[None, :]
    flat = tiles.reshape(*tiles.shape[:3], rows * columns)
    row, column = np.divmod(flat.argmax(axis=3), columns)
    return int(np.where(flat.any(axis=3), row * wide + column + 1, tall * wide).sum())


def comparison_cycles(unit: PruningUnit, elements: Ints) -> Ints:
    """Cycles in which the comparators look at so many elements; none where their number is not given."""
    if unit.comparators is None:
        return np.zeros_like(elements)
    return ceil_div(elements, unit.comparators)


def loaded_comparison_stalls(accelerator: Accelerator, ifm: OperandStream, step_cycles: Ints) -> Ints:
    """Cycles by which comparisons on the IFM's side lengthen each step of a layer; zeros on the OFM's side.

    Elements are compared as they arrive: the first tile while DRAM delivers it, each other one while the array works on
    the tile before it. What takes longer than that is added to the step before the tile is needed.
    """
    stalls = np.zeros_like(step_cycles)
    unit = accelerator.pruning
    if unit.side != "ifm" or unit.comparators is None:
        return stalls
    cycles = comparison_cycles(unit, ifm.tile_bytes * 8 // accelerator.precision.ifm)
    first = np.flatnonzero(ifm.loads)
    worked = np.add.reduceat(step_cycles, first)
    stalls[0] += max(0, int(cycles[0]) - int(ifm.duration_ps[0] // accelerator.cycle_ps))
    stalls[first[1:] - 1] += np.maximum(cycles[1:] - worked[:-1], 0)
    return stalls
