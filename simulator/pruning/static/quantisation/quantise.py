"""From a network to a quantised one: widths by scheme and budget, weights that take them.

intra: widths differ between the output channels of a layer, and every layer has the same mean. A channel's loss at a
width is its DI score times the relative error of its weights: the score says what losing the channel costs, which is an
error of 1. inter: one width per layer, by the relative errors alone. free: channels of all layers compete for one
budget, with a layer's scores adding up to 1, so that layers count as in inter and channels as in intra. fixed: one
width for all. The paper gives the idea of the first (Hou and Kung 2020, DI as the metric of precision within a layer),
not an algorithm; this one is ours.
"""

import copy
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from simulator.errors import InputError
from simulator.pruning.static.calibration import Calibration
from simulator.pruning.static.criteria.criterion import Scoring, Settings, filters
from simulator.pruning.static.criteria.di import channel_scores
from simulator.pruning.static.groups import LAYERS, Prunable
from simulator.pruning.static.quantisation.allocation import allocate
from simulator.pruning.static.quantisation.quantisers import quantiser_named, relative_errors
from simulator.pruning.static.unstructured import layers_of

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

Scheme = Literal["intra", "inter", "free", "fixed"]
SCHEMES: tuple[Scheme, ...] = ("intra", "inter", "free", "fixed")
FLOAT_BITS, WIDEST_BITS = 32, 16
WIDTHS = (1, 2, 3, 4, 8)


@dataclass(frozen=True)
class QuantisationRequest:
    """mean_bits: the mean width of the weights of the layers chosen, at most. widths: those that may be used.

    scores: what weighs a channel's error in schemes intra and free: "di", or "equal" for no weight. layers: shell
    patterns.
    """

    mean_bits: float
    scheme: Scheme = "intra"
    quantiser: str = "kmeans"
    widths: tuple[int, ...] = WIDTHS
    scores: Literal["di", "equal"] = "di"
    layers: tuple[str, ...] = ("*",)
    settings: Settings = field(default_factory=Settings)

    def __post_init__(self) -> None:
        quantiser_named(self.quantiser)
        if self.scheme not in SCHEMES:
            raise InputError(f"unknown scheme '{self.scheme}' (known: {', '.join(SCHEMES)})")
        if self.scores not in ("di", "equal"):
            raise InputError(f"unknown scores '{self.scores}' (known: di, equal)")
        if not self.widths or not all(1 <= width <= WIDEST_BITS for width in self.widths):
            raise InputError(f"widths are {list(self.widths)}, expected whole numbers of 1..{WIDEST_BITS}")
        if self.scheme == "fixed" and self.mean_bits not in range(1, WIDEST_BITS + 1):
            raise InputError(f"scheme fixed: {self.mean_bits:g} bits, expected a whole number of 1..{WIDEST_BITS}")
        if self.scheme != "fixed":
            for wrong, what in (
                (self.mean_bits < min(self.widths), f"less than the least width, {min(self.widths)}"),
                (self.mean_bits > max(self.widths), f"more than the largest width, {max(self.widths)}"),
            ):
                if wrong:
                    raise InputError(f"a mean of {self.mean_bits:g} bits is {what}")


def quantise(model: nn.Module, request: QuantisationRequest, calibration: Calibration | None = None) -> nn.Module:
    """A copy of `model` with quantised weights; its layers have `kernel_bits`, the width of each output channel.

    Biases and batch norms stay as they are. Raises InputError for a pattern that matches no layer, and where DI has no
    labelled images to look at.
    """
    small = copy.deepcopy(model).eval()
    chosen = layers_of(small, request.layers)
    bits = _widths(small, chosen, request, calibration)
    quantiser = quantiser_named(request.quantiser)
    for name, layer in chosen.items():
        rows = filters(layer)
        found = np.empty_like(rows)
        for width in np.unique(bits[name]):
            mine = bits[name] == width
            found[mine] = quantiser(rows[mine], int(width))
        weight = layer.weight
        assert isinstance(weight, torch.Tensor)
        with torch.no_grad():
            weight.copy_(torch.from_numpy(found).reshape(weight.shape))
        setattr(layer, "kernel_bits", tuple(int(width) for width in bits[name]))  # noqa: B010 (not a parameter)
    return small


