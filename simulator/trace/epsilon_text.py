"""An epsilon in words, the same wherever one is shown."""

from collections.abc import Mapping
from typing import Any


def epsilon_text(epsilon: float | Mapping[str, Any], *, relative: bool) -> str:
    """`epsilon 0.1`, or `an epsilon per layer`; `relative epsilon 0.1` for multiples of a layer's mean channel maximum.

    By layer, a text or several numbers stand for an epsilon per channel.
    """
    kind = "relative epsilon" if relative else "epsilon"
    if not isinstance(epsilon, Mapping):
        return f"{kind} {epsilon:g}"
    by_channel = any(not isinstance(value, int | float) for value in epsilon.values())
    return f"{'a' if relative else 'an'} {kind} per {'channel' if by_channel else 'layer'}"
