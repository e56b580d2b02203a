"""Cutting channels out of a network's layers, and setting them to zero instead."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

Side = Literal["in", "out"]
Ints = npt.NDArray[np.int64]


@dataclass
class Cuts:
    """Channel numbers that leave, by (layer, side). A batch norm has one side, "out"; so has a depthwise layer."""

    channels: dict[tuple[str, Side], set[int]] = field(default_factory=dict)

    def add(self, layer: str, side: Side, channels: Ints) -> None:
        """More channels of a layer."""
        self.channels.setdefault((layer, side), set()).update(channels.tolist())

    @staticmethod
    def joined(parts: "Iterable[Cuts]") -> "Cuts":
        """All cuts together."""
        whole = Cuts()
        for part in parts:
            for key, channels in part.channels.items():
                whole.channels.setdefault(key, set()).update(channels)
        return whole

    def layers(self) -> Mapping[str, dict[Side, Ints]]:
        """By layer and side, the numbers in ascending order."""
        found: dict[str, dict[Side, Ints]] = {}
        for (layer, side), channels in self.channels.items():
            found.setdefault(layer, {})[side] = np.array(sorted(channels), np.int64)
        return found


def is_depthwise(module: nn.Module) -> bool:
    """Whether each output channel reads one input channel of its own."""
    return isinstance(module, nn.Conv1d | nn.Conv2d) and module.in_channels == module.out_channels == module.groups > 1


def cut(model: nn.Module, cuts: Cuts) -> nn.Module:
    """Takes the channels out of `model`'s layers, in place, and returns it.

    Parameters are replaced, never written to. A layer with bits per output channel (`kernel_bits`) keeps those of the
    channels that stay.
    """
    for name, sides in cuts.layers().items():
        module = model.get_submodule(name)
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            _cut_norm(module, _kept(module.num_features, sides.get("out")))
        elif isinstance(module, nn.Linear):
            _cut_linear(module, sides)
        else:
            assert isinstance(module, nn.Conv1d | nn.Conv2d)
            _cut_convolution(module, sides)
    return model


def zeroed(model: nn.Module, cuts: Cuts) -> nn.Module:
    """Sets what writes and what reads the channels to zero, in place, by replaced parameters; returns `model`."""
    for name, sides in cuts.layers().items():
        module = model.get_submodule(name)
        if "out" in sides:
            for key in ("weight", "bias"):
                parameter = getattr(module, key)
                if parameter is not None:
                    _replace(module, key, _with_zeros(parameter, 0, sides["out"]))
        weight = module.weight
        assert isinstance(weight, Tensor)
        if "in" in sides:
            _replace(module, "weight", _with_zero_inputs(weight, sides["in"], getattr(module, "groups", 1)))
    return model


def _kept(count: int, removed: Ints | None) -> Tensor:
    stays = np.ones(count, np.bool_)
    if removed is not None:
        stays[removed] = False
    return torch.from_numpy(np.flatnonzero(stays))


def _replace(module: nn.Module, key: str, values: Tensor) -> None:
    old = getattr(module, key)
    setattr(module, key, nn.Parameter(values.detach().contiguous(), requires_grad=old.requires_grad))


def _selected(values: Tensor, dimension: int, kept: Tensor) -> Tensor:
    return values.detach().index_select(dimension, kept.to(values.device))


def _cut_norm(module: nn.BatchNorm1d | nn.BatchNorm2d, kept: Tensor) -> None:
    for key in ("weight", "bias"):
        if getattr(module, key) is not None:
            _replace(module, key, _selected(getattr(module, key), 0, kept))
    for key in ("running_mean", "running_var"):
        if getattr(module, key) is not None:
            setattr(module, key, _selected(getattr(module, key), 0, kept))
    module.num_features = len(kept)


def _cut_outputs(module: nn.Module, kept: Tensor) -> None:
    for key in ("weight", "bias"):
        if getattr(module, key) is not None:
            _replace(module, key, _selected(getattr(module, key), 0, kept))
    bits = getattr(module, "kernel_bits", None)
    if bits is not None:
        module.kernel_bits = tuple(bits[channel] for channel in kept.tolist())  # type: ignore[assignment]


def _cut_linear(module: nn.Linear, sides: Mapping[Side, Ints]) -> None:
    if "out" in sides:
        kept = _kept(module.out_features, sides["out"])
        _cut_outputs(module, kept)
        module.out_features = len(kept)
    if "in" in sides:
        kept = _kept(module.in_features, sides["in"])
        _replace(module, "weight", _selected(module.weight, 1, kept))
        module.in_features = len(kept)


def _cut_convolution(module: nn.Conv1d | nn.Conv2d, sides: Mapping[Side, Ints]) -> None:
    if is_depthwise(module):
        kept = _kept(module.out_channels, sides.get("out"))
        _cut_outputs(module, kept)
        module.in_channels = module.out_channels = module.groups = len(kept)
        return
    if "out" in sides:
        kept = _kept(module.out_channels, sides["out"])
        _cut_outputs(module, kept)
        module.out_channels = len(kept)
    if "in" in sides:
        kept = _kept(module.in_channels, sides["in"])
        _replace(module, "weight", _inputs_of(module.weight, kept, module.groups, module.in_channels))
        module.in_channels = len(kept)


def _inputs_of(weight: Tensor, kept: Tensor, groups: int, inputs: int) -> Tensor:
    """The weight [K, C/groups, ...] with the input channels that stay; each group may keep others of its own."""
    per_group = inputs // groups
    parts = []
    for number, part in enumerate(weight.detach().chunk(groups, 0)):
        own = kept[(kept >= number * per_group) & (kept < (number + 1) * per_group)] - number * per_group
        parts.append(_selected(part, 1, own))
    return torch.cat(parts)


def _with_zeros(values: Tensor, dimension: int, channels: Ints) -> Tensor:
    return values.detach().index_fill(dimension, torch.from_numpy(channels).to(values.device), 0.0)


def _with_zero_inputs(weight: Tensor, channels: Ints, groups: int) -> Tensor:
    per_group = weight.shape[1]
    parts = []
    for number, part in enumerate(weight.detach().chunk(groups, 0)):
        own = channels[(channels >= number * per_group) & (channels < (number + 1) * per_group)] - number * per_group
        parts.append(_with_zeros(part, 1, own))
    return torch.cat(parts)
