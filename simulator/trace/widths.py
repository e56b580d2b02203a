"""A network of shapes with other channel counts: what cutting channels leaves, without running anything."""

import dataclasses
from collections.abc import Mapping

from simulator.errors import InputError
from simulator.trace.records import Layer, Tensor
from simulator.trace.trace import Trace


def with_widths(trace: Trace, widths: Mapping[str, int], name: str | None = None) -> Trace:
    """The shapes of `trace` with so many output channels in the layers named; everything behind them follows.

    A depthwise layer has as many as it reads, and need not be named. The result holds no zero-maps and no accuracy.
    Raises InputError for a layer that does not exist or has no kernel, a width below 1, and where the channels that
    meet do not agree: at a sum, a grouped convolution, or an operator whose channels do not follow its input.
    """
    for layer_name, width in widths.items():
        if trace.layer(layer_name).kernel is None or trace.layer(layer_name).two_activations:
            raise InputError(f"layer '{layer_name}' has no kernel, so it has no width of its own")
        if width < 1:
            raise InputError(f"layer '{layer_name}': {width} output channels, expected at least 1")
    channels = {index: tensor.shape[0] for index, tensor in enumerate(trace.tensors)}
    written = {layer.output for layer in trace.layers}
    layers = []
    for layer in trace.layers:
        for index in layer.inputs:
            source = trace.tensors[index].source
            if source is not None and index not in written:
                channels[index] = _scaled(
                    channels[source], trace.tensors[source].shape[0], trace.tensors[index].shape[0], layer
                )
        resized = _resized(layer, [channels[index] for index in layer.inputs], trace, widths.get(layer.name))
        channels[layer.output] = _scaled(resized.ofm[0], layer.ofm[0], trace.tensors[layer.output].shape[0], layer)
        layers.append(resized)
    tensors = [
        Tensor((channels[index], *tensor.shape[1:]), parts=tensor.parts, source=tensor.source)
        for index, tensor in enumerate(trace.tensors)
    ]
    return Trace(name or trace.name, layers, tensors, provenance=dict(trace.provenance))


def _scaled(channels: int, before: int, other: int, layer: Layer) -> int:
    """Channels of a view of `channels` (once `before`) that had `other`: of a flatten, H·W times as many."""
    if channels * other % before:
        raise InputError(f"layer '{layer.name}': {channels} channels cannot be viewed as {other} of {before} were")
    return channels * other // before


def _resized(layer: Layer, read: list[int], trace: Trace, width: int | None) -> Layer:
    before = [trace.tensors[index].shape[0] for index in layer.inputs]
    inputs = _scaled(read[0], before[0], layer.ifm[0], layer)
    if layer.kernel is None or layer.two_activations:
        outputs = _passed_on(layer, read, before, inputs)
        return dataclasses.replace(layer, ifm=(inputs, *layer.ifm[1:]), ofm=(outputs, *layer.ofm[1:]))
    groups = layer.groups
    depthwise = groups == layer.ifm[0] == layer.kernel[0] > 1
    if depthwise:
        if width not in (None, inputs):
            raise InputError(
                f"layer '{layer.name}' is depthwise: it reads {inputs} channels, so it cannot write {width}"
            )
        groups = width = inputs
    outputs = layer.kernel[0] if width is None else width
    if inputs % groups or outputs % groups:
        raise InputError(
            f"layer '{layer.name}': {groups} groups do not divide {inputs} input and {outputs} output channels"
        )
    kernel = (outputs, inputs // groups, *layer.kernel[2:])
    bits = layer.kernel_bits if outputs == layer.kernel[0] else ()  # which channels stay is not known
    return dataclasses.replace(
        layer,
        ifm=(inputs, *layer.ifm[1:]),
        ofm=(outputs, *layer.ofm[1:]),
        kernel=kernel,
        groups=groups,
        kernel_bits=bits,
    )


def _passed_on(layer: Layer, read: list[int], before: list[int], inputs: int) -> int:
    """The channels that an operator without a kernel writes."""
    if read == before:
        return layer.ofm[0]
    if layer.operator == "concat":
        return sum(read)
    if layer.two_activations or layer.ofm[0] != layer.ifm[0]:
        raise InputError(f"layer '{layer.name}' ({layer.operator}): its channels do not follow those that it reads")
    if len({_scaled(now, old, layer.ifm[0], layer) for now, old in zip(read, before, strict=True)}) > 1:
        counts = " and ".join(map(str, read))
        raise InputError(f"layer '{layer.name}' ({layer.operator}) meets {counts} channels, expected equal numbers")
    return inputs
