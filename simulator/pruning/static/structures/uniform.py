"""The same share in every group: DI-unif, when the scores are DI's."""

from simulator.pruning.static.costs import Cost
from simulator.pruning.static.groups import Prunable
from simulator.pruning.static.structures.choice import Limits, largest_fitting

_STEPS = 10_000


def uniform(prunable: Prunable, limits: Limits, cost: Cost, limit: float, what: str) -> dict[str, int]:
    """Widths at the largest share (in steps of 0.0001) whose cost is at most `limit`; `what` names it in errors."""
    units = limits.chosen(prunable)

    def widths(step: int) -> dict[str, int]:
        return {name: limits.kept(count, 1 - step / _STEPS) for name, count in units.items()}

    return largest_fitting(widths, _STEPS, cost, limit, what)
