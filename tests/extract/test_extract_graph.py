"""The graph that tracing a network gives: layers, names, sizes, edges and what is folded into what."""

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from torch import nn

from simulator.errors import InputError
from simulator.extract.extract import extract, extract_shapes
from simulator.trace.records import Layer
from simulator.trace.trace import Trace

torch.set_num_threads(1)


def shapes(model: nn.Module, *size: int) -> Trace:
    return extract_shapes(model, size, name="net")  # type: ignore[arg-type]


def summary(trace: Trace) -> list[tuple[str, str, tuple[str, ...], tuple[str, ...]]]:
    """(name, operator, fused, names of the layers that made its inputs) of every layer."""
    producer = {layer.output: layer.name for layer in trace.layers}

    def origin(tensor: int) -> str:
        source = trace.tensors[tensor].source
        return producer.get(tensor) or ("input" if source is None else f"part of {origin(source)}")

    return [(layer.name, layer.operator, layer.fused, tuple(map(origin, layer.inputs))) for layer in trace.layers]


class Functional(nn.Module):
    """A network made of a function; modules it needs are given by name."""

    def __init__(self, function, **modules: nn.Module) -> None:
        super().__init__()
        self.function = function
        for name, module in modules.items():
            self.add_module(name, module)

    def forward(self, x):
        return self.function(self, x)


def test_batch_norm_and_relu_fold_into_the_convolution():
    net = nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1), nn.BatchNorm2d(8), nn.ReLU(inplace=True), nn.Conv2d(8, 4, 1))
    trace = shapes(net, 3, 9, 11)
    assert summary(trace) == [("0", "conv", ("batch_norm", "relu"), ("input",)), ("3", "conv", (), ("0",))]
    first, second = trace.layers
    assert first == Layer(
        "0", "conv", (3, 9, 11), (8, 5, 6), (8, 3, 3, 3), (2, 2), (1, 1, 1, 1), inputs=(0,), output=1,
        fused=("batch_norm", "relu"),
    )  # fmt: skip
    assert second.ifm == (8, 5, 6)
    assert second.macs == 8 * 4 * 5 * 6
    assert [tensor.shape for tensor in trace.tensors] == [(3, 9, 11), (8, 5, 6), (4, 5, 6)]


def test_shapes_and_images_give_the_same_graph():
    net = nn.Sequential(
        nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(72, 5)
    )
    with torch.device("meta"):
        on_meta = nn.Sequential(
            nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(72, 5)
        )
    recorded = extract(net, torch.randn(3, 3, 8, 8), name="net")
    assert shapes(on_meta, 3, 8, 8).layers == recorded.layers == shapes(net, 3, 8, 8).layers
    assert shapes(on_meta, 3, 8, 8).image_count == 0


def test_shared_preactivation_is_not_folded():
    """A value that two layers read is stored as it is; what only one of them wants cannot be folded."""

    def forward(net, x):
        y = net.conv1(x)
        return net.conv2(F.relu(net.bn(y))) + y

    net = Functional(forward, conv1=nn.Conv2d(4, 4, 3, padding=1), bn=nn.BatchNorm2d(4), conv2=nn.Conv2d(4, 4, 1))
    assert summary(shapes(net, 4, 6, 6)) == [
        ("conv1", "conv", (), ("input",)),
        ("bn", "batch_norm", ("relu",), ("conv1",)),
        ("conv2", "conv", (), ("bn",)),
        ("add", "add", (), ("conv2", "conv1")),
    ]


def test_in_place_relu_before_a_shared_use_is_folded():
    def forward(net, x):
        y = net.conv1(x)
        F.relu_(y)
        z = net.conv2(y)
        z += y
        return z.relu_()

    net = Functional(forward, conv1=nn.Conv2d(4, 4, 1), conv2=nn.Conv2d(4, 4, 1))
    assert summary(shapes(net, 4, 6, 6)) == [
        ("conv1", "conv", ("relu",), ("input",)),
        ("conv2", "conv", (), ("conv1",)),
        ("add", "add", ("relu",), ("conv2", "conv1")),
    ]


def test_in_place_relu_through_a_view_changes_the_viewed_map():
    def forward(net, x):
        y = net.conv1(x)
        y.view(-1).relu_()
        return net.conv2(y)

    net = Functional(forward, conv1=nn.Conv2d(4, 4, 1), conv2=nn.Conv2d(4, 4, 1))
    assert summary(shapes(net, 4, 6, 6)) == [
        ("conv1", "conv", ("relu",), ("input",)),
        ("conv2", "conv", (), ("conv1",)),
    ]


