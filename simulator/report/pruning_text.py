"""A report's pruning in words."""

from collections.abc import Mapping
from typing import Any

from simulator.trace.epsilon_text import epsilon_text


def pruning_text(pruning: str | Mapping[str, Any]) -> str:
    """What `Report.meta["pruning"]` says: `no pruning`, or `dynamic pruning with epsilon 0.1, per tile (ofm side)`.

    A report that was made before reports said it passes for one whose epsilon is not relative.
    """
    if isinstance(pruning, str):
        return "no pruning"
    epsilon = epsilon_text(pruning["epsilon"], relative=pruning.get("relative", False))
    piece = pruning["granularity"].replace("_", " ")
    return f"{pruning['kind']} pruning with {epsilon}, per {piece} ({pruning['side']} side)"
