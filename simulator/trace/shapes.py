"""Traces of shapes only, from plain Python: no network, no images."""

import dataclasses
from collections.abc import Iterable

from simulator.errors import InputError
from simulator.trace.records import Layer, Shape, Tensor
from simulator.trace.trace import Trace


def conv_layer(
    name: str,
    ifm: Shape,
    outputs: int,
    kernel: tuple[int, int],
    *,
    stride: int = 1,
    padding: int = 0,
    groups: int = 1,
) -> Layer:
    """A convolution from its usual numbers: `ifm` (C, H, W), K output channels, a (R, S) kernel."""
    channels, height, width = ifm
    rows, columns = kernel
    if channels % groups or outputs % groups:
        raise InputError(
            f"layer '{name}': {groups} groups do not divide {channels} input and {outputs} output channels"
        )
    ofm = (
        outputs,
        (height + 2 * padding - rows) // stride + 1,
        (width + 2 * padding - columns) // stride + 1,
    )
    if ofm[1] < 1 or ofm[2] < 1:
        raise InputError(f"layer '{name}': a {rows}×{columns} kernel does not fit into {height}×{width} plus padding")
    return Layer(
        name,
        "conv",
        ifm,
        ofm,
        (outputs, channels // groups, rows, columns),
        (stride, stride),
        (padding,) * 4,
        groups=groups,
    )


def linear_layer(name: str, features: int, outputs: int, rows: int = 1) -> Layer:
    """A fully connected layer, or a matrix product of [rows, features] by [features, outputs]."""
    return Layer(name, "linear", (features, rows, 1), (outputs, rows, 1), (outputs, features, 1, 1))


def softmax_layer(name: str, features: int, rows: int = 1) -> Layer:
    """A softmax over a [rows, features] matrix; `features` may be those of several heads side by side."""
    return Layer(name, "softmax", (features, rows, 1), (features, rows, 1))


def layer_norm_layer(name: str, features: int, rows: int = 1) -> Layer:
    """A normalisation of each row of a [rows, features] matrix."""
    return Layer(name, "layer_norm", (features, rows, 1), (features, rows, 1))


def trace_from_layers(name: str, layers: Iterable[Layer]) -> Trace:
    """A trace of shapes only.

    A layer without `inputs` reads the previous layer's output when the element counts agree, and else a tensor of its
    own, as the layers of a topology list do. Layers with `inputs` (tensor 0 is the first layer's input, tensor i + 1
    the output of layer i) are taken as they are, and then all of them must say so. Raises InputError when there are no
    layers, names repeat, or an input is not there yet.
    """
    given = list(layers)
    if not given:
        raise InputError(f"network '{name}' has no layers")
    seen: set[str] = set()
    for layer in given:
        if layer.name in seen:
            raise InputError(f"network '{name}': two layers are named '{layer.name}'")
        seen.add(layer.name)
    explicit = any(layer.inputs for layer in given)
    tensors = [Tensor(given[0].ifm)]
    linked: list[Layer] = []
    previous = 0
    for layer in given:
        inputs = layer.inputs
        if explicit:
            if not inputs or any(not 0 <= index < len(tensors) for index in inputs):
                raise InputError(f"layer '{layer.name}': inputs {inputs} do not name tensors before it")
        else:
            if tensors[previous].elements != layer.ifm_elements:
                tensors.append(Tensor(layer.ifm))
                previous = len(tensors) - 1
            inputs = (previous,)
        tensors.append(Tensor(layer.ofm))
        previous = len(tensors) - 1
        linked.append(dataclasses.replace(layer, inputs=inputs, output=previous))
    return Trace(name, linked, tensors)