def test_a_returned_value_is_stored_unfolded():
    def forward(net, x):
        y = net.conv(x)
        return F.relu(y), y

    trace = shapes(Functional(forward, conv=nn.Conv2d(3, 4, 1)), 3, 4, 4)
    assert summary(trace) == [("conv", "conv", (), ("input",)), ("activation", "activation", ("relu",), ("conv",))]


def test_concatenated_channels_are_parts():
    def forward(net, x):
        return net.last(torch.cat([F.relu(net.left(x)), net.right(x)], 1))

    net = Functional(forward, left=nn.Conv2d(3, 4, 1), right=nn.Conv2d(3, 5, 3, padding=1), last=nn.Conv2d(9, 2, 1))
    trace = shapes(net, 3, 6, 6)
    assert summary(trace) == [
        ("left", "conv", ("relu",), ("input",)),
        ("right", "conv", (), ("input",)),
        ("cat", "concat", (), ("left", "right")),
        ("last", "conv", (), ("cat",)),
    ]
    assert trace.tensors[3].shape == (9, 6, 6)
    assert trace.tensors[3].parts == (1, 2)


@pytest.mark.parametrize(("dim", "shape"), [(2, (4, 12, 6)), (3, (4, 6, 12))])
def test_concatenation_along_rows_or_columns_has_no_parts(dim, shape):
    def forward(net, x):
        return torch.cat([net.left(x), net.right(x)], dim)

    trace = shapes(Functional(forward, left=nn.Conv2d(3, 4, 1), right=nn.Conv2d(3, 4, 1)), 3, 6, 6)
    assert trace.tensors[-1].shape == shape
    assert trace.tensors[-1].parts == ()


def test_concatenated_slices_have_no_parts():
    def forward(net, x):
        y = net.conv(x)
        return torch.cat([y[:, :1], y[:, 2:]], 1)

    trace = shapes(Functional(forward, conv=nn.Conv2d(3, 4, 1)), 3, 6, 6)
    assert summary(trace)[-1] == ("cat", "concat", (), ("part of conv", "part of conv"))
    assert trace.tensors[trace.layers[-1].output].parts == ()


@pytest.mark.parametrize(
    ("conv", "kernel", "ofm"),
    [
        (nn.Conv2d(8, 8, 3, padding=1, groups=8), (8, 1, 3, 3), (8, 10, 9)),
        (nn.Conv2d(8, 6, (3, 1), groups=2), (6, 4, 3, 1), (6, 8, 9)),
        (nn.Conv2d(8, 4, 3, padding=2, dilation=(2, 1)), (4, 8, 3, 3), (4, 10, 11)),
        (nn.Conv2d(8, 4, (3, 5), padding="same"), (4, 8, 3, 5), (4, 10, 9)),
    ],
)
def test_kinds_of_convolution(conv, kernel, ofm):
    [layer] = shapes(conv, 8, 10, 9).layers
    assert (layer.name, layer.operator, layer.kernel, layer.ofm) == ("conv", "conv", kernel, ofm)
    assert (layer.stride, layer.dilation, layer.groups) == (conv.stride, conv.dilation, conv.groups)
    assert layer.macs == conv.weight.numel() * ofm[1] * ofm[2]


def test_transposed_convolution():
    [layer] = shapes(nn.ConvTranspose2d(8, 6, 3, stride=2, padding=1, output_padding=1, groups=2), 8, 5, 4).layers
    assert (layer.operator, layer.ifm, layer.ofm) == ("conv_transpose", (8, 5, 4), (6, 10, 8))
    assert (layer.kernel, layer.groups, layer.padding) == ((6, 4, 3, 3), 2, (1, 1, 1, 1))
    assert layer.macs == 8 * 3 * 9 * 5 * 4


def test_one_dimensional_convolution_lies_in_a_row():
    [layer] = shapes(nn.Conv1d(4, 6, 3, stride=2, padding=1), 4, 10).layers  # type: ignore[arg-type]
    assert (layer.ifm, layer.ofm, layer.kernel) == ((4, 1, 10), (6, 1, 5), (6, 4, 1, 3))
    assert (layer.stride, layer.padding) == ((1, 2), (0, 1, 0, 1))


