"""What a network costs at other widths: MACs and parameters from its shapes, the rest from a simulation of them."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from simulator.errors import InputError
from simulator.pruning.static.budget import SIMULATED, Budget
from simulator.pruning.static.cut import is_depthwise
from simulator.pruning.static.groups import LAYERS, NORMS, Prunable, shared_copy

Widths = Mapping[str, int]
"""Units kept, by group name; groups that are not named keep all."""

Cost = Callable[[Widths], float]

_TRANSPOSED = nn.ConvTranspose2d
"""Counted, though nothing of it is cut."""


@dataclass(frozen=True)
class Counts:
    """MACs and parameters of a model for one image.

    macs: of convolutions and linear layers, padding included. operations: with batch norm, activation and pooling, as
    Torch-Pruning counts them. params: all; params_without_norms: without the scale and shift of batch norms.
    """

    macs: int
    operations: int
    params: int
    params_without_norms: int


def count(model: nn.Module, input_shape: tuple[int, int, int]) -> Counts:
    """Both counts of MACs and both of parameters, from a run on shapes alone."""
    import torch_pruning

    shapes = shared_copy(model).to("meta")
    parameter = next(shapes.parameters(), torch.empty(0))
    example = torch.empty(1, *input_shape, device="meta", dtype=parameter.dtype)
    operations, _ = torch_pruning.utils.count_ops_and_params(shapes, example)
    params = sum(values.numel() for values in model.parameters())
    norms = sum(
        values.numel() for module in model.modules() if isinstance(module, NORMS) for values in module.parameters(False)
    )
    macs = sum(layer.macs for layer in _layer_sizes(model, input_shape).values())
    return Counts(macs, int(operations), params, params - norms)


@dataclass(frozen=True)
class _Size:
    """A convolution or linear layer: its channels, kernel positions times output positions, and what a weight costs.

    positions: where a kernel is applied: at each output, of a transposed convolution at each input.
    """

    outputs: int
    inputs: int
    groups: int
    kernel: int
    positions: int
    biases: int
    depthwise: bool

    @property
    def macs(self) -> int:
        return self.weights * self.positions

    @property
    def weights(self) -> int:
        return self.outputs * (self.inputs // self.groups) * self.kernel


def _layer_sizes(model: nn.Module, input_shape: tuple[int, int, int]) -> dict[str, _Size]:
    shapes = shared_copy(model).to("meta")
    found: dict[str, _Size] = {}

    def record(name: str) -> Callable[[nn.Module, tuple[Tensor, ...], Tensor], None]:
        def hook(module: nn.Module, read: tuple[Tensor, ...], written: Tensor) -> None:
            bias = 0 if module.bias is None else 1
            earlier = found[name].positions if name in found else 0
            if isinstance(module, nn.Linear):
                positions = math.prod(written.shape[1:-1])
                found[name] = _Size(module.out_features, module.in_features, 1, 1, positions + earlier, bias, False)
                return
            assert isinstance(module, nn.Conv1d | nn.Conv2d | _TRANSPOSED)
            at = read[0] if isinstance(module, _TRANSPOSED) else written
            kernel, positions = math.prod(module.kernel_size), math.prod(at.shape[2:])
            sizes = (module.out_channels, module.in_channels, module.groups, kernel, positions + earlier, bias)
            found[name] = _Size(*sizes, is_depthwise(module))

        return hook

    for name, module in shapes.named_modules():
        if isinstance(module, (*LAYERS, _TRANSPOSED)):
            module.register_forward_hook(record(name))
    parameter = next(shapes.parameters(), torch.empty(0))
    with torch.no_grad():
        shapes(torch.empty(1, *input_shape, device="meta", dtype=parameter.dtype))
    return found


class ShapeCosts:
    """MACs and parameters as functions of widths, without cutting anything."""

    def __init__(self, model: nn.Module, prunable: Prunable, input_shape: tuple[int, int, int]) -> None:
        self._sizes = _layer_sizes(model, input_shape)
        self._units = {group.name: group.units for group in prunable}
        norms = {name: module for name, module in model.named_modules() if isinstance(module, NORMS)}
        self._norms = {name: module.num_features for name, module in norms.items() if module.affine}
        counted = sum(size.weights + size.biases * size.outputs for size in self._sizes.values())
        counted += 2 * sum(self._norms.values())
        self._other_params = sum(values.numel() for values in model.parameters()) - counted
        # Per layer and side: (group, channels per unit).
        self._outputs: dict[str, list[tuple[str, int]]] = {}
        self._inputs: dict[str, list[tuple[str, int]]] = {}
        for group in prunable:
            for member in (*group.producers, *group.norms):
                self._outputs.setdefault(member.layer, []).append((group.name, member.channels.shape[1]))
            for member in group.consumers:
                self._inputs.setdefault(member.layer, []).append((group.name, member.channels.shape[1]))

    def _left(self, channels: int, parts: list[tuple[str, int]], widths: Widths) -> int:
        return channels - sum(
            (self._units[group] - widths[group]) * per_unit for group, per_unit in parts if group in widths
        )

    def _weights(self, name: str, widths: Widths) -> tuple[int, int]:
        """Weights and output channels of a layer."""
        size = self._sizes[name]
        outputs = self._left(size.outputs, self._outputs.get(name, []), widths)
        if size.depthwise:
            return outputs * size.kernel, outputs
        inputs = self._left(size.inputs, self._inputs.get(name, []), widths)
        return outputs * (inputs // size.groups) * size.kernel, outputs

    def macs(self, widths: Widths) -> float:
        """MACs of convolutions and linear layers."""
        return sum(self._weights(name, widths)[0] * size.positions for name, size in self._sizes.items())

    def params(self, widths: Widths) -> float:
        """All parameters, scales and shifts of batch norms included."""
        total = self._other_params
        for name, size in self._sizes.items():
            weights, outputs = self._weights(name, widths)
            total += weights + size.biases * outputs
        return total + 2 * sum(
            self._left(features, self._outputs.get(name, []), widths) for name, features in self._norms.items()
        )


def cost_of(budget: Budget, model: nn.Module, prunable: Prunable, input_shape: tuple[int, int, int]) -> Cost:
    """What the budget limits, as a function of widths; simulated ones remember what they have simulated."""
    if budget.quantity not in SIMULATED:
        costs = ShapeCosts(model, prunable, input_shape)
        return costs.macs if budget.quantity == "macs" else costs.params
    return _simulated(budget, model, prunable, input_shape)


def _simulated(budget: Budget, model: nn.Module, prunable: Prunable, input_shape: tuple[int, int, int]) -> Cost:
    from simulator.api import simulate
    from simulator.extract.extract import extract_shapes
    from simulator.hardware.load import load_accelerator
    from simulator.trace.widths import with_widths

    assert budget.accelerator is not None
    accelerator = load_accelerator(budget.accelerator)
    trace = extract_shapes(shared_copy(model), input_shape, name="pruned")
    per_unit = [(m.layer, g.name, m.channels) for g in prunable for m in g.producers]
    known: dict[tuple[tuple[str, int], ...], float] = {}
    for layer, group, _ in per_unit:
        if all(recorded.name != layer for recorded in trace.layers):
            raise InputError(f"budget {budget}: layer '{layer}' of group '{group}' is not in the simulated graph")

    def cost(widths: Widths) -> float:
        key = tuple(sorted(widths.items()))
        if key not in known:
            left = {
                layer: trace.layer(layer).ofm[0] - (len(channels) - widths[group]) * channels.shape[1]
                for layer, group, channels in per_unit
                if group in widths
            }
            known[key] = float(simulate(with_widths(trace, left), accelerator).totals[budget.quantity])
        return known[key]

    return cost
