"""Networks whose channels were cut: layers take the sizes of their parameters in a file.

A file of a pruned network is a safetensors file whose metadata holds `fmapsim_pruned`: JSON with `bits`, the bits per
output channel of layers whose kernels are quantised, by layer.
"""

import dataclasses
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from simulator.errors import InputError
from simulator.trace.records import Layer

METADATA_KEY = "fmapsim_pruned"


def pruned_metadata(path: str | Path) -> dict[str, Any] | None:
    """What a file of a pruned or quantised network says about itself; None for any other file."""
    if Path(path).suffix != ".safetensors":
        return None
    try:
        with safe_open(path, framework="pt") as file:
            text = (file.metadata() or {}).get(METADATA_KEY)
        found = None if text is None else json.loads(text)
    except (SafetensorError, OSError, ValueError, RecursionError):
        return None  # reading the tensors will say what is wrong
    return found if isinstance(found, dict) else None


def resize(model: nn.Module, tensors: Mapping[str, Tensor], path: str | Path) -> None:
    """Gives convolutions, linear layers and batch norms of `model` the channel counts of `tensors`, in place.

    Only channels may differ: kernels keep their sizes. Raises InputError for a layer that cannot have such a shape.
    """
    for name, module in model.named_modules():
        weight = tensors.get(f"{name}.weight")
        if weight is None:
            continue
        where = f"{path}: parameter {name}.weight has shape {list(weight.shape)}"
        if isinstance(module, nn.Conv1d | nn.Conv2d):
            _resize_convolution(module, weight, where)
        elif isinstance(module, nn.Linear) and weight.dim() == 2:
            module.out_features, module.in_features = weight.shape
        elif isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d) and weight.dim() == 1:
            module.num_features = len(weight)
        else:
            continue
        for key in ("weight", "bias", "running_mean", "running_var"):
            old, new = getattr(module, key, None), tensors.get(f"{name}.{key}")
            if isinstance(old, Tensor) and new is not None and old.dim() == new.dim() and old.shape != new.shape:
                empty = old.new_empty(new.shape)
                parameter = isinstance(old, nn.Parameter)
                setattr(module, key, nn.Parameter(empty, requires_grad=old.requires_grad) if parameter else empty)


def _resize_convolution(module: nn.Conv1d | nn.Conv2d, weight: Tensor, where: str) -> None:
    if weight.dim() != module.weight.dim() or weight.shape[2:] != module.weight.shape[2:]:
        raise InputError(f"{where}, expected a kernel {list(module.weight.shape[2:])}")
    depthwise = module.groups == module.in_channels == module.out_channels > 1
    outputs, per_group = weight.shape[:2]
    groups = outputs if depthwise else module.groups
    if outputs % groups:
        raise InputError(f"{where}, expected output channels that {groups} groups divide")
    module.out_channels, module.in_channels, module.groups = outputs, per_group * groups, groups


def with_kernel_bits(layers: Iterable[Layer], model: nn.Module) -> list[Layer]:
    """The layers of a trace with the bits per output channel that the modules of their names have."""
    found = dict(model.named_modules())

    def bits(layer: Layer) -> tuple[int, ...]:
        widths = getattr(found.get(layer.name), "kernel_bits", None)
        return () if widths is None or layer.kernel is None else tuple(widths)

    return [dataclasses.replace(layer, kernel_bits=bits(layer)) for layer in layers]


def set_kernel_bits(model: nn.Module, bits: Any, where: str) -> None:
    """Marks layers of `model` as quantised: `kernel_bits`, one width per output channel.

    Raises InputError for a layer that does not exist, has another number of output channels, or a width outside 1..32.
    """
    if not isinstance(bits, dict):
        raise InputError(f"{where}: bits is a {type(bits).__name__}, expected widths by layer")
    layers = dict(model.named_modules())
    for name, widths in bits.items():
        layer = layers.get(name)
        weight = getattr(layer, "weight", None)
        if layer is None or not isinstance(weight, Tensor):
            raise InputError(f"{where}: bits of layer '{name}', which the network does not have")
        wrong = not isinstance(widths, list) or len(widths) != len(weight)
        if wrong or any(not isinstance(width, int) or not 1 <= width <= 32 for width in widths):
            raise InputError(f"{where}: bits of layer '{name}', expected {len(weight)} whole numbers of 1..32")
        layer.kernel_bits = tuple(widths)