def test_asymmetric_padding_becomes_the_convolutions():
    def forward(net, x):
        return net.pool(net.conv(F.pad(x, (0, 1, 2, 3))))

    net = Functional(forward, conv=nn.Conv2d(3, 4, 3, padding=1), pool=nn.MaxPool2d(3, 2, ceil_mode=True))
    conv, pool = shapes(net, 3, 8, 8).layers
    assert (conv.ifm, conv.ofm, conv.padding) == ((3, 8, 8), (4, 13, 9), (3, 1, 4, 2))
    assert (pool.operator, pool.window, pool.stride, pool.padding) == ("max_pool", (3, 3), (2, 2), (0, 0, 0, 0))


def test_padding_that_something_else_reads_is_an_operator():
    def forward(net, x):
        y = F.pad(x, (1, 1, 1, 1))
        return net.conv(y) + y

    assert summary(shapes(Functional(forward, conv=nn.Conv2d(3, 3, 1)), 3, 4, 4)) == [
        ("pad", "pad", (), ("input",)),
        ("conv", "conv", (), ("pad",)),
        ("add", "add", (), ("conv", "pad")),
    ]


@pytest.mark.parametrize("mode", ["reflect", "replicate"])
def test_padding_with_something_else_than_zero_is_an_operator(mode):
    net = nn.Conv2d(3, 4, 3, padding=1, padding_mode=mode)
    assert [layer.operator for layer in shapes(net, 3, 5, 5).layers] == ["pad", "conv"]


def test_functional_convolution_in_a_container():
    weight = torch.randn(4, 3, 3, 3)
    net = Functional(lambda net, x: net.act(F.conv2d(F.conv2d(x, weight), torch.randn(2, 4, 1, 1))), act=nn.ReLU())
    assert summary(shapes(net, 3, 6, 6)) == [("conv", "conv", (), ("input",)), ("conv#2", "conv", ("relu",), ("conv",))]


def test_a_module_used_twice_gives_two_layers():
    net = Functional(lambda net, x: net.conv(net.conv(x)), conv=nn.Conv2d(3, 3, 1))
    assert [layer.name for layer in shapes(net, 3, 4, 4).layers] == ["conv", "conv#2"]


def test_names_stay_unique_beside_a_module_called_add():
    net = Functional(lambda net, x: net.add(x) + x, add=nn.Conv2d(3, 3, 1))
    assert [layer.name for layer in shapes(net, 3, 4, 4).layers] == ["add", "add#2"]


def test_flatten_keeps_the_tensor():
    net = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Flatten(), nn.Dropout(), nn.Linear(72, 5))
    trace = shapes(net, 3, 5, 5)
    assert len(trace.tensors) == 3
    assert trace.tensors[1].shape == (8, 3, 3)
    assert (trace.layers[1].ifm, trace.layers[1].kernel) == ((72, 1, 1), (5, 72, 1, 1))


@pytest.mark.parametrize(
    "pool",
    [
        lambda x: x.mean((2, 3)),
        lambda x: F.adaptive_avg_pool2d(x, 1).flatten(1),
        lambda x: x.mean((-1, -2), keepdim=True),
    ],
)
def test_global_average_pooling(pool):
    [layer] = shapes(Functional(lambda net, x: pool(x)), 6, 5, 4).layers
    assert (layer.operator, layer.ifm, layer.ofm, layer.window) == ("global_average_pool", (6, 5, 4), (6, 1, 1), (5, 4))


def test_pooling_keeps_window_stride_and_padding():
    net = nn.Sequential(nn.AvgPool2d(3, 2, padding=1), nn.MaxPool2d(2, ceil_mode=True), nn.AdaptiveAvgPool2d(2))
    average, largest, adaptive = shapes(net, 4, 13, 13).layers
    assert (average.window, average.stride, average.padding, average.ofm) == ((3, 3), (2, 2), (1, 1, 1, 1), (4, 7, 7))
    assert (largest.window, largest.padding, largest.ofm) == ((2, 2), (0, 0, 1, 1), (4, 4, 4))
    assert (adaptive.operator, adaptive.window, adaptive.stride) == ("average_pool", (2, 2), (2, 2))


def test_squeeze_and_excitation_reads_the_small_factor_as_it_is():
    def forward(net, x):
        y = net.conv(x)
        factor = torch.sigmoid(net.up(F.relu(net.down(y.mean((2, 3), keepdim=True)))))
        return y * factor.expand_as(y)

    net = Functional(forward, conv=nn.Conv2d(3, 8, 1), down=nn.Conv2d(8, 2, 1), up=nn.Conv2d(2, 8, 1))
    trace = shapes(net, 3, 5, 5)
    assert summary(trace) == [
        ("conv", "conv", (), ("input",)),
        ("global_average_pool", "global_average_pool", (), ("conv",)),
        ("down", "conv", ("relu",), ("global_average_pool",)),
        ("up", "conv", ("sigmoid",), ("down",)),
        ("mul", "multiply", (), ("conv", "up")),
    ]
    assert trace.layers[-1].ifm == (8, 5, 5)


