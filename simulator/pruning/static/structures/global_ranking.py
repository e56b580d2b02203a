"""One ranking of all channels: those at its end go, wherever they are."""

from collections import Counter
from collections.abc import Mapping

from simulator.pruning.static.costs import Cost
from simulator.pruning.static.groups import Prunable
from simulator.pruning.static.structures.choice import Floats, Limits, largest_fitting, pooled


def global_ranking(
    prunable: Prunable, scores: Mapping[str, Floats], limits: Limits, cost: Cost, limit: float, what: str
) -> dict[str, int]:
    """Widths after removing the fewest lowest-ranked units with which the cost is at most `limit`."""
    units = limits.chosen(prunable)
    order = [name for _, name in pooled(scores, list(units))]

    def widths(step: int) -> dict[str, int]:
        gone = Counter(order[:step])
        return {name: limits.floor(count, count - gone[name]) for name, count in units.items()}

    return largest_fitting(widths, len(order), cost, limit, what)
