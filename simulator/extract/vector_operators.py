"""The operators of the vector unit: pooling, elementwise, normalisation, softmax, reduction, concatenation, padding."""

import torch

from simulator.extract.array_operators import batch_first, last_two, map_role
from simulator.extract.layout import product
from simulator.extract.operation import Call, Operation, describes
from simulator.extract.views import (
    BatchAxis,
    MixedImagesError,
    Role,
    Seen,
    divided,
    natural_role,
    usual_reading,
)

_ACTIVATIONS = (
    *("relu", "leaky_relu", "gelu", "silu", "sigmoid", "tanh", "hardswish", "hardsigmoid", "elu", "celu", "softplus"),
    *("mish", "hardshrink", "softshrink", "threshold", "rrelu_with_noise", "log_sigmoid_forward", "hardtanh", "clamp"),
    *("clamp_min", "clamp_max", "_prelu_kernel", "relu6"),
)
_CONSTANT_FORMS = {"add": "add_constant", "sub": "add_constant", "rsub": "add_constant", "mul": "scale", "div": "scale"}
_TWO_OPERANDS = {"add": "add", "sub": "subtract", "rsub": "subtract", "mul": "multiply", "div": "divide"}


def _activation_name(call: Call) -> str:
    low, high = call.arguments.get("min_val", call.arguments.get("min")), call.arguments.get("max")
    high = call.arguments.get("max_val", high)
    if call.name in ("hardtanh", "clamp", "clamp_min") and low == 0:
        return {6: "relu6", None: "relu"}.get(high, call.name)
    if call.name == "threshold" and call["threshold"] == 0 and call["value"] == 0:
        return "relu"
    return {"_prelu_kernel": "prelu", "log_sigmoid_forward": "log_sigmoid"}.get(call.name, call.name)


def _unexpanded(seen: Seen) -> Seen:
    """The view without the dimensions along which `expand` repeats the same elements."""
    index = seen.index
    if index is None:
        return seen
    for dim, size in enumerate(seen.dims):
        first = index.narrow(dim, 0, 1)
        if size > 1 and dim != seen.axis.dim and torch.equal(first.expand_as(index), index):
            return _unexpanded(Seen(seen.value, tuple(first.shape), seen.axis, first))
    return seen


def _broadcast_axis(call: Call, seen: Seen) -> BatchAxis:
    """The batch axis of a result that a feature map was broadcast to (sizes are aligned at the last dimension)."""
    return BatchAxis(seen.axis.dim + len(call.shape) - len(seen.dims), seen.axis.stride)


@describes(*_ACTIVATIONS)
def elementwise(call: Call) -> Operation:
    """Any operator that works element by element: an activation, an addition, a scaling."""
    maps = [_unexpanded(seen) for seen in call.feature_maps]
    maps.sort(key=lambda seen: -seen.elements)
    axis = _broadcast_axis(call, maps[0])
    if any(_broadcast_axis(call, seen) != axis for seen in maps):
        raise MixedImagesError
    same_size = maps[0].elements == product(divided(call.shape, axis))
    if len(maps) > 1:
        operator = _TWO_OPERANDS.get(call.name, "elementwise")
        return Operation(operator, call.name, tuple((seen, None) for seen in maps), axis)
    if call.name == "div" and "other" in call.seen:
        operator, label = "divide", "reciprocal"
    elif call.name in _ACTIVATIONS:
        operator, label = "activation", _activation_name(call)
    else:
        operator, label = _TWO_OPERANDS.get(call.name, "elementwise"), _CONSTANT_FORMS.get(call.name, call.name)
    factor = call.arguments.get("other")
    scales = label == "scale" and (not isinstance(factor, torch.Tensor) or factor.numel() == 1)
    return Operation(operator, label, ((maps[0], None),), axis, foldable=same_size, scales=scales and same_size)


@describes(
    "native_batch_norm",
    "batch_norm",
    "cudnn_batch_norm",
    "miopen_batch_norm",
    "_native_batch_norm_legit",
    "_native_batch_norm_legit_no_training",
    "_batch_norm_with_update",
    "_batch_norm_no_update",
)
def _batch_norm(call: Call) -> Operation:
    """With stored statistics it scales and shifts; with its input's own (instance norm) it is a normalisation."""
    seen = call.feature_maps[0]
    if call.arguments.get("training", call.arguments.get("train", False)):
        return Operation("normalisation", "normalisation", ((seen, None),), seen.axis)
    return Operation("batch_norm", "batch_norm", ((seen, None),), seen.axis, foldable=True)