@pytest.mark.parametrize(
    ("activation", "label"),
    [
        (nn.ReLU6(), "relu6"),
        (nn.LeakyReLU(0.1), "leaky_relu"),
        (nn.GELU(), "gelu"),
        (nn.SiLU(), "silu"),
        (nn.Hardswish(), "hardswish"),
        (nn.PReLU(), "prelu"),
        (nn.Hardtanh(), "hardtanh"),
        (nn.Sigmoid(), "sigmoid"),
        (nn.Tanh(), "tanh"),
    ],
)
def test_activations_are_folded_by_name(activation, label):
    assert summary(shapes(nn.Sequential(nn.Conv2d(3, 4, 1), activation), 3, 4, 4)) == [
        ("0", "conv", (label,), ("input",))
    ]


def test_constants_fold_but_a_second_feature_map_does_not():
    def forward(net, x):
        y = (net.conv(x) * 2 + net.shift) / 3
        return y - x

    net = Functional(forward, conv=nn.Conv2d(3, 3, 1))
    net.shift = nn.Parameter(torch.ones(3, 1, 1))
    assert summary(shapes(net, 3, 4, 4)) == [
        ("conv", "conv", ("scale", "add_constant", "scale"), ("input",)),
        ("sub", "subtract", (), ("conv", "input")),
    ]


def test_an_operator_outside_the_table_is_recorded_and_reported():
    trace = shapes(Functional(lambda net, x: net.conv(torch.cumsum(x, 2)), conv=nn.Conv2d(3, 4, 1)), 3, 4, 5)
    assert (trace.layers[0].operator, trace.layers[0].ifm, trace.layers[0].ofm) == ("cumsum", (3, 4, 5), (3, 4, 5))
    assert trace.provenance["unrecognised_operators"] == ["cumsum"]
    assert trace.layers[1].inputs == (trace.layers[0].output,)


def test_unknown_elementwise_operators_need_no_warning():
    trace = shapes(Functional(lambda net, x: net.conv(torch.erf(x)), conv=nn.Conv2d(3, 4, 1)), 3, 4, 5)
    assert (trace.layers[0].operator, trace.layers[0].fused) == ("elementwise", ("erf",))
    assert trace.provenance["unrecognised_operators"] == []


def test_operators_on_constants_alone_are_no_layers():
    def forward(net, x):
        weight = net.conv.weight / net.conv.weight.norm()
        return F.conv2d(x, weight) + torch.zeros(4, 1, 1).exp()

    trace = shapes(Functional(forward, conv=nn.Conv2d(3, 4, 1)), 3, 4, 4)
    assert summary(trace) == [("conv", "conv", ("add_constant",), ("input",))]


@pytest.mark.parametrize("batch_first", [True, False])
@pytest.mark.parametrize("need_weights", [True, False])
def test_multi_head_attention(batch_first, need_weights):
    def forward(net, x):
        tokens = x.flatten(2).transpose(1, 2)
        tokens = tokens if batch_first else tokens.transpose(0, 1)
        return net.attention(tokens, tokens, tokens, need_weights=need_weights)[0]

    net = Functional(forward, attention=nn.MultiheadAttention(8, 2, batch_first=batch_first))
    trace = shapes(net, 8, 3, 4)
    assert summary(trace)[:5] == [
        ("attention.linear", "linear", (), ("input",)),
        ("attention.matmul", "matmul", ("scale",), ("part of attention.linear",) * 2),
        ("attention.softmax", "softmax", (), ("attention.matmul",)),
        ("attention.matmul#2", "matmul", (), ("attention.softmax", "part of attention.linear")),
        ("attention.linear#2", "linear", (), ("attention.matmul#2",)),
    ]
    project, scores, softmax, mixed, out = trace.layers[:5]
    assert (project.ifm, project.ofm, project.kernel) == ((8, 12, 1), (24, 12, 1), (24, 8, 1, 1))
    assert (scores.ifm, scores.ofm, scores.kernel, scores.groups) == ((8, 12, 1), (24, 12, 1), (24, 4, 1, 1), 2)
    assert (mixed.ifm, mixed.ofm, mixed.kernel, mixed.groups) == ((24, 12, 1), (8, 12, 1), (8, 12, 1, 1), 2)
    assert (softmax.ifm, out.ifm) == ((24, 12, 1), (8, 12, 1))
    assert scores.macs == mixed.macs == 8 * 12 * 12


