"""From densities to a trace: which tensor holds how many non-zeros, and which layers read another map."""

import dataclasses
import math
from collections.abc import Mapping
from numbers import Real
from typing import TYPE_CHECKING

from simulator.errors import InputError
from simulator.trace.records import Layer, Tensor
from simulator.trace.statistical import StatisticalArrays

if TYPE_CHECKING:
    from simulator.trace.trace import Trace

Densities = Mapping[str, tuple[float | None, float | None]]


def statistical_trace(
    trace: "Trace", densities: Densities, kernel_densities: Mapping[str, float] | None, seed: int
) -> "Trace":
    """`Trace.with_densities`; raises InputError as that says."""
    if isinstance(seed, bool) or not isinstance(seed, int) or seed < 0:
        raise InputError(f"seed: found {seed!r}, expected 0 or a positive whole number")
    read, written = _checked(trace, densities)
    kernels = _kernels(trace, kernel_densities or {})
    tensors = _Tensors(trace, read, written)
    layers = [tensors.seen_by(layer) for layer in trace.layers]
    arrays = StatisticalArrays(
        shapes=[tensor.shape for tensor in tensors.records],
        nonzeros={index: tensors.nonzeros[index] for index in tensors.with_zeros()},
        kernels={index: layer.kernel for index, layer in enumerate(layers) if layer.kernel is not None},
        kernel_nonzeros=kernels,
        seed=seed,
    )
    stated = {
        "densities": {name: list(pair) for name, pair in densities.items()},
        "kernel_densities": dict(kernel_densities or {}),
        "seed": seed,
    }
    return dataclasses.replace(
        trace,
        layers=layers,
        tensors=tensors.final(),
        image_count=0,
        accuracy=None,
        pruning=None,
        provenance={**trace.provenance, "statistical": stated},
        arrays=arrays,
    )


def _checked(trace: "Trace", densities: Densities) -> tuple[dict[str, float], dict[str, float]]:
    """The IFM densities and the OFM densities that are stated, by layer."""
    read: dict[str, float] = {}
    written: dict[str, float] = {}
    for name, pair in densities.items():
        layer = trace.layer(name)
        if not isinstance(pair, tuple | list) or len(pair) != 2:
            raise InputError(f"density of layer '{name}': found {pair!r}, expected (IFM density, OFM density)")
        for operand, value, stated in (("IFM", pair[0], read), ("OFM", pair[1], written)):
            if value is None:
                continue
            stated[name] = _density(value, f"{operand} density of layer '{name}'")
            if trace.tensors[layer.output].parts:
                raise InputError(
                    f"{operand} density of layer '{name}': a concatenation holds what its parts hold; "
                    "state the densities of the layers that write these"
                )
    return read, written


def _density(value: object, what: str) -> float:
    if isinstance(value, bool) or not isinstance(value, Real) or not 0 <= float(value) <= 1:
        raise InputError(f"{what}: found {value!r}, expected a share of non-zeros from 0 to 1")
    return float(value)


def _kernels(trace: "Trace", densities: Mapping[str, float]) -> dict[int, int]:
    """Non-zero weights by layer, for the layers that a density is stated of."""
    nonzeros = {}
    for name, value in densities.items():
        index = trace.layer_index(name)
        layer = trace.layers[index]
        density = _density(value, f"kernel density of layer '{name}'")
        if layer.kernel is None or layer.two_activations:
            raise InputError(f"kernel density of layer '{name}': a '{layer.operator}' has no kernel of weights")
        nonzeros[index] = round(density * layer.kernel_elements)
    return nonzeros


class _Tensors:
    """The tensors of the trace, and those that are added where a layer reads another map than is stored.

    records: all of them. nonzeros: the non-zero elements of each.
    """

    def __init__(self, trace: "Trace", read: Mapping[str, float], written: Mapping[str, float]) -> None:
        self.records: list[Tensor] = list(trace.tensors)
        self._read = read
        self._added: dict[tuple[int, int], int] = {}
        stored = self._stored_densities(trace, written)
        self.nonzeros: list[int] = []
        for index, tensor in enumerate(self.records):
            if tensor.parts:
                self.nonzeros.append(sum(self.nonzeros[part] for part in tensor.parts))
                stored[index] = self.nonzeros[index] / tensor.elements
            else:
                self.nonzeros.append(round(stored.get(self._own(index), 1.0) * tensor.elements))

    def _own(self, tensor: int) -> int:
        source = self.records[tensor].source
        return tensor if source is None else source

    def _stored_densities(self, trace: "Trace", written: Mapping[str, float]) -> dict[int, float]:
        """What each tensor in memory holds: what its writer states, or else what the first reader that states any."""
        stored = {layer.output: written[layer.name] for layer in trace.layers if layer.name in written}
        for layer in trace.layers:
            if layer.name in self._read:
                for tensor in layer.inputs:
                    stored.setdefault(self._own(tensor), self._read[layer.name])
        return stored

    def seen_by(self, layer: Layer) -> Layer:
        """The layer, reading tensors of its own where its IFM density is not that of what is stored."""
        if layer.name not in self._read:
            return layer
        density = self._read[layer.name]
        operands = layer.inputs[:1] if layer.kernel is not None else layer.inputs
        inputs = [self._with(tensor, density) for tensor in operands]
        return dataclasses.replace(layer, inputs=(*inputs, *layer.inputs[len(inputs) :]))

    def _with(self, tensor: int, density: float) -> int:
        nonzeros = round(density * self.records[tensor].elements)
        if nonzeros == self.nonzeros[tensor]:
            return tensor
        if (tensor, nonzeros) not in self._added:
            self._added[tensor, nonzeros] = len(self.records)
            self.records.append(Tensor(self.records[tensor].shape, source=self._own(tensor)))
            self.nonzeros.append(nonzeros)
        return self._added[tensor, nonzeros]

    def with_zeros(self) -> list[int]:
        """The tensors that have zeros and hold them themselves."""
        return [
            index
            for index, tensor in enumerate(self.records)
            if not tensor.parts and self.nonzeros[index] < math.prod(tensor.shape)
        ]

    def final(self) -> list[Tensor]:
        """The records, with what has no zero marked."""
        zeros = set(self.with_zeros())
        return [
            dataclasses.replace(tensor, zero_free=not tensor.parts and index not in zeros)
            for index, tensor in enumerate(self.records)
        ]
