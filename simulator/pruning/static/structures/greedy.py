"""Greedy: each step takes channels from the one group where that hurts least.

The author's code (github.com/zejiangh, DI-greedy) makes, for every layer, a candidate that saves 0.5 % of the network's
MACs from that layer alone and keeps the one of the best top-1. Here a candidate saves a share `step` of the budget's
quantity, whatever it is, and the one chosen loses the least score for what it saves, or has the best accuracy where
`evaluate` is given.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from simulator.errors import InputError
from simulator.pruning.static.costs import Cost, Widths
from simulator.pruning.static.structures.choice import Floats, Limits

Evaluate = Callable[[Widths], float]


@dataclass(frozen=True)
class Candidate:
    """A group cut down to `width`, what that saves of the quantity, and what it costs: lost score per saving, or minus
    the accuracy.
    """

    group: str
    width: int
    saving: float
    loss: float


def candidates(
    widths: Mapping[str, int],
    scores: Mapping[str, Floats],
    limits: Limits,
    units: Mapping[str, int],
    cost: Cost,
    wanted: float,
    evaluate: Evaluate | None = None,
) -> list[Candidate]:
    """One candidate for each group of `widths` that can still shrink: the fewest units that save `wanted`.

    Where a group cannot save so much, all that it may lose. scores: of the units that each group still has. units: how
    many each had at first, which the limits count from. A group whose shrinking saves nothing gives no candidate.
    """
    found = []
    now = cost(widths)
    for name, width in widths.items():
        least = limits.floor(units[name], 0)
        narrower = sorted({limits.floor(units[name], kept) for kept in range(least, width)} - {width}, reverse=True)
        if not narrower:
            continue
        low, high = 0, len(narrower) - 1
        while low < high:
            middle = (low + high) // 2
            if now - cost({**widths, name: narrower[middle]}) >= wanted:
                high = middle
            else:
                low = middle + 1
        smaller = narrower[low]
        saving = now - cost({**widths, name: smaller})
        if saving <= 0:
            continue
        if evaluate is None:
            loss = float(np.sort(scores[name])[: width - smaller].sum()) / saving
        else:
            loss = -evaluate({**widths, name: smaller})
        found.append(Candidate(name, smaller, saving, loss))
    return found


def greedy_step(
    widths: Mapping[str, int],
    scores: Mapping[str, Floats],
    limits: Limits,
    units: Mapping[str, int],
    cost: Cost,
    wanted: float,
    what: str,
    evaluate: Evaluate | None = None,
) -> Candidate:
    """The best candidate, the earlier group of equals. Raises InputError when no group can save anything."""
    found = candidates(widths, scores, limits, units, cost, wanted, evaluate)
    if not found:
        raise InputError(
            f"budget {what}: no group of channels that may still shrink saves anything at {cost(widths):.6g}; "
            "prune more layers (--layers), or keep fewer channels at least (--least)"
        )
    return min(found, key=lambda candidate: candidate.loss)