def layers_left(model: nn.Module) -> list[str]:
    """Layers with weights that `quantise` cannot quantise, with what they are: `up (ConvTranspose2d)`."""
    return [
        f"{name} ({type(module).__name__})"
        for name, module in model.named_modules()
        if not isinstance(module, LAYERS) and any(values.dim() > 1 for values in module.parameters(recurse=False))
    ]


def _widths(
    model: nn.Module,
    layers: Mapping[str, nn.Module],
    request: QuantisationRequest,
    calibration: Calibration | None,
) -> dict[str, Ints]:
    """Bits of every output channel by layer."""
    rows = {name: filters(layer) for name, layer in layers.items()}
    if request.scheme == "fixed":
        return {name: np.full(len(values), int(request.mean_bits)) for name, values in rows.items()}
    quantiser = quantiser_named(request.quantiser)
    errors = {
        name: np.stack([relative_errors(values, width, quantiser) for width in request.widths], axis=1)
        for name, values in rows.items()
    }
    if request.scheme == "inter":
        losses = np.stack([table.mean(axis=0) for table in errors.values()])
        weights = np.array([values.size for values in rows.values()])
        found = allocate(losses, weights, request.widths, int(weights.sum() * request.mean_bits))
        return {name: np.full(len(rows[name]), width) for name, width in zip(rows, found, strict=True)}
    scores = {name: np.ones(len(values)) for name, values in rows.items()}
    if request.scores == "di":
        scoring = Scoring(model, Prunable({}, {}), calibration, request.settings)
        scores = {**scores, **channel_scores(scoring, list(rows))}
    if request.scheme == "free":
        losses = np.concatenate([_shares(scores[name])[:, None] * errors[name] for name in rows])
        weights = np.concatenate([np.full(len(values), values.shape[1]) for values in rows.values()])
        found = allocate(losses, weights, request.widths, int(weights.sum() * request.mean_bits))
        ends = np.cumsum([len(values) for values in rows.values()])
        return dict(zip(rows, np.split(found, ends[:-1]), strict=True))
    return {
        name: allocate(
            scores[name][:, None] * errors[name],
            np.full(len(values), values.shape[1]),
            request.widths,
            int(values.size * request.mean_bits),
        )
        for name, values in rows.items()
    }


def _shares(scores: Floats) -> Floats:
    """Scores that add up to 1; equal ones where all are 0."""
    total = float(scores.sum())
    return scores / total if total > 0 else np.full(len(scores), 1 / len(scores))


def size_bits(model: nn.Module, other_bits: int = FLOAT_BITS) -> int:
    """Bits of all parameters: weights at their widths, all others (biases, batch norms, layers left) at `other_bits`.

    Without what tells the values and widths apart (see `overhead_bits`), as published sizes count.
    """
    total = sum(values.numel() for values in model.parameters()) * other_bits
    for module in model.modules():
        widths = getattr(module, "kernel_bits", None)
        if widths is not None:
            weight = module.weight
            assert isinstance(weight, torch.Tensor)
            total += (sum(widths) - other_bits * len(widths)) * (weight.numel() // len(widths))
    return total


def mean_bits_for(model: nn.Module, layers: tuple[str, ...], size: int, other_bits: int = FLOAT_BITS) -> float:
    """The mean width of the chosen layers' weights at which all parameters take `size` bits, as `size_bits` counts.

    Raises InputError when the other parameters alone take more.
    """
    weights = sum(filters(layer).size for layer in layers_of(model, layers).values())
    others = (sum(values.numel() for values in model.parameters()) - weights) * other_bits
    if size <= others:
        raise InputError(
            f"a size of {size / 8:g} B leaves nothing for the weights: all other parameters take {others / 8:g} B"
        )
    return (size - others) / weights


def overhead_bits(model: nn.Module, quantiser: str, index_bits: int) -> int:
    """Bits beside the weights: an index of widths (`index_bits` per channel) in layers of several, and per channel its
    step (uniform) or its shared values (k-means) in float32, of which there are no more than weights.
    """
    total = 0
    for module in model.modules():
        widths = getattr(module, "kernel_bits", None)
        if widths is None:
            continue
        weight = module.weight
        assert isinstance(weight, torch.Tensor)
        per_channel = weight.numel() // len(widths)
        total += index_bits * len(widths) if len(set(widths)) > 1 else 0
        values = [1 if quantiser == "uniform" else min(2**width, per_channel) for width in widths]
        total += FLOAT_BITS * sum(values)
    return total
