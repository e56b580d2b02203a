"""The six networks as Liang et al. 2018 ran them, built from the layer shapes of their Darknet configurations.

`paper_networks.json` holds the shapes only. The layers follow Darknet's rules, which differ from the usual definitions
of the networks: ResNet-50 has parameter-free shortcuts and leaky ReLU, MobileNet is a MobileNetV2 with its own strides,
2x2 pooling pads one row and column below and to the right.
"""

import functools
import json
from collections import deque
from collections.abc import Callable, Iterator
from importlib import resources
from typing import Any

import torch
from torch import Tensor, nn

from simulator.extract.images import Preprocessing, resize_for
from simulator.extract.networks.blocks import he_initialised, residual_norm
from simulator.extract.networks.registry import NetworkSpec

LEAKY_SLOPE = 0.1


class DarknetMaxPool(nn.Module):
    """Max pooling whose padding is given as a total per axis: half of it (rounded down) before, the rest after.

    Returns [N, C, Q, Q] with Q = (H + padding_total - kernel) // stride + 1.
    """

    def __init__(self, kernel: int, stride: int, padding_total: int) -> None:
        super().__init__()
        self.kernel, self.stride = kernel, stride
        before = padding_total // 2
        self.before, self.after = before, padding_total - before

    def forward(self, x: Tensor) -> Tensor:
        if self.before == self.after:
            return nn.functional.max_pool2d(x, self.kernel, self.stride, self.before)
        steps = (x.shape[-1] + self.before + self.after - self.kernel) // self.stride
        if self.before == 0 and steps * self.stride + self.kernel <= x.shape[-1]:  # the padding is never read
            return nn.functional.max_pool2d(x, self.kernel, self.stride)
        edges = (self.before, self.after, self.before, self.after)
        return nn.functional.max_pool2d(nn.functional.pad(x, edges, value=-torch.inf), self.kernel, self.stride)


class DarknetShortcut(nn.Module):
    """Adds the channels that two tensors share; the sum has the shape of the first.

    A larger second map is sampled every (H2 / H1)-th row and column; channels it lacks stay as they are.
    """

    def forward(self, x: Tensor, other: Tensor) -> Tensor:
        step = other.shape[-1] // x.shape[-1]
        if step != 1:
            other = other[:, :, ::step, ::step]
        missing = x.shape[1] - other.shape[1]
        if missing > 0:
            other = nn.functional.pad(other, (0, 0, 0, 0, 0, missing))
        elif missing < 0:
            other = other[:, : x.shape[1]]
        return x + other


class Concat(nn.Module):
    """Joins tensors along the channels; a single one passes untouched."""

    def forward(self, *parts: Tensor) -> Tensor:
        return parts[0] if len(parts) == 1 else torch.cat(parts, dim=1)


class CentreCrop(nn.Module):
    """Cuts the central height x width out of a map; a map of that size passes untouched."""

    def __init__(self, height: int, width: int) -> None:
        super().__init__()
        self.height, self.width = height, width

    def forward(self, x: Tensor) -> Tensor:
        if x.shape[-2:] == (self.height, self.width):
            return x
        top, left = (x.shape[-2] - self.height) // 2, (x.shape[-1] - self.width) // 2
        return x[:, :, top : top + self.height, left : left + self.width]


