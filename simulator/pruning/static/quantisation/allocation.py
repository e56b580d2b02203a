"""Which width each item (a channel, a layer) gets under a budget of bits: least loss in total."""

import itertools
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from simulator.errors import InputError

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


def allocate(losses: Floats, weights: Ints, widths: Sequence[int], budget_bits: int) -> Ints:
    """The width of each item [items], chosen of `widths`, so that Σ weights · width stays within `budget_bits`.

    losses [items, widths] is what each item loses at each width, weights [items] how many weights it has. Greedy: all
    begin at the least width; the step that takes away the most loss per bit goes first, along each item's lower convex
    hull (steps on it lose effect, so no better one hides behind a poor one), as long as it fits. This is the optimum
    but for the last step that does not fit (Shoham and Gersho, IEEE TASSP 36(9), 1988).

    Raises InputError when even the least width does not fit.
    """
    bits = np.asarray(sorted(widths), np.int64)
    if not len(bits):
        raise InputError("no widths to choose from")
    order = np.argsort(np.asarray(widths))
    losses = losses[:, order]
    left = budget_bits - int(weights.sum()) * int(bits[0])
    if left < 0:
        raise InputError(
            f"a budget of {budget_bits} bits for {int(weights.sum())} weights: even {bits[0]} bit for each is too much"
        )
    steps = []
    for item in range(len(losses)):
        for start, stop in _hull_steps(losses[item], bits):
            added = int(bits[stop] - bits[start]) * int(weights[item])
            if added > 0:
                steps.append(((losses[item, start] - losses[item, stop]) / added, item, start, stop, added))
    steps.sort(key=lambda step: (-step[0], step[1], step[2]))
    chosen = np.zeros(len(losses), np.int64)
    for gain, item, start, stop, added in steps:
        if gain > 0 and chosen[item] == start and added <= left:
            chosen[item] = stop
            left -= added
    return bits[chosen]


def _hull_steps(losses: Floats, bits: Ints) -> list[tuple[int, int]]:
    """Neighbouring corners (by position in `bits`) of the lower convex hull of (bits, losses)."""
    hull: list[int] = []
    for corner in range(len(bits)):
        while len(hull) >= 2:
            first, middle = hull[-2], hull[-1]
            slope = (losses[middle] - losses[first]) / (bits[middle] - bits[first])
            if losses[middle] + slope * (bits[corner] - bits[middle]) < losses[corner]:
                break
            hull.pop()
        hull.append(corner)
    return list(itertools.pairwise(hull))
