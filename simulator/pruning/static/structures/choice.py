"""What every structure needs: which groups may shrink, how far, and which units a width keeps."""

import fnmatch
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from simulator.errors import InputError
from simulator.pruning.static.costs import Cost, Widths
from simulator.pruning.static.groups import Prunable

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Limits:
    """layers: shell patterns of the groups that may be pruned. least: the share of its units that a group keeps at
    least, and one unit in any case. multiple: kept units are a whole multiple of it, or all.
    """

    layers: tuple[str, ...] = ("*",)
    least: float = 0.1
    multiple: int = 1

    def __post_init__(self) -> None:
        if not 0 <= self.least <= 1:
            raise InputError(f"the least share to keep is {self.least:g}, expected 0..1")
        if self.multiple < 1:
            raise InputError(f"the multiple of kept channels is {self.multiple}, expected at least 1")

    def chosen(self, prunable: Prunable) -> dict[str, int]:
        """The units of each group that may be pruned; raises InputError for a pattern that matches none."""
        found: dict[str, int] = {}
        for pattern in self.layers:
            names = {group.name for group in prunable for m in group.producers if fnmatch.fnmatchcase(m.layer, pattern)}
            if not names:
                prunable.group_of(pattern)  # says why not, for a layer's name
            found |= {name: prunable.groups[name].units for name in names}
        return {group.name: group.units for group in prunable if group.name in found}

    def kept(self, units: int, share: float) -> int:
        """How many of `units` stay at a share: rounded down, but never fewer than the least."""
        return self.floor(units, int(units * share + 1e-9))

    def floor(self, units: int, kept: int) -> int:
        """`kept` brought to what the limits allow."""
        least = max(1, int(np.ceil(self.least * units - 1e-9)))
        allowed = kept // self.multiple * self.multiple
        if allowed < least:
            allowed = -(-least // self.multiple) * self.multiple
        return min(units, allowed)


def best_units(scores: Mapping[str, Floats], widths: Widths) -> dict[str, Ints]:
    """The units that each group keeps, in order: those of the highest scores, the earlier one of equals."""
    return {
        name: np.sort(np.argsort(-scores[name], kind="stable")[:width]).astype(np.int64)
        for name, width in widths.items()
    }


def largest_fitting(
    widths_at: Callable[[int], Widths], steps: int, cost: Cost, limit: float, what: str
) -> dict[str, int]:
    """The widths of the first of 0..steps, ever narrower, that cost no more than `limit`.

    Raises InputError with what the narrowest cost, when even they cost more.
    """
    narrowest = cost(widths_at(steps))
    if narrowest > limit:
        raise InputError(
            f"budget {what}: the narrowest network allowed still needs {narrowest:.6g}, the limit is {limit:.6g}; "
            "prune more layers (--layers), or keep fewer channels at least (--least)"
        )
    low, high = 0, steps
    while low < high:
        middle = (low + high) // 2
        if cost(widths_at(middle)) <= limit:
            high = middle
        else:
            low = middle + 1
    return dict(widths_at(low))


def over_mean(scores: Mapping[str, Floats], comparable: bool) -> dict[str, Floats]:
    """Scores on one scale for all groups: as they are where they are comparable, else over the group's mean."""
    if comparable:
        return dict(scores)
    means = {name: float(np.mean(values)) for name, values in scores.items()}
    return {name: values / means[name] if means[name] > 0 else values for name, values in scores.items()}


def pooled(scores: Mapping[str, Floats], names: Sequence[str]) -> list[tuple[float, str]]:
    """(score, group) of every unit of `names`, from the lowest score up."""
    return sorted((float(score), name) for name in names for score in scores[name])