def _same_shape(operator: str, *names: str) -> None:
    def describe(call: Call) -> Operation:
        return Operation(
            operator, operator, tuple((seen, None) for seen in call.feature_maps), call.feature_maps[0].axis
        )

    describes(*names)(describe)


_same_shape("softmax", "_softmax", "_log_softmax", "_safe_softmax")
_same_shape("layer_norm", "native_layer_norm")
_same_shape("normalisation", "native_group_norm", "_fused_rms_norm")


def _overhang(ifm: int, ofm: int, window: int, stride: int, before: int) -> int:
    """By how much the last window hangs over the far edge."""
    return max(0, (ofm - 1) * stride + window - ifm - before)


def _pooling(operator: str, *names: str) -> None:
    def describe(call: Call) -> Operation:
        ifm = call.feature_maps[0]
        axis = batch_first(ifm)
        out = divided(call.shape, axis)
        role, out_role = map_role(ifm.dims), map_role(out)
        window = last_two(call["kernel_size"], 1)
        stride = last_two(call["stride"] or call["kernel_size"], 1)
        top, left = last_two(call["padding"], 0)
        dilation = last_two(call.arguments.get("dilation", (1,)), 1)
        reach = tuple((size - 1) * step + 1 for size, step in zip(window, dilation, strict=True))
        bottom = max(top, _overhang(ifm.dims[-2], out[-2], reach[0], stride[0], top)) if len(out) > 3 else 0
        right = max(left, _overhang(ifm.dims[-1], out[-1], reach[1], stride[1], left))
        return Operation(
            operator,
            call.name,
            ((ifm, role),),
            axis,
            out_role,
            stride=stride,
            padding=(top, left, bottom, right),
            dilation=dilation,
            window=window,
            recognised=len(ifm.dims) <= 4,
        )

    describes(*names)(describe)


_pooling("max_pool", "max_pool2d_with_indices", "max_pool3d_with_indices", "max_pool2d", "mkldnn_max_pool2d")
_pooling("average_pool", "avg_pool1d", "avg_pool2d", "avg_pool3d")


