"""What re-estimating batch norms does, for networks whose batch norms are folded into their convolutions.

A batch norm gives each channel the mean and deviation that it was trained to have, whatever comes in; once folded, a
convolution of a pruned network keeps the scale of inputs that it no longer gets. Measuring the mean and deviation of
each convolution's output before the cut and scaling its kernels to them after it is the same as unfolding batch norms,
estimating them anew and folding them again.
"""

from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from simulator.errors import InputError
from simulator.pruning.static.groups import NORMS, Ints, Prunable

Moments = tuple[Tensor, Tensor]  # mean and variance of each output channel [K]

_CONVOLUTIONS = (nn.Conv1d, nn.Conv2d)


def has_norms(model: nn.Module) -> bool:
    """Whether a network has batch norms of its own to estimate anew."""
    return any(isinstance(module, NORMS) for module in model.modules())


@torch.no_grad()
def output_statistics(model: nn.Module, batches: Iterable[Tensor]) -> dict[str, Moments]:
    """Mean and variance of the output channels of every convolution but the last, over all images and positions.

    The last one to run gives the network's output, behind which there is no batch norm. Of a network without
    convolutions nothing is measured. Raises InputError when there are no images.
    """
    return _measured(model, batches, {})


@torch.no_grad()
def restore_statistics(model: nn.Module, batches: Iterable[Tensor], wanted: Mapping[str, Moments]) -> None:
    """Scales and shifts convolutions of `model`, in place, so that their outputs have the moments wanted.

    As in training a batch norm, each layer sees inputs that have been corrected already, by the moments of their batch;
    what is folded into the kernels in the end are the means over all batches. Channels that are constant are shifted
    alone. Layers that are not in `wanted` stay. Raises InputError when there are no images.
    """
    found = _measured(model, batches, wanted)
    for name, (mean, variance) in wanted.items():
        layer = model.get_submodule(name)
        assert isinstance(layer, _CONVOLUTIONS)
        now_mean, now_variance = found[name]
        scale = _scale(now_variance, variance)
        bias = torch.zeros_like(mean) if layer.bias is None else layer.bias.detach()
        layer.weight = nn.Parameter(layer.weight.detach() * scale.reshape(-1, *[1] * (layer.weight.dim() - 1)))
        layer.bias = nn.Parameter((bias - now_mean) * scale + mean)


def of_kept(statistics: Mapping[str, Moments], prunable: Prunable, kept: Mapping[str, Ints]) -> dict[str, Moments]:
    """The moments of the channels that a network keeps. kept: unit numbers by group."""
    chosen = dict(statistics)
    for group_name, units in kept.items():
        for member in prunable.groups[group_name].producers:
            if member.layer in chosen:
                stays = torch.from_numpy(np.sort(member.channels[units].ravel()))
                mean, variance = statistics[member.layer]
                chosen[member.layer] = (mean[stays], variance[stays])
    return chosen


def _scale(now: Tensor, wanted: Tensor) -> Tensor:
    return torch.where(now > 0, (wanted / now.clamp_min(torch.finfo(now.dtype).tiny)).sqrt(), torch.ones_like(now))


def _measured(model: nn.Module, batches: Iterable[Tensor], wanted: Mapping[str, Moments]) -> dict[str, Moments]:
    """Moments of every convolution's output; those in `wanted` pass on corrected by the moments of the batch."""
    model.eval()
    sums: dict[str, Moments] = {}
    counts: dict[str, int] = {}
    last = ""

    def hook(name: str) -> Any:
        def seen(_module: nn.Module, _inputs: Any, output: Tensor) -> Tensor | None:
            nonlocal last
            last = name
            axes = [axis for axis in range(output.dim()) if axis != 1]
            mean, variance = output.mean(axes), output.var(axes, unbiased=False)
            # With corrections, deviations within batches count alone, as in a batch norm's running variance.
            square = variance.double() if wanted else variance.double() + mean.double() ** 2
            images = len(output)
            counts[name] = counts.get(name, 0) + images
            first = sums.get(name, (torch.zeros_like(square), torch.zeros_like(square)))
            sums[name] = (first[0] + images * mean.double(), first[1] + images * square)
            if name not in wanted:
                return None
            shape = (1, -1, *[1] * (output.dim() - 2))
            scale = _scale(variance, wanted[name][1])
            return (output - mean.reshape(shape)) * scale.reshape(shape) + wanted[name][0].reshape(shape)

        return seen

    with ExitStack() as hooks:
        for name, module in model.named_modules():
            if isinstance(module, _CONVOLUTIONS):
                handle = module.register_forward_hook(hook(name))
                hooks.callback(handle.remove)
        parameter = next(model.parameters(), torch.empty(0))
        seen_images = 0
        for images in batches:
            model(images.to(parameter.device, parameter.dtype))
            seen_images += len(images)
    if not seen_images:
        raise InputError("output statistics: no images")
    moments = {}
    for name, (mean_sum, square_sum) in sums.items():
        mean, square = mean_sum / counts[name], square_sum / counts[name]
        variance = square if wanted else (square - mean**2).clamp_min(0)
        moments[name] = (mean.float(), variance.float())
    if not wanted:
        moments.pop(last, None)
    return moments
