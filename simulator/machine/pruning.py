"""Dynamic pruning as hardware sees it: which feature maps or tiles are flagged, and what the flags cost."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from simulator.errors import InputError
from simulator.hardware.accelerator import PruningUnit
from simulator.trace.epsilon_text import epsilon_text
from simulator.trace.trace import Trace
from simulator.trace.zero_map import tile_counts

Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class DynamicPruning:
    """Asks for dynamic pruning at run time.

    epsilon None takes what the trace was recorded with; 0 flags what is zero anyway. A larger epsilon must be the one
    of the recording, because pruned feature maps change all that follows.
    """

    epsilon: float | None = None


def as_pruning(pruning: "DynamicPruning | str | None") -> DynamicPruning | None:
    """Accepts None, "none", "dynamic" or a DynamicPruning. Raises InputError for anything else."""
    if pruning is None or pruning == "none":
        return None
    if pruning == "dynamic":
        return DynamicPruning()
    if isinstance(pruning, DynamicPruning):
        return pruning
    raise InputError(f"pruning: found {pruning!r}, expected 'none', 'dynamic' or a DynamicPruning")


def check_pruning(trace: Trace, pruning: DynamicPruning, unit: PruningUnit) -> None:
    """Raises InputError when the trace cannot answer for the epsilon asked for, or was recorded for another unit."""
    recorded = trace.pruning
    epsilon = recorded.epsilon if recorded else 0.0
    if pruning.epsilon is not None and (isinstance(epsilon, dict) or float(epsilon) != float(pruning.epsilon)):
        relative = recorded is not None and recorded.relative
        wanted = f"--epsilon {pruning.epsilon:g}{' --relative' if relative else ''}"
        raise InputError(
            f"trace '{trace.name}' was recorded with {epsilon_text(epsilon, relative=relative)}, "
            f"not {epsilon_text(pruning.epsilon, relative=relative)}: pruning changes what "
            f"later layers see; record it again with `fmapsim extract ... {wanted}`"
        )
    if recorded is None or epsilon == 0.0:
        return
    for key, found in recorded.unit.items():
        expected = getattr(unit, key)
        more = _MORE.get(key)  # a unit that can do more than needed is as good as an equal one
        if found != expected and more != (found, expected):
            raise InputError(
                f"trace '{trace.name}' was recorded with pruning {key} {found}, but the accelerator's pruning.{key} is "
                f"{expected}; make them equal, in its file or by --set pruning.{key}={as_set(found)}"
            )


def as_set(value: object) -> str:
    """A setting as `--set` takes it."""
    return "[" + ",".join(map(str, value)) + "]" if isinstance(value, tuple) else str(value)


_MORE = {"rule": ("all", "count"), "thresholds": ("layer", "channel"), "replacement": ("zero", "mean")}
"""By setting: what a recording needs, and the ability of a unit that covers it."""


def kept_elements(unit: PruningUnit, nonzero: Bools) -> Bools:
    """Elements of a feature map [C, H, W] that are not in a flagged piece: [C, H, W], or [C, 1, 1] for whole maps."""
    if unit.tile is None:
        return np.asarray(nonzero.any(axis=(1, 2), keepdims=True))
    rows, columns = unit.tile
    _, height, width = nonzero.shape
    kept = tile_counts(nonzero, rows, columns) > 0
    return kept.repeat(rows, axis=1)[:, :height].repeat(columns, axis=2)[:, :, :width]


def flag_bits(unit: PruningUnit, channels: int, height: int, width: int) -> int:
    """Flag bits of one feature map tensor: one per map, and one per tile where tiles are flagged."""
    if unit.tile is None:
        return channels
    return channels * (1 + -(-height // unit.tile[0]) * -(-width // unit.tile[1]))
