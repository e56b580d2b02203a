"""Dynamic pruning as the user asks for it, checked and turned into an absolute epsilon per layer."""

import difflib
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import get_args

from simulator.errors import InputError
from simulator.extract.plan import Plan
from simulator.extract.pruning_hook import DynamicPruning, Epsilon, Granularity, Side, is_rule
from simulator.trace.records import RecordedPruning


@dataclass(frozen=True)
class PruningRequest:
    """epsilon for all layers, or by layer name, one number or one per channel; relative to the layer's mean channel
    maximum or absolute. means: what flagged maps of a layer become, per channel; zero where there are none."""

    epsilon: float | Mapping[str, Epsilon]
    relative: bool = False
    granularity: Granularity = "feature_map"
    tile: tuple[int, int] | None = None
    rule: str = "all"
    side: Side = "ofm"
    means: Mapping[str, Sequence[float]] | None = None

    def __post_init__(self) -> None:
        """Raises InputError for a value that is not allowed."""
        if not is_rule(self.rule):
            raise InputError(f"rule '{self.rule}', expected all, mean or a share such as 99%")
        for key, kind in (("granularity", Granularity), ("side", Side)):
            value, allowed = getattr(self, key), get_args(kind)
            if value not in allowed:
                raise InputError(f"{key} '{value}', expected {', '.join(allowed[:-1])} or {allowed[-1]}")
        if (self.granularity == "tile") != (self.tile is not None):
            found = "no size of a tile" if self.tile is None else f"tile {'x'.join(map(str, self.tile))}"
            raise InputError(f"granularity {self.granularity} with {found}; expected one with granularity tile alone")
        if self.tile is not None and (len(self.tile) != 2 or min(self.tile) < 1):
            raise InputError(f"tile {self.tile}, expected (rows, columns), both at least 1")
        by_layer = self.epsilon.items() if isinstance(self.epsilon, Mapping) else [("", self.epsilon)]
        for layer, epsilon in by_layer:
            for value in _numbers(epsilon):
                if not (math.isfinite(value) and value >= 0):
                    where = f" of layer '{layer}'" if layer else ""
                    raise InputError(f"epsilon{where} is {value}, expected a number that is 0 or more")
        for layer, means in (self.means or {}).items():
            if not isinstance(self.epsilon, Mapping) or layer not in self.epsilon:
                raise InputError(f"means of layer '{layer}', which has no epsilon of its own, so nothing is replaced")
            wrong = next((mean for mean in means if not math.isfinite(mean)), None)
            if wrong is not None:
                raise InputError(f"means of layer '{layer}': found {wrong}, expected finite numbers")

    def candidates(self, plan: Plan) -> list[str]:
        """The layers that this pruning could apply to."""
        return plan.prunable if self.side == "ofm" else plan.array_layers

    def per_layer(self, plan: Plan) -> dict[str, Epsilon]:
        """The epsilon asked for, by layer.

        Raises InputError for a layer that is unknown or cannot be pruned, and for a wrong number of channels.
        """
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
        self._check_channels(plan)
        return {name: _as_written(self.epsilon[name]) for name in candidates if name in self.epsilon}

    def _check_channels(self, plan: Plan) -> None:
        assert isinstance(self.epsilon, Mapping)
        channels = {layer.name: (layer.ofm if self.side == "ofm" else layer.ifm)[0] for layer in plan.layers}
        lists = {name: epsilon for name, epsilon in self.epsilon.items() if not isinstance(epsilon, float | int)}
        for what, of_layers in (("epsilon for", lists), ("means of", self.means or {})):
            for name, values in of_layers.items():
                if len(values) != channels[name]:
                    raise InputError(
                        f"{what} layer '{name}': {len(values)} numbers, expected one for each of its {channels[name]} "
                        "channels"
                    )

    def scaled(self, epsilons: Mapping[str, Epsilon], scale: Callable[[str], float]) -> dict[str, Epsilon]:
        """Relative epsilons times each layer's scale; raises InputError where that is no number."""
        absolute: dict[str, Epsilon] = {}
        for name, epsilon in epsilons.items():
            factor = scale(name)
            if not math.isfinite(factor):
                raise InputError(f"relative epsilon of layer '{name}': its feature maps hold NaN or infinity")
            scaled = tuple(each * factor for each in _numbers(epsilon))
            absolute[name] = scaled[0] if isinstance(epsilon, float) else scaled
        return absolute

    def resolved(self, epsilons: Mapping[str, Epsilon]) -> DynamicPruning:
        """What to do in the run with these absolute epsilons."""
        return DynamicPruning(epsilons, self.granularity, self.tile, self.rule, self.side, self.means)

    def record(self, applied: Mapping[str, Epsilon]) -> RecordedPruning:
        """The record in the trace."""
        if isinstance(self.epsilon, Mapping):
            epsilon: float | dict[str, Epsilon] = {name: _as_written(each) for name, each in self.epsilon.items()}
        else:
            epsilon = float(self.epsilon)
        means = {name: tuple(map(float, values)) for name, values in (self.means or {}).items()}
        return RecordedPruning(
            epsilon, self.relative, self.granularity, self.tile, self.rule, self.side, dict(applied), means
        )


def _numbers(epsilon: Epsilon) -> Sequence[float]:
    return (epsilon,) if isinstance(epsilon, float | int) else epsilon


def _as_written(epsilon: Epsilon) -> Epsilon:
    return float(epsilon) if isinstance(epsilon, float | int) else tuple(map(float, epsilon))


def _hint(name: str, names: Sequence[str]) -> str:
    near = difflib.get_close_matches(name, names, n=1)
    return (
        f"; did you mean '{near[0]}'?"
        if near
        else f" (layers: {', '.join(names[:8])}{', …' if len(names) > 8 else ''})"
    )
