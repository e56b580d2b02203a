"""What a criterion is, and what it may look at."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from simulator.errors import InputError
from simulator.pruning.static.calibration import Calibration
from simulator.pruning.static.discriminant import RHO
from simulator.pruning.static.groups import ChannelGroup, Prunable
from simulator.trace.trace import Trace

Floats = npt.NDArray[np.float64]
Scores = Mapping[str, Floats]


@dataclass(frozen=True)
class Settings:
    """Numbers that criteria take. Those of one that does not use them have no effect.

    rho, batches, batch_size, classes_per_batch: of DI; the first batches of other criteria are as large. seed: of
    whatever is drawn. affine: LeGR's (α, κ) by group name, (1, 0) for others.
    """

    rho: float = RHO
    batches: int = 10
    batch_size: int = 128
    classes_per_batch: int | None = None
    seed: int = 0
    affine: Mapping[str, tuple[float, float]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.rho > 0:
            raise InputError(f"rho is {self.rho:g}, expected a positive ridge")
        for name in ("batches", "batch_size", "classes_per_batch"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise InputError(f"{name} is {value}, expected at least 1")
        if self.batch_size < 2:
            raise InputError(f"batch_size is {self.batch_size}, expected at least 2 images")


@dataclass(frozen=True, eq=False)
class Scoring:
    """A network to score: its module in evaluation mode, its groups, and what there is to look at."""

    model: nn.Module
    prunable: Prunable
    calibration: Calibration | None = None
    settings: Settings = field(default_factory=Settings)
    trace: Trace | None = None

    def images(self, criterion: str) -> Calibration:
        """The calibration images; raises InputError when there are none."""
        if self.calibration is None:
            raise InputError(f"criterion {criterion} looks at feature maps: give images (--calibration)")
        return self.calibration

    def layer(self, name: str) -> nn.Module:
        """A layer of the network."""
        return self.model.get_submodule(name)


@dataclass(frozen=True)
class Criterion:
    """An importance of channels: higher matters more.

    needs: what it looks at besides the weights. comparable: whether scores of different groups stand on one scale;
    those of others are divided by the group's mean before they are ranked together. score: by group name, float64
    [units].
    """

    name: str
    formula: str
    source: str
    score: Callable[[Scoring], Scores]
    needs: Literal["weights", "batch norm", "images", "labels"] = "weights"
    comparable: bool = False


def filters(layer: nn.Module) -> Floats:
    """A convolution's or linear layer's weights, one row per output channel: float64 [K, C/groups·R·S]."""
    weight = layer.weight
    assert isinstance(weight, torch.Tensor)
    return weight.detach().flatten(1).to("cpu", torch.float64).numpy()


def merged(parts: list[Floats]) -> Floats:
    """One score per unit from those of several layers: as it is when there is one, else the mean of (score / mean)."""
    if len(parts) == 1:
        return parts[0]
    return np.asarray(np.mean([_over_mean(part) for part in parts], axis=0), np.float64)


def _over_mean(scores: Floats) -> Floats:
    mean = float(scores.mean())
    return np.asarray(scores / mean, np.float64) if mean > 0 else scores


def by_producer(scoring: Scoring, of_layer: Callable[[str, nn.Module], Floats]) -> Scores:
    """Scores from a score per output channel of each producer; a unit's channels in one layer add up."""
    return {
        group.name: merged([_per_unit(of_layer(m.layer, scoring.layer(m.layer)), m.channels) for m in group.producers])
        for group in scoring.prunable
    }


def _per_unit(scores: Floats, channels: npt.NDArray[np.int64]) -> Floats:
    return np.asarray(scores[channels].sum(axis=1), np.float64)


def need_norms(group: ChannelGroup, criterion: str) -> None:
    """Raises InputError when no batch norm stands behind the group's layers."""
    if not group.norms:
        raise InputError(
            f"criterion {criterion} reads batch norms, and there is none behind layer '{group.name}' (node-list "
            "networks have theirs folded in); use a network of modules with batch norm, or another criterion"
        )
