"""What each operator is to the trace: the table, and what happens to operators outside it."""

from typing import Any

import torch

from simulator.extract import array_operators  # noqa: F401 (fills the table)
from simulator.extract.operation import OPERATORS, Call, Operation
from simulator.extract.vector_operators import elementwise
from simulator.extract.views import EXAMPLES, MixedImagesError, divided, natural_role


def describe(call: Call, func: Any) -> Operation:
    """What an operator is to the trace; raises MixedImagesError when its result cannot be split into images."""
    known = OPERATORS.get(call.name)
    if known is not None:
        return known(call)
    if torch.Tag.pointwise in func.tags:
        return elementwise(call)
    return _unknown(call)


def _unknown(call: Call) -> Operation:
    """An operator that the table does not know: its true shapes, under its aten name."""
    maps = call.feature_maps
    for seen in maps:
        axis = seen.axis
        if axis.dim < len(call.shape) and call.shape[axis.dim] == seen.dims[axis.dim] * EXAMPLES:
            role = natural_role(divided(call.shape, axis), axis)
            return Operation(call.name, call.name, tuple((seen, None) for seen in maps), axis, role, recognised=False)
    raise MixedImagesError
