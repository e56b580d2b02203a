"""How strongly the kernels behind a feature map weigh it."""

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from simulator.trace.trace import Trace

Floats = npt.NDArray[np.float64]


def kernel_norms(model: nn.Module, trace: Trace) -> dict[str, Floats]:
    """By layer, the norm of the kernel slices that read each channel of what it writes, over all readers: [C].

    Readers whose kernel is not the `weight` of a module of their name, or which see the map in another shape, count
    for nothing; layers without any other reader are left out.
    """
    result: dict[str, Floats] = {}
    for layer in trace.layers:
        squared = np.zeros(layer.ofm[0])
        for reader in trace.layers:
            if layer.output not in reader.inputs or reader.ifm[0] != layer.ofm[0]:
                continue
            weight = _weight(model, reader.name)
            if weight is not None and reader.kernel is not None:
                squared += _input_norms(weight, reader.groups)
        if squared.any():
            result[layer.name] = np.sqrt(squared)
    return result


def _weight(model: nn.Module, name: str) -> torch.Tensor | None:
    try:
        weight = getattr(model.get_submodule(name), "weight", None)
    except AttributeError:
        return None
    return weight if isinstance(weight, torch.Tensor) and weight.dim() >= 2 else None


def _input_norms(weight: torch.Tensor, groups: int) -> Floats:
    """Squared norms by input channel of a weight [K, C/groups, …]: [C]."""
    squares = weight.detach().double().pow(2).flatten(2).sum(2) if weight.dim() > 2 else weight.detach().double().pow(2)
    return np.asarray(squares.reshape(groups, -1, squares.shape[1]).sum(1).flatten().numpy())
