"""Dynamic pruning as the user asks for it, checked and turned into an absolute epsilon per layer."""

import difflib
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import get_args

from simulator.errors import InputError
from simulator.extract.plan import Plan
from simulator.extract.pruning_hook import DynamicPruning, Granularity, Rule, Side
from simulator.trace.records import RecordedPruning


@dataclass(frozen=True)
class PruningRequest:
    """epsilon for all layers, or by layer name; relative to the layer's mean channel maximum or absolute."""

    epsilon: float | Mapping[str, float]
    relative: bool = False
    granularity: Granularity = "feature_map"
    tile: tuple[int, int] | None = None
    rule: Rule = "all"
    side: Side = "ofm"

    def __post_init__(self) -> None:
        """Raises InputError for a value that is not allowed."""
        for key, kind in (("granularity", Granularity), ("rule", Rule), ("side", Side)):
            value, allowed = getattr(self, key), get_args(kind)
            if value not in allowed:
                raise InputError(f"{key} '{value}', expected {', '.join(allowed[:-1])} or {allowed[-1]}")
        if (self.granularity == "tile") != (self.tile is not None):
            found = "no tile" if self.tile is None else f"tile {self.tile}"
            raise InputError(f"granularity '{self.granularity}' with {found}; a tile (rows, columns) belongs to 'tile'")
        if self.tile is not None and (len(self.tile) != 2 or min(self.tile) < 1):
            raise InputError(f"tile {self.tile}, expected (rows, columns), both at least 1")
        by_layer = self.epsilon.items() if isinstance(self.epsilon, Mapping) else [("", self.epsilon)]
        for layer, epsilon in by_layer:
            if not (math.isfinite(epsilon) and epsilon >= 0):
                where = f" of layer '{layer}'" if layer else ""
                raise InputError(f"epsilon{where} is {epsilon}, expected a number that is 0 or more")

    def candidates(self, plan: Plan) -> list[str]:
        """The layers that this pruning could apply to."""
        return plan.prunable if self.side == "ofm" else plan.array_layers

    def per_layer(self, plan: Plan) -> dict[str, float]:
        """The epsilon asked for, by layer; raises InputError for a layer that is unknown or cannot be pruned."""
        candidates = self.candidates(plan)
        if not isinstance(self.epsilon, Mapping):
            return dict.fromkeys(candidates, float(self.epsilon))
        names = [layer.name for layer in plan.layers]
        for name in self.epsilon:
            if name not in names:
                raise InputError(f"epsilon for layer '{name}': no such layer{_hint(name, names)}")
            if name not in candidates:
                reason = (
                    "it is a concatenation or writes the network's output"
                    if self.side == "ofm"
                    else "only convolutions and linear layers check their input"
                )
                raise InputError(f"epsilon for layer '{name}': it cannot be pruned ({reason})")
        return {name: float(self.epsilon[name]) for name in candidates if name in self.epsilon}

    def scaled(self, epsilons: Mapping[str, float], scale: Callable[[str], float]) -> dict[str, float]:
        """Relative epsilons times each layer's scale; raises InputError where that is no number."""
        absolute = {name: epsilon * scale(name) for name, epsilon in epsilons.items()}
        for name, epsilon in absolute.items():
            if not math.isfinite(epsilon):
                raise InputError(f"relative epsilon of layer '{name}': its feature maps hold NaN or infinity")
        return absolute

    def resolved(self, epsilons: Mapping[str, float]) -> DynamicPruning:
        """What to do in the run with these absolute epsilons."""
        return DynamicPruning(epsilons, self.granularity, self.tile, self.rule, self.side)

    def record(self, applied: Mapping[str, float]) -> RecordedPruning:
        """The record in the trace."""
        epsilon = dict(self.epsilon) if isinstance(self.epsilon, Mapping) else float(self.epsilon)
        return RecordedPruning(epsilon, self.relative, self.granularity, self.tile, self.rule, self.side, dict(applied))


def _hint(name: str, names: Sequence[str]) -> str:
    near = difflib.get_close_matches(name, names, n=1)
    return (
        f"; did you mean '{near[0]}'?"
        if near
        else f" (layers: {', '.join(names[:8])}{', …' if len(names) > 8 else ''})"
    )