def test_separate_projections_are_read_without_a_copy_where_the_order_agrees():
    """Of Q, K and V as (D, T, 1), Q and V lie as the products read them; K is read along its other axis."""

    def forward(net, x):
        q, k, v = (
            part(x.flatten(2).transpose(1, 2)).unflatten(2, (2, 4)).transpose(1, 2) for part in (net.q, net.k, net.v)
        )
        mixed = torch.softmax(q @ k.transpose(2, 3) / 2, 3) @ v
        return net.out(mixed.transpose(1, 2).flatten(2))

    net = Functional(forward, q=nn.Linear(8, 8), k=nn.Linear(8, 8), v=nn.Linear(8, 8), out=nn.Linear(8, 8))
    assert summary(shapes(net, 8, 3, 4)) == [
        ("q", "linear", (), ("input",)),
        ("k", "linear", (), ("input",)),
        ("v", "linear", (), ("input",)),
        ("matmul", "matmul", ("scale",), ("q", "part of k")),
        ("softmax", "softmax", (), ("matmul",)),
        ("matmul#2", "matmul", (), ("softmax", "v")),
        ("out", "linear", (), ("matmul#2",)),
    ]


def test_channels_last_block_needs_no_permuted_copies():
    def forward(net, x):
        y = net.depthwise(x).permute(0, 2, 3, 1)
        y = net.shrink(F.gelu(net.grow(net.norm(y)))) * net.scale
        return x + y.permute(0, 3, 1, 2)

    net = Functional(
        forward,
        depthwise=nn.Conv2d(8, 8, 3, padding=1, groups=8),
        norm=nn.LayerNorm(8),
        grow=nn.Linear(8, 16),
        shrink=nn.Linear(16, 8),
    )
    net.scale = nn.Parameter(torch.ones(8))
    trace = shapes(net, 8, 3, 4)
    assert summary(trace) == [
        ("depthwise", "conv", (), ("input",)),
        ("norm", "layer_norm", (), ("depthwise",)),
        ("grow", "linear", ("gelu",), ("norm",)),
        ("shrink", "linear", ("scale",), ("grow",)),
        ("add", "add", (), ("input", "shrink")),
    ]
    assert all(tensor.source is None for tensor in trace.tensors)
    assert trace.tensors[-1].shape == (8, 3, 4)


def test_chunks_are_parts_of_their_tensor():
    def forward(net, x):
        a, b = net.conv(x).chunk(2, 1)
        return net.left(a) + net.left(b)

    trace = shapes(Functional(forward, conv=nn.Conv2d(3, 8, 1), left=nn.Conv2d(4, 4, 1)), 3, 5, 5)
    assert summary(trace) == [
        ("conv", "conv", (), ("input",)),
        ("left", "conv", (), ("part of conv",)),
        ("left#2", "conv", (), ("part of conv",)),
        ("add", "add", (), ("left", "left#2")),
    ]
    assert [tensor.shape for tensor in trace.tensors if tensor.source is not None] == [(4, 5, 5)] * 2


def test_two_readers_of_the_same_part_share_it():
    def forward(net, x):
        part = net.conv(x)[:, :4]
        return net.left(part) + net.right(part)

    net = Functional(forward, conv=nn.Conv2d(3, 8, 1), left=nn.Conv2d(4, 4, 1), right=nn.Conv2d(4, 4, 1))
    trace = shapes(net, 3, 5, 5)
    assert trace.layer("left").inputs == trace.layer("right").inputs


def test_class_token_and_position():
    def forward(net, x):
        tokens = torch.cat([net.token.expand(len(x), -1, -1), x.flatten(2).transpose(1, 2)], 1) + net.position
        return net.head(net.norm(tokens)[:, 0])

    net = Functional(forward, norm=nn.LayerNorm(8), head=nn.Linear(8, 5))
    net.token, net.position = nn.Parameter(torch.zeros(1, 1, 8)), nn.Parameter(torch.zeros(1, 13, 8))
    trace = shapes(net, 8, 3, 4)
    assert summary(trace) == [
        ("cat", "concat", (), ("input",)),
        ("add", "add", (), ("cat",)),
        ("norm", "layer_norm", (), ("add",)),
        ("head", "linear", (), ("part of norm",)),
    ]
    assert [layer.ofm for layer in trace.layers] == [(8, 13, 1), (8, 13, 1), (8, 13, 1), (5, 1, 1)]


