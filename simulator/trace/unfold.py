"""Batch norms and activations as layers of their own again, as a framework runs them that fuses nothing."""

import dataclasses
from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np

from simulator.errors import InputError
from simulator.trace.file import Array, Arrays
from simulator.trace.records import Layer, Tensor
from simulator.trace.trace import Trace

_OWN_LABEL = frozenset({"activation", "elementwise", "reduce"})
"""Operators whose first name in `Layer.fused` is what they do themselves."""

BIAS = "bias"
"""What a convolution adds to its OFM where no batch norm follows, among the names of what is folded into it."""

_OPERATORS = {"batch_norm": "batch_norm", "scale": "elementwise", "add_constant": "elementwise"}


def unfolded(trace: Trace) -> Trace:
    """`trace` with a layer for everything that was folded into another one, named as `folded_names` says.

    What lies between is a tensor without zeros: nobody recorded it. A convolution without a batch norm behind it, which
    is taken to have a bias, keeps the name `BIAS`. Raises InputError for a statistical trace.
    """
    if not any(_folded(layer) for layer in trace.layers):
        return trace
    if trace.statistical:
        raise InputError(f"trace '{trace.name}' is statistical: what was folded into its layers cannot run apart")
    layers: list[Layer] = []
    tensors = list(trace.tensors)
    kernels: dict[int, int] = {}
    for index, layer in enumerate(trace.layers):
        kernels[len(layers)] = index
        labels = _folded(layer)
        kept = layer.fused[: len(layer.fused) - len(labels)]
        if layer.operator == "conv" and labels[:1] != ("batch_norm",) and BIAS not in kept:
            kept = (*kept, BIAS)
        produced = [layer.output]
        for _ in labels:
            produced.insert(0, len(tensors))
            tensors.append(Tensor(trace.tensors[layer.output].shape, zero_free=True))
        layers.append(dataclasses.replace(layer, output=produced[0], fused=kept))
        for number, (label, name) in enumerate(zip(labels, folded_names(layer.name, labels), strict=True)):
            layers.append(
                Layer(
                    name,
                    _OPERATORS.get(label, "activation"),
                    layer.ofm,
                    layer.ofm,
                    inputs=(produced[number],),
                    output=produced[number + 1],
                    fused=() if label == "batch_norm" else (label,),
                )
            )
    shapes = {index: tensors[index].shape for index in range(len(trace.tensors), len(tensors))}
    return dataclasses.replace(trace, layers=layers, tensors=tensors, arrays=_Renumbered(trace.arrays, kernels, shapes))


def folded_names(layer: str, labels: Sequence[str]) -> list[str]:
    """The names of what was folded into a layer: "conv1/batch_norm", "conv1/relu"; repeats get "#2"."""
    seen: Counter[str] = Counter()
    names = []
    for label in labels:
        seen[label] += 1
        names.append(f"{layer}/{label}" + (f"#{seen[label]}" if seen[label] > 1 else ""))
    return names


def _folded(layer: Layer) -> tuple[str, ...]:
    """The names of what was folded into a layer, without its own."""
    labels = layer.fused[1:] if layer.operator in _OWN_LABEL else layer.fused
    return tuple(label for label in labels if label != BIAS)


class _Renumbered:
    """The arrays of a trace under the numbers that its layers have now; new tensors have no zeros."""

    def __init__(self, arrays: Arrays, kernels: Mapping[int, int], dense: Mapping[int, tuple[int, int, int]]) -> None:
        self._arrays = arrays
        self._kernels = dict(kernels)
        self._dense = dict(dense)

    def _old(self, key: str) -> str | None:
        kind, _, number = key.partition("/")
        if kind != "kernel":
            return key
        old = self._kernels.get(int(number))
        return None if old is None else f"kernel/{old}"

    def read(self, key: str, index: int) -> Array:
        """Entry `index` of array `key`; of a new tensor the non-zeros of its feature maps."""
        kind, _, number = key.partition("/")
        if kind == "nonzero" and int(number) in self._dense:
            channels, rows, columns = self._dense[int(number)]
            return np.full(channels, rows * columns, np.int64)
        old = self._old(key)
        if old is None:
            raise KeyError(key)
        return self._arrays.read(old, index)

    def read_all(self, key: str) -> Array:
        """The whole array `key`."""
        old = self._old(key)
        if old is None:
            raise KeyError(key)
        return self._arrays.read_all(old)

    def shape(self, key: str) -> tuple[int, ...] | None:
        """The shape of array `key`, None when there is none."""
        old = self._old(key)
        return None if old is None else self._arrays.shape(old)
