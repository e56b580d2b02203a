"""The operators of the MAC array: convolutions and matrix products."""

from collections.abc import Sequence

import torch

from simulator.extract.layout import product
from simulator.extract.operation import Call, Operation, describes
from simulator.extract.views import (
    EXAMPLES,
    BatchAxis,
    MixedImagesError,
    Role,
    Seen,
    divided,
    first_image,
)


def rows_and_columns(sizes: Sequence[int]) -> tuple[int, int]:
    """(rows, columns) of sizes per spatial dimension: one is (1, x), three are merged to (x·y, z)."""
    return product(tuple(sizes[:-1])), sizes[-1]


def last_two(values: Sequence[int], default: int) -> tuple[int, int]:
    """A per-dimension parameter as (rows, columns): one value leaves `default` for the rows."""
    return (default, values[0]) if len(values) == 1 else (values[-2], values[-1])


def map_role(dims: tuple[int, ...]) -> Role:
    """The reading of [images, C, spatial…] as (C, H, W); images of a video frame stand below each other."""
    rows, columns = rows_and_columns(dims[2:])
    return Role((1, 0, *range(2, len(dims))), (dims[1], dims[0] * rows, columns))


def batch_first(seen: Seen) -> BatchAxis:
    """The batch axis, which must be dimension 0."""
    if seen.axis.dim != 0:
        raise MixedImagesError
    return seen.axis


@describes("convolution")
def _convolution(call: Call) -> Operation:
    ifm = call.seen["input"]
    weight: torch.Tensor = call["weight"]
    if "weight" in call.seen:
        raise MixedImagesError
    axis = batch_first(ifm)
    transposed, groups = call["transposed"], call["groups"]
    if transposed:
        inputs, outputs, *window = weight.shape
        weight = weight.reshape(groups, inputs // groups, outputs, *window).transpose(1, 2)
        weight = weight.reshape(outputs * groups, inputs // groups, *window)
    rows, columns = rows_and_columns(weight.shape[2:])
    top, left = last_two(call["padding"], 0)
    return Operation(
        "conv_transpose" if transposed else "conv",
        "conv",
        ((ifm, map_role(ifm.dims)),),
        axis,
        map_role(divided(call.shape, axis)),
        kernel=(weight.shape[0], weight.shape[1], rows, columns),
        stride=last_two(call["stride"], 1),
        padding=(top, left, top, left),
        dilation=last_two(call["dilation"], 1),
        groups=groups,
        weight=weight.detach(),
        ifm_argument=call.argument_index("input"),
        recognised=weight.dim() <= 4,
    )


@describes("mm", "addmm", "bmm", "baddbmm")
def _product(call: Call) -> Operation:
    left_name, right_name = {
        "mm": ("self", "mat2"),
        "addmm": ("mat1", "mat2"),
        "bmm": ("self", "mat2"),
        "baddbmm": ("batch1", "batch2"),
    }[call.name]
    extra = tuple((seen, None) for name, seen in call.seen.items() if name not in (left_name, right_name))
    left, right = call.seen.get(left_name), call.seen.get(right_name)
    if left is not None and right is not None:
        return _activation_product(call, left, right, extra)
    if left is not None:
        return _weighted_rows(call, left, left_name, call[right_name], extra)
    if right is not None:
        return _weighted_columns(call, right, right_name, call[left_name], extra)
    raise MixedImagesError


def _batched(dims: tuple[int, ...]) -> tuple[int, int, int]:
    """(batch, rows, columns) of a matrix or a batch of them."""
    return (1, dims[0], dims[1]) if len(dims) == 2 else (dims[0], dims[1], dims[2])


def _columns_first(dims: tuple[int, ...]) -> Role:
    """[…, rows, columns] read as (batch · columns, rows, 1)."""
    batch, rows, columns = _batched(dims)
    return Role((*range(len(dims) - 2), len(dims) - 1, len(dims) - 2), (batch * columns, rows, 1))


def _rows_first(dims: tuple[int, ...]) -> Role:
    """[…, rows, columns] read as (batch · rows, columns, 1)."""
    batch, rows, columns = _batched(dims)
    return Role(tuple(range(len(dims))), (batch * rows, columns, 1))


def _one_image_of_weights(weight: torch.Tensor, axis: BatchAxis, groups: int) -> torch.Tensor:
    """The weight [groups, rows, columns] of one image, where it was repeated for the images of the batch."""
    if weight.dim() == 2:
        return weight[None]
    return first_image(weight, axis) if weight.shape[0] == groups * EXAMPLES else weight


Extra = tuple[tuple[Seen, Role | None], ...]


def _weighted_rows(call: Call, left: Seen, left_name: str, weight: torch.Tensor, extra: Extra) -> Operation:
    """Rows of a feature map times a weight: a linear layer."""
    if left.axis.dim == len(left.dims) - 1:
        raise MixedImagesError
    groups, _, features = _batched(left.dims)
    kernel = _one_image_of_weights(weight, left.axis, groups).transpose(1, 2)
    outputs = kernel.shape[1]
    return Operation(
        "linear",
        "linear",
        ((left, _columns_first(left.dims)), *extra),
        left.axis,
        _columns_first(divided(call.shape, left.axis)),
        kernel=(groups * outputs, features, 1, 1),
        groups=groups,
        weight=kernel.reshape(groups * outputs, features, 1, 1).detach(),
        ifm_argument=call.argument_index(left_name),
    )


def _weighted_columns(call: Call, right: Seen, right_name: str, weight: torch.Tensor, extra: Extra) -> Operation:
    """A weight times columns of a feature map: a linear layer with its outputs as rows."""
    if right.axis.dim == len(right.dims) - 2:
        raise MixedImagesError
    groups, features, _ = _batched(right.dims)
    kernel = _one_image_of_weights(weight, right.axis, groups)
    outputs = kernel.shape[1]
    return Operation(
        "linear",
        "linear",
        ((right, _rows_first(right.dims)), *extra),
        right.axis,
        _rows_first(divided(call.shape, right.axis)),
        kernel=(groups * outputs, features, 1, 1),
        groups=groups,
        weight=kernel.reshape(groups * outputs, features, 1, 1).detach(),
        ifm_argument=call.argument_index(right_name),
    )


def _activation_product(call: Call, left: Seen, right: Seen, extra: Extra) -> Operation:
    """Two feature maps multiplied, one group per head."""
    if left.axis != right.axis or left.axis.dim != 0 or len(left.dims) != 3:
        raise MixedImagesError
    heads, _, features = left.dims
    outputs = right.dims[2]
    return Operation(
        "matmul",
        "matmul",
        ((left, _columns_first(left.dims)), (right, _columns_first(right.dims)), *extra),
        left.axis,
        _columns_first(divided(call.shape, left.axis)),
        kernel=(heads * outputs, features, 1, 1),
        groups=heads,
    )