def test_upsampling_instance_norm_and_embedding():
    net = nn.Sequential(nn.Upsample(scale_factor=2), nn.InstanceNorm2d(3), nn.GroupNorm(1, 3))
    assert [(layer.operator, layer.ofm) for layer in shapes(net, 3, 4, 5).layers] == [
        ("upsample", (3, 8, 10)),
        ("normalisation", (3, 8, 10)),
        ("normalisation", (3, 8, 10)),
    ]
    words = nn.Sequential(nn.Embedding(10, 6), nn.Linear(6, 4))
    trace = extract(words, torch.randint(0, 10, (3, 7)), name="words")
    assert [(layer.operator, layer.ofm) for layer in trace.layers] == [("embedding", (6, 7, 1)), ("linear", (4, 7, 1))]


def test_frames_merged_into_the_batch_stay_with_their_image():
    """[N, T, C, H, W] run as N·T images: one image has the frames below each other, and T times the work."""

    def forward(net, x):
        n, c, t, h, w = x.shape
        y = net.conv(x.transpose(1, 2).reshape(n * t, c, h, w))
        return net.fc(y.mean((2, 3)).view(n, t, -1).mean(1))

    trace = extract(
        Functional(forward, conv=nn.Conv2d(3, 4, 3), fc=nn.Linear(4, 2)), torch.randn(2, 3, 5, 6, 6), name="v"
    )
    assert (trace.layers[0].ifm, trace.layers[0].ofm) == ((3, 30, 6), (4, 20, 4))
    assert trace.layers[0].macs == 5 * 4 * 4 * 4 * 27


def test_tensors_made_under_inference_mode_give_the_same_graph():
    with torch.inference_mode():
        net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(36, 5))
        images = torch.randn(2, 3, 5, 5)
        trace = extract(net, images, name="net")
    assert summary(trace) == [("0", "conv", ("batch_norm", "relu"), ("input",)), ("4", "linear", (), ("0",))]


@pytest.mark.parametrize(
    ("net", "message"),
    [
        (Functional(lambda net, x: x - x.mean(0)), "operator 'mean' combines the images of a batch"),
        (
            Functional(lambda net, x: net.fc(x.flatten(1)), fc=nn.Linear(7, 2)),
            r"fails on an input of shape \[2, 3, 4, 4\]",
        ),
        (Functional(lambda net, x: x), "runs no operator"),
        (
            Functional(lambda net, x: net.missing(x)),
            r"on an input of shape \[2, 3, 4, 4\]: AttributeError: .*'missing' \(test_extract_graph.py, line \d+\)",
        ),
        (Functional(lambda net, x: {}["logits"]), r"KeyError: 'logits' \(test_extract_graph.py, line \d+\)"),
        (
            Functional(lambda net, x: net.lstm(x.flatten(2))[0], lstm=nn.LSTM(16, 8)),
            r"weights \[32, 16\], which is not modelled \(as recurrent layers are not\)",
        ),
    ],
)
def test_networks_that_cannot_be_recorded(net, message):
    with pytest.raises(InputError, match=message):
        shapes(net, 3, 4, 4)


def test_writing_into_a_part_in_place_is_refused():
    def forward(net, x):
        y = net.conv(x)
        y[:, :2] += 1
        return y

    def into_buffer(net, x):
        y = torch.zeros(len(x), 6, 4, 4)
        y[:, :4] = net.conv(x)
        return y

    with pytest.raises(InputError, match="operator 'add' writes into a part"):
        shapes(Functional(forward, conv=nn.Conv2d(3, 4, 1)), 3, 4, 4)
    with pytest.raises(InputError, match="writes a feature map into a part of a buffer"):
        shapes(Functional(into_buffer, conv=nn.Conv2d(3, 4, 1)), 3, 4, 4)


def test_the_model_is_left_as_it_was():
    net = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4), nn.Dropout())
    net[1].eval()
    statistics = net[1].running_mean.clone()
    extract(net, torch.randn(2, 3, 4, 4), name="net")
    assert [module.training for module in net] == [True, False, True]
    assert net.training
    assert torch.equal(net[1].running_mean, statistics)
    assert not net[0]._forward_hooks
    assert not net[0]._forward_pre_hooks
    assert torch.backends.mha.get_fastpath_enabled()
