"""The operators that a network ran, in order, and what each read and wrote; nothing is folded yet."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from simulator.extract.layout import Layout, same_order
from simulator.extract.operation import Operation
from simulator.extract.views import (
    EXAMPLES,
    BatchAxis,
    MixedImagesError,
    Role,
    Seen,
    Value,
    divided,
    inner_size,
    natural_role,
    usual_reading,
)
from simulator.trace.records import Shape


@dataclass(frozen=True, eq=False)
class Operand:
    """One reading of a value. layout: how to read it from the value's raw output, None when just as it is stored."""

    value: Value
    shape: Shape
    layout: Layout | None


@dataclass(eq=False)
class RawOperator:
    """One operator of the run.

    position counts the operators that do more than move elements. module: the path of the one that ran it, leaf:
    whether that has no children. argument_layout: how to read the IFM from the argument itself, which has
    argument_padding (top, left, bottom, right) zeros around it. kernel_map: the kernel's packed zero-map
    [K, ceil(C·R·S/8)], None without zeros. taken_over: names of operators in front that it does itself.
    """

    position: int
    operation: Operation
    operands: list[Operand]
    outputs: list[Value]
    module: str
    leaf: bool
    argument_layout: Layout | None = None
    argument_padding: tuple[int, int, int, int] = (0, 0, 0, 0)
    kernel_map: npt.NDArray[np.uint8] | None = None
    taken_over: tuple[str, ...] = ()


@dataclass(eq=False)
class RawGraph:
    """A network's run. sequence: every operator that does more than move elements, also those on constants."""

    input: Value
    operators: list[RawOperator] = field(default_factory=list)
    outputs: list[Value] = field(default_factory=list)
    sequence: list[Any] = field(default_factory=list)


def output_layout(operation: Operation, shape: tuple[int, ...]) -> Layout:
    """How the first output, of size `shape`, is stored: in the operation's role, else in its first operand's order."""
    dims = divided(shape, operation.axis)
    if operation.role is not None:
        return operation.role.layout(dims, operation.axis)
    natural = natural_role(dims, operation.axis).layout(dims, operation.axis)
    main = operation.operands[0][0]
    if main.elements != natural.elements:
        return natural
    if not main.whole:
        return usual_reading(main)(dims, operation.axis).layout(dims, operation.axis)
    order = main.stored_order()
    if same_order(order, natural.order, natural.elements):
        return natural
    return Layout(main.value.shape, natural.elements, inner_size(dims, operation.axis), order)


def side_layout(tensor: torch.Tensor, axis: BatchAxis) -> Layout:
    """The layout of a further output (indices, statistics), which may have nothing of each image."""
    try:
        dims = divided(tuple(tensor.shape), axis)
    except MixedImagesError:
        elements = max(1, tensor.numel() // EXAMPLES)
        return Layout((elements, 1, 1), elements, elements)
    return natural_role(dims, axis).layout(dims, axis)


def operand(seen: Seen, role: Role | None, output: Layout | None) -> Operand:
    """A reading in a role; without one as stored, or in the order of the output that it is combined with."""
    stored = seen.value.layout
    if role is not None:
        return reading(seen.value, role.shape, role.order(seen), seen.elements)
    if output is not None and output.elements == seen.elements:
        positions = seen.positions.reshape(-1)
        order = positions if output.order is None else positions[output.order.long()]
        return reading(seen.value, output.shape, order, seen.elements)
    if seen.whole:
        return Operand(seen.value, stored.shape, None)
    usual = usual_reading(seen)(seen.dims, seen.axis)
    return reading(seen.value, usual.shape, usual.order(seen), seen.elements)


def reading(value: Value, shape: Shape, order: torch.Tensor | None, elements: int) -> Operand:
    """The reading of `elements` elements of a value in a given order."""
    stored = value.layout
    if elements == stored.elements and same_order(order, stored.order, elements):
        return Operand(value, shape, None)
    return Operand(value, shape, Layout(shape, stored.elements, stored.inner, order))