class FlatLinear(nn.Linear):
    """A fully connected layer that flattens a map first; returns [N, out_features]."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.flatten(1))


Layer = dict[str, Any]
Modules = dict[str, nn.Module]


def _activation(layer: Layer) -> Modules:
    index = layer["index"]
    match layer["activation"]:
        case "relu":
            return {f"relu{index}": nn.ReLU()}
        case "leaky":
            return {f"leaky{index}": nn.LeakyReLU(LEAKY_SLOPE)}
        case "linear":
            return {}
    raise ValueError(f"layer {index}: unknown activation {layer['activation']!r}")


def _conv(layer: Layer) -> Modules:
    index, channels = layer["index"], layer["ofm"][0]
    modules: Modules = {
        f"conv{index}": nn.Conv2d(
            layer["ifm"][0],
            channels,
            tuple(layer["kernel"]),
            layer["stride"],
            layer["padding"],
            groups=layer["groups"],
            bias=not layer["batch_norm"],
        )
    }
    if layer["batch_norm"]:
        modules[f"bn{index}"] = residual_norm(channels) if layer["ends_branch"] else nn.BatchNorm2d(channels)
    return modules | _activation(layer)


def _max_pool(layer: Layer) -> Modules:
    return {f"pool{layer['index']}": DarknetMaxPool(layer["kernel"][0], layer["stride"], layer["padding_total"])}


def _linear(layer: Layer) -> Modules:
    return {f"fc{layer['index']}": FlatLinear(layer["ifm"][0], layer["ofm"][0])} | _activation(layer)


_BUILDERS: dict[str, Callable[[Layer], Modules]] = {
    "conv": _conv,
    "max_pool": _max_pool,
    "linear": _linear,
    "add": lambda layer: {f"add{layer['index']}": DarknetShortcut()} | _activation(layer),
    "concat": lambda layer: {f"concat{layer['index']}": Concat()},
    "crop": lambda layer: {f"crop{layer['index']}": CentreCrop(*layer["ofm"][1:])},
    "dropout": lambda layer: {f"dropout{layer['index']}": nn.Dropout()},
    "global_average_pool": lambda layer: {f"gap{layer['index']}": nn.AdaptiveAvgPool2d(1)},
    "softmax": lambda layer: {f"softmax{layer['index']}": nn.Softmax(dim=1)},
    "cost": lambda layer: {},
}


class PaperNetwork(nn.Module):
    """A network of `paper_networks.json`; submodules are named after the layer's kind and index: conv0, pool1, add5.

    Returns class probabilities [N, 1000]: these networks end in a softmax.
    """

    def __init__(self, layers: list[Layer]) -> None:
        super().__init__()
        self._steps: list[tuple[int, list[int], list[str]]] = []  # index, indices read, submodules in order
        for position, layer in enumerate(layers):
            following = layers[position + 1] if position + 1 < len(layers) else {}
            if layer["op"] == "crop":  # cuts to what the next layer reads
                layer = {**layer, "ofm": following["ifm"]}
            if layer["op"] == "conv":
                layer = {**layer, "ends_branch": following.get("op") == "add"}
            modules = _BUILDERS[layer["op"]](layer)
            for name, module in modules.items():
                self.add_module(name, module)
            index: int = layer["index"]
            self._steps.append((index, layer.get("inputs", [index - 1]), list(modules)))
        self._read_later = {i for index, inputs, _ in self._steps for i in inputs if i != index - 1}

    def layer_outputs(self, x: Tensor) -> Iterator[tuple[int, Tensor]]:
        """Yield (index, output) of every layer in turn for an input [N, 3, H, W]; linear layers give [N, C]."""
        kept: dict[int, Tensor] = {}
        previous = x
        for index, inputs, names in self._steps:
            values = [previous if i == index - 1 else kept[i] for i in inputs]
            for name in names:  # the first reads all inputs, the others (batch norm, activation) its result
                values = [self.get_submodule(name)(*values)]
            (y,) = values
            if index in self._read_later:
                kept[index] = y
            previous = y
            yield index, y

    def forward(self, x: Tensor) -> Tensor:
        ((_, y),) = deque(self.layer_outputs(x), maxlen=1)
        return y.flatten(1)


@functools.cache
def paper_layers() -> dict[str, Any]:
    """Return the layer shapes: per network `input` [C, H, W] and `layers`, as the JSON file has them."""
    text = resources.files(__package__).joinpath("paper_networks.json").read_text(encoding="utf-8")
    shapes: dict[str, Any] = {name: net for name, net in json.loads(text).items() if not name.startswith("_")}
    return shapes


_DESCRIPTIONS = {
    "alexnet": "AlexNet with full (ungrouped) convolutions at 227x227",
    "mobilenet": "MobileNetV2 with ReLU and maps kept at 28x28 for longer",
    "resnet50": "ResNet-50 at 256x256 with leaky ReLU and parameter-free shortcuts",
    "squeezenet": "SqueezeNet 1.1 at 227x227",
    "tiny": "TinyNet (Tiny Darknet) with leaky ReLU",
    "vgg16": "VGG16 on the 224x224 centre of 256x256",
}


def _spec(name: str) -> NetworkSpec:
    channels, height, width = paper_layers()[name]["input"]
    return NetworkSpec(
        f"paper/{name}",
        lambda: he_initialised(PaperNetwork(paper_layers()[name]["layers"])),
        (channels, height, width),
        Preprocessing(
            resize=resize_for(height),
            crop=(height, width),
            channel_order="RGB",
            mean=(0.0,) * 3,
            scale=(1 / 255,) * 3,
        ),
        f"{_DESCRIPTIONS[name]}, as Liang et al. 2018 ran it in Darknet",
    )


NETWORKS = tuple(_spec(name) for name in _DESCRIPTIONS)
