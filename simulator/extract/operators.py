"""What each operator is to the trace: the table, and what happens to operators outside it."""

from typing import Any

import torch
from torch.utils._pytree import tree_leaves

from simulator.extract import array_operators  # noqa: F401 (fills the table)
from simulator.extract.operation import OPERATORS, Call, Operation
from simulator.extract.vector_operators import elementwise
from simulator.extract.views import EXAMPLES, MixedImagesError, divided, natural_role


class WeightsError(Exception):
    """An operator outside the table takes weights, so its sizes alone do not say what it costs. shape: the weights'."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        super().__init__(shape)
        self.shape = shape


def describe(call: Call, func: Any) -> Operation:
    """What an operator is to the trace.

    Raises MixedImagesError when its result cannot be split into images, WeightsError for an unknown one with weights.
    """
    known = OPERATORS.get(call.name)
    if known is not None:
        return known(call)
    if torch.Tag.pointwise in func.tags:
        return elementwise(call)
    return _unknown(call)


def _unknown(call: Call) -> Operation:
    """An operator that the table does not know: its true shapes, under its aten name."""
    for argument in tree_leaves(list(call.arguments.values())):
        if isinstance(argument, torch.nn.Parameter) and argument.dim() > 1:
            raise WeightsError(tuple(argument.shape))
    maps = call.feature_maps
    for seen in maps:
        axis = seen.axis
        if axis.dim < len(call.shape) and call.shape[axis.dim] == seen.dims[axis.dim] * EXAMPLES:
            role = natural_role(divided(call.shape, axis), axis)
            return Operation(call.name, call.name, tuple((seen, None) for seen in maps), axis, role, recognised=False)
    raise MixedImagesError