def _adaptive_pooling(operator: str, *names: str) -> None:
    def describe(call: Call) -> Operation:
        ifm = call.feature_maps[0]
        axis = batch_first(ifm)
        role, out_role = map_role(ifm.dims), map_role(divided(call.shape, axis))
        (_, rows, columns), (_, out_rows, out_columns) = role.shape, out_role.shape
        whole = operator == "average_pool" and out_rows == out_columns == 1
        return Operation(
            "global_average_pool" if whole else operator,
            operator,
            ((ifm, role),),
            axis,
            out_role,
            stride=(max(1, rows // out_rows), max(1, columns // out_columns)),
            window=(-(-rows // out_rows), -(-columns // out_columns)),
        )

    describes(*names)(describe)


_adaptive_pooling("average_pool", "_adaptive_avg_pool2d", "_adaptive_avg_pool3d", "adaptive_avg_pool1d")
_adaptive_pooling("max_pool", "adaptive_max_pool2d", "adaptive_max_pool3d")


@describes("mean", "sum", "amax", "amin", "max", "min", "var", "std", "prod", "logsumexp", "argmax", "argmin")
def _reduction(call: Call) -> Operation:
    """A reduction; the mean over all but one dimension is global average pooling."""
    seen = call.feature_maps[0]
    if len(call.feature_maps) > 1:
        return elementwise(call)
    rank = len(seen.dims)
    given = call.arguments.get("dim")
    chosen = list(range(rank)) if given is None or given == [] else [given] if isinstance(given, int) else list(given)
    reduced = sorted({dim % rank for dim in chosen})
    if seen.axis.dim in reduced:
        raise MixedImagesError
    kept = [dim for dim in range(rank) if dim not in reduced]
    keeps_rank = len(call.shape) == rank
    axis = seen.axis if keeps_rank else BatchAxis(kept.index(seen.axis.dim), seen.axis.stride)
    out_role = natural_role(divided(call.shape, axis), axis)
    real = [dim for dim in kept if seen.dims[dim] != 1]
    if call.name != "mean" or len(real) > 1:
        return Operation("reduce", call.name, ((seen, None),), axis, out_role)
    sizes = tuple(seen.dims[dim] for dim in reduced)
    rows, columns = (sizes[0], 1) if len(sizes) == 1 else (product(sizes[:-1]), sizes[-1])
    role = Role((*kept, *reduced), (product(tuple(seen.dims[dim] for dim in kept)), rows, columns))
    return Operation(
        "global_average_pool", "mean", ((seen, role),), axis, out_role, stride=(rows, columns), window=(rows, columns)
    )


@describes("cat", "stack")
def _concatenation(call: Call) -> Operation:
    """All operands and the result are read as is usual for the first operand."""
    maps, rank = call.feature_maps, len(call.shape)
    dim = call["dim"] % rank
    axis = maps[0].axis
    if call.name == "stack":
        maps = [_unsqueezed(seen, dim) for seen in maps]
        axis = maps[0].axis
    if any(seen.axis != axis for seen in maps):
        raise MixedImagesError
    role = usual_reading(maps[0])
    operands = tuple((seen, role(seen.dims, axis)) for seen in maps)
    return Operation("concat", "concat", operands, axis, role(divided(call.shape, axis), axis))


def _unsqueezed(seen: Seen, dim: int) -> Seen:
    axis = BatchAxis(seen.axis.dim + (dim <= seen.axis.dim), seen.axis.stride)
    index = None if seen.index is None else seen.index.unsqueeze(dim)
    return Seen(seen.value, (*seen.dims[:dim], 1, *seen.dims[dim:]), axis, index)


def _resampling(operator: str, *names: str) -> None:
    def describe(call: Call) -> Operation:
        ifm = call.feature_maps[0]
        axis = batch_first(ifm)
        return Operation(operator, operator, ((ifm, map_role(ifm.dims)),), axis, map_role(divided(call.shape, axis)))

    describes(*names)(describe)


_resampling(
    "upsample",
    *("upsample_nearest1d", "upsample_nearest2d", "upsample_nearest3d", "_upsample_nearest_exact1d"),
    *("_upsample_nearest_exact2d", "upsample_linear1d", "upsample_bilinear2d", "upsample_bicubic2d"),
    *("upsample_trilinear3d", "_upsample_bilinear2d_aa", "_upsample_bicubic2d_aa", "grid_sampler_2d"),
)
_resampling("pad", *["reflection_pad1d", "reflection_pad2d", "replication_pad1d", "replication_pad2d"])


@describes("constant_pad_nd")
def _constant_pad(call: Call) -> Operation:
    """Padding; with zeros around feature maps it can become the padding of the convolution that reads it."""
    seen = call.feature_maps[0]
    pads: list[int] = list(call["pad"])
    axis = seen.axis
    if len(pads) > 2 * (len(seen.dims) - axis.dim - 1) and any(pads[2 * (len(seen.dims) - axis.dim - 1) :]):
        raise MixedImagesError
    left, right, top, bottom = [*pads, 0, 0, 0, 0][:4]
    around = axis.dim == 0 and len(seen.dims) == 4 and min(pads) >= 0 and not any(pads[4:])
    zeros = around and call["value"] in (0, None)
    role = map_role(seen.dims) if around else None
    out = divided(call.shape, axis)
    return Operation(
        "pad",
        "pad",
        ((seen, role),),
        axis,
        map_role(out) if around else natural_role(out, axis),
        padding=(top, left, bottom, right) if around else (0, 0, 0, 0),
        zero_padding=(top, left, bottom, right) if zeros else None,
    )


@describes("embedding")
def _embedding(call: Call) -> Operation:
    seen = call.feature_maps[0]
    if "indices" not in call.seen:
        raise MixedImagesError
    return Operation(
        "embedding", "embedding", ((seen, None),), seen.axis, natural_role(divided(call.shape, seen.axis), seen.axis)
    )


@describes("glu")
def _gated(call: Call) -> Operation:
    seen = call.feature_maps[0]
    return Operation(
        "activation", "glu", ((seen, None),), seen.axis, natural_role(divided(call.shape, seen.axis), seen.axis)
    )
