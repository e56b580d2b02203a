"""What the recorder stores, against the feature maps themselves taken by forward hooks."""

import gc
from unittest import mock

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from simulator.errors import InputError
from simulator.extract import packer as packer_module
from simulator.extract.extract import extract
from simulator.extract.layout import Layout, as_strided, inverse
from simulator.extract.packer import MapPacker
from simulator.trace import zero_map
from simulator.trace.trace import Trace, load_trace

torch.set_num_threads(1)


class Functional(nn.Module):
    def __init__(self, function, **modules: nn.Module) -> None:
        super().__init__()
        self.function = function
        for name, module in modules.items():
            self.add_module(name, module)

    def forward(self, x):
        return self.function(self, x)


def with_small_whole_weights(model: nn.Module) -> nn.Module:
    """Weights of -1, 0 and 1: sums are exact in any order, and many are zero."""
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(torch.randint(-1, 2, parameter.shape))
    return model.eval()


def small_whole_numbers(*shape: int) -> torch.Tensor:
    return torch.randint(-1, 2, shape).float()


def zeros(trace: Trace, layer: str, operand: str) -> np.ndarray:
    return np.stack([trace.zeros(layer, image, operand) for image in range(trace.image_count)])


def assert_recorded(trace: Trace, layer: str, maps: torch.Tensor, operand: str = "ofm") -> None:
    """The zero-map of a layer's operand is that of `maps` [N, C, H, W]; counts and maxima belong to it."""
    assert np.array_equal(zeros(trace, layer, operand), (maps == 0).numpy())
    if operand == "ofm":
        tensor = trace.layer(layer).output
        for image in range(trace.image_count):
            counts = trace.nonzeros_per_channel(tensor, image)
            assert counts.tolist() == (maps[image] != 0).sum((1, 2)).tolist()
        if not trace.tensors[tensor].parts:
            maxima = torch.from_numpy(trace.arrays.read_all(f"max/{tensor}"))
            assert torch.equal(maxima, maps.abs().amax((2, 3)))


def outputs_of(model: nn.Module, images: torch.Tensor, *names: str) -> dict[str, torch.Tensor]:
    """What modules return, copied before anything can change it in place."""
    taken: dict[str, torch.Tensor] = {}
    hooks = [
        model.get_submodule(name).register_forward_hook(
            lambda _, __, result, name=name: taken.update({name: result.clone()})
        )
        for name in names
    ]
    with torch.no_grad():
        model(images)
    for hook in hooks:
        hook.remove()
    return taken


class Residual(nn.Module):
    """Convolutions, a residual connection, concatenation, pooling and two linear layers."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.relu1 = nn.Conv2d(3, 6, 3, padding=1), nn.ReLU(inplace=True)
        self.conv2, self.relu2 = nn.Conv2d(6, 6, 3, padding=1, groups=3), nn.ReLU()
        self.side = nn.Conv2d(6, 4, 1)
        self.pool = nn.MaxPool2d(3, 2, ceil_mode=True)
        self.fc1, self.relu3, self.fc2 = nn.Linear(120, 12), nn.ReLU(), nn.Linear(12, 7)

    def forward(self, x):
        y = self.relu1(self.conv1(x))
        y = self.relu2(self.conv2(y) + y)
        y = self.pool(torch.cat([y, self.side(y)], 1))
        return self.fc2(self.relu3(self.fc1(y.flatten(1))))


def test_zero_maps_of_a_residual_network_equal_its_feature_maps():
    torch.manual_seed(1)
    model, images = with_small_whole_weights(Residual()), small_whole_numbers(5, 3, 7, 9)
    trace = extract(model, [images[:2], images[2:4], images[4:]], name="net")
    assert trace.image_count == 5
    seen = outputs_of(model, images, "relu1", "relu2", "side", "pool", "relu3", "fc2")
    assert_recorded(trace, "conv1", seen["relu1"])
    assert_recorded(trace, "conv1", images, "ifm")
    assert_recorded(trace, "add", seen["relu2"])
    assert_recorded(trace, "side", seen["side"])
    assert_recorded(trace, "cat", torch.cat([seen["relu2"], seen["side"]], 1))
    assert_recorded(trace, "pool", seen["pool"])
    assert_recorded(trace, "fc1", seen["pool"].reshape(5, 120, 1, 1), "ifm")
    assert_recorded(trace, "fc1", seen["relu3"].reshape(5, 12, 1, 1))
    assert_recorded(trace, "fc2", seen["fc2"].reshape(5, 7, 1, 1))
    for layer in ("conv1", "conv2", "fc1"):
        weight = model.get_submodule(layer).weight
        assert np.array_equal(trace.zeros(layer, operand="kernel").squeeze(), (weight == 0).numpy().squeeze())


class Attention(nn.Module):
    """One attention block on the pixels of an image, in PyTorch's own order or its transpose."""

    def __init__(self, batch_first: bool) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(8, 2, batch_first=batch_first)
        self.grow, self.act = nn.Linear(8, 12), nn.ReLU()
        self.batch_first = batch_first

    def forward(self, x):
        y = x.flatten(2).transpose(1, 2)
        y = y if self.batch_first else y.transpose(0, 1)
        y = y + self.attention(y, y, y, need_weights=False)[0]
        return self.act(self.grow(y)).mean(1 if self.batch_first else 0)


@pytest.mark.parametrize("batch_first", [True, False])
@pytest.mark.parametrize("batch", [1, 2, 3])
def test_zero_maps_of_attention_equal_its_matrices(batch_first, batch):
    torch.manual_seed(2)
    model, images = with_small_whole_weights(Attention(batch_first)), small_whole_numbers(3, 8, 3, 2)
    trace = extract(model, list(images.split(batch)), name="net")
    tokens = images.flatten(2).transpose(1, 2)  # [N, T, D]
    weight, bias = model.attention.in_proj_weight, model.attention.in_proj_bias
    qkv = F.linear(tokens, weight, bias)
    q, k, v = (part.unflatten(2, (2, 4)).transpose(1, 2) for part in qkv.chunk(3, 2))  # [N, heads, T, d]
    assert_recorded(trace, "attention.linear", tokens.transpose(1, 2)[..., None], "ifm")
    assert_recorded(trace, "attention.linear", qkv.transpose(1, 2)[..., None].detach())
    assert_recorded(trace, "attention.matmul", q.transpose(2, 3).reshape(3, 8, 6, 1), "ifm")
    for image in range(3):
        right = (k[image] == 0).reshape(12, 4, 1, 1)  # kernel [heads · columns, inner]
        assert np.array_equal(trace.zeros("attention.matmul", image, "kernel"), right.numpy())
        right = (v[image].transpose(1, 2) == 0).reshape(8, 6, 1, 1)
        assert np.array_equal(trace.zeros("attention.matmul#2", image, "kernel"), right.numpy())
    scores = q @ k.transpose(2, 3)
    assert_recorded_zeros = (scores.transpose(2, 3).reshape(3, 12, 6, 1) == 0).numpy()
    assert np.array_equal(zeros(trace, "attention.matmul", "ofm"), assert_recorded_zeros)
    with torch.no_grad():
        mixed = tokens + model.attention(tokens, tokens, tokens)[0] if batch_first else None
        if mixed is not None:
            grown = model.act(model.grow(mixed)).transpose(1, 2)[..., None]
            assert np.array_equal(zeros(trace, "grow", "ofm"), (grown == 0).numpy())


def test_parts_and_permutations_have_maps_of_their_own():
    """Strided, permuted, flipped, shuffled and cut-out readings hold what the convolution behind them reads."""
    readings = {
        "slice": lambda y: y[:, 1:5, ::2, 1:],
        "transpose": lambda y: y.transpose(2, 3),
        "flip": lambda y: y.flip(3),
        "shuffle": lambda y: F.channel_shuffle(y, 2),
        "unshuffle": lambda y: F.pixel_unshuffle(y, 2),
        "roll": lambda y: y.roll(1, 2),
        "repeat": lambda y: y[:, :1].expand(-1, 3, -1, -1),
    }
    torch.manual_seed(3)
    images = small_whole_numbers(3, 3, 6, 6)
    for name, read in readings.items():
        channels = read(torch.zeros(1, 6, 6, 6)).shape[1]
        net = Functional(
            lambda net, x, read=read: net.last(read(net.first(x))),
            first=nn.Conv2d(3, 6, 1),
            last=nn.Conv2d(channels, 2, 1),
        )
        model = with_small_whole_weights(net)
        trace = extract(model, images, name=name)
        assert_recorded(trace, "last", read(model.first(images)).detach(), "ifm")
        source = trace.tensors[trace.layer("last").inputs[0]].source
        assert source == trace.layer("first").output, name


def test_frames_and_windows_merged_into_the_batch():
    torch.manual_seed(4)

    def windows(x):
        n, c, h, w = x.shape
        return x.view(n, c, h // 2, 2, w // 3, 3).permute(0, 2, 4, 3, 5, 1).reshape(-1, 6, c)

    net = Functional(
        lambda net, x: net.second(F.relu(net.first(windows(x)))), first=nn.Linear(4, 5), second=nn.Linear(5, 2)
    )
    model, images = with_small_whole_weights(net), small_whole_numbers(3, 4, 4, 6)
    trace = extract(model, images, name="windows")
    tokens = windows(images).reshape(3, 24, 4)
    assert_recorded(trace, "first", tokens.transpose(1, 2)[..., None], "ifm")
    assert_recorded(trace, "first", F.relu(model.first(tokens)).transpose(1, 2)[..., None].detach())


def test_grouped_transposed_kernel_map():
    torch.manual_seed(5)
    model = with_small_whole_weights(nn.ConvTranspose2d(4, 6, 3, groups=2, bias=False))
    trace = extract(model, small_whole_numbers(2, 4, 3, 3), name="net")
    kernel = torch.cat([model.weight[:2].transpose(0, 1), model.weight[2:].transpose(0, 1)])
    assert np.array_equal(trace.zeros("conv_transpose", operand="kernel"), (kernel == 0).numpy())


def test_minus_zero_is_zero_and_nan_is_not():
    maps = torch.tensor([[[[-0.0, 0.0, float("nan")]], [[1.0, -3.0, 2.0]]]])
    packed, nonzero, maximum = MapPacker().pack(maps)
    assert zero_map.unpack(packed, 1, 3)[0, 0].tolist() == [[False, False, True]]
    assert nonzero.tolist() == [[1, 3]]
    assert maximum[0, 1] == 3.0
    assert np.isnan(maximum[0, 0])


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_packing_equals_the_plain_definition(data):
    shape = tuple(data.draw(st.integers(1, limit)) for limit in (3, 4, 5, 9))
    dtype = data.draw(st.sampled_from([torch.float32, torch.bfloat16, torch.int64, torch.bool]))
    maps = torch.randint(-1, 2, shape).to(dtype)
    with mock.patch.object(torch, "get_num_threads", return_value=data.draw(st.sampled_from([1, 2]))):
        packer = MapPacker()
    packer.pack(torch.ones(3, 4, 5, 9))
    with mock.patch.object(packer_module, "AT_A_TIME_BYTES", data.draw(st.sampled_from([1, 1 << 19]))):
        packed, nonzero, maximum = packer.pack(maps)
    assert np.array_equal(packed, zero_map.pack((maps != 0).numpy()))
    assert np.array_equal(nonzero, (maps != 0).sum((2, 3)).numpy())
    assert np.array_equal(maximum, maps.float().abs().amax((2, 3)).numpy())
    assert (packed.dtype, nonzero.dtype, maximum.dtype) == (np.uint8, np.uint32, np.float32)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_strided_form_reads_the_same_elements(data):
    sizes = data.draw(st.lists(st.integers(1, 4), min_size=1, max_size=4))
    whole = torch.arange(int(np.prod(sizes)), dtype=torch.int32).view(sizes)
    index = whole.permute(data.draw(st.permutations(range(len(sizes)))))
    index = index[: data.draw(st.integers(1, index.shape[0]))].reshape(-1)
    strided = as_strided(index)
    assert strided is not None
    rebuilt = whole.reshape(-1).as_strided(strided.sizes, strided.strides, strided.offset)
    assert torch.equal(rebuilt.reshape(-1), index)


def test_orders_without_a_strided_form_are_gathered():
    order = torch.tensor([5, 0, 3, 1, 4, 2], dtype=torch.int32)
    assert as_strided(order) is None
    layout = Layout((2, 3, 1), 6, 6, order)
    raw = torch.arange(12).view(2, 6)
    assert layout.read(raw).flatten(1).tolist() == [[5, 0, 3, 1, 4, 2], [11, 6, 9, 7, 10, 8]]
    assert inverse(order)[order.long()].tolist() == list(range(6))


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_erasing_clears_exactly_what_reading_shows(data):
    outer, images, inner = (data.draw(st.integers(1, limit)) for limit in (3, 4, 6))
    elements = outer * inner
    order = torch.tensor(data.draw(st.permutations(range(elements))), dtype=torch.int32)
    layout = Layout((elements, 1, 1), elements, inner, data.draw(st.sampled_from([None, order])))
    raw = torch.arange(1, outer * images * inner + 1).view(outer, images, inner)
    before = layout.read(raw).clone()
    mask = torch.rand(images, elements, 1, 1) < 0.5
    layout.erase(raw, mask)
    assert torch.equal(layout.read(raw), before.masked_fill(mask, 0))


def test_tensors_without_zeros_store_no_map(tmp_path):
    net = nn.Sequential(nn.Conv2d(3, 4, 1), nn.Sigmoid(), nn.Conv2d(4, 5, 1), nn.ReLU())
    with torch.no_grad():
        net[2].weight[0], net[2].bias[0] = -1, -1  # one feature map that ReLU makes zero for certain
    trace = extract(net, torch.rand(3, 3, 4, 4) + 1, name="net", out=tmp_path / "net")
    assert [tensor.zero_free for tensor in trace.tensors] == [True, True, False]
    assert [trace.arrays.shape(f"map/{index}") for index in range(3)] == [None, None, (3, 5, 2)]
    assert trace.arrays.shape("kernel/0") is None
    assert not trace.zeros("2", 1).any()


def test_the_file_holds_what_memory_holds(tmp_path):
    torch.manual_seed(6)
    model, images = with_small_whole_weights(Residual()), small_whole_numbers(4, 3, 7, 9)
    in_memory = extract(model, images, name="net")
    in_file = extract(model, iter(images.split(3)), name="net", out=tmp_path / "deep" / "net.trace.safetensors")
    assert in_file.graph() == in_memory.graph() == load_trace(tmp_path / "deep" / "net.trace.safetensors").graph()
    for layer in in_memory.layers:
        for operand in ("ifm", "ofm"):
            assert np.array_equal(zeros(in_file, layer.name, operand), zeros(in_memory, layer.name, operand))
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["net.trace.safetensors"]
    assert (
        in_memory.save(tmp_path / "saved").stat().st_size
        == (tmp_path / "deep" / "net.trace.safetensors").stat().st_size
    )


@pytest.mark.parametrize("error", [KeyboardInterrupt, ZeroDivisionError])
def test_an_interrupt_leaves_nothing(tmp_path, error):
    def batches():
        yield torch.randn(2, 3, 7, 9)
        assert not list(tmp_path.glob("*.trace.safetensors"))
        raise error

    model = Residual().train()
    with pytest.raises(error):
        extract(model, batches(), name="net", out=tmp_path / "net")
    assert list(tmp_path.iterdir()) == []
    assert model.training


def test_an_existing_trace_survives_a_failed_run(tmp_path):
    model = Residual()
    extract(model, torch.randn(2, 3, 7, 9), name="net", out=tmp_path / "net")
    with pytest.raises(InputError):
        extract(model, [torch.randn(2, 3, 7, 9), torch.randn(2, 3, 8, 9)], name="net", out=tmp_path / "net")
    assert load_trace(tmp_path / "net.trace.safetensors").image_count == 2


def test_no_activation_outlives_its_use():
    """The arrays grow with the number of images, the number of live feature maps does not."""
    live = []

    def batches():
        for _ in range(5):
            gc.collect()
            live.append(sum(type(item) is torch.Tensor and item.dim() == 4 for item in gc.get_objects()))
            yield torch.randn(2, 3, 7, 9)

    extract(Residual(), batches(), name="net")
    assert live[4] <= live[3] <= live[2], live


@pytest.mark.parametrize("later", [torch.ones(2, 3, 4, 4), -torch.ones(2, 3, 4, 4)])
def test_control_flow_that_depends_on_the_input_is_refused(later):
    def forward(net, x):
        y = net.conv(x)
        return F.relu(y) if x.sum() > 0 else torch.sigmoid(y)

    net = Functional(forward, conv=nn.Conv2d(3, 4, 1))
    with pytest.raises(InputError, match="control flow depends on the input"):
        extract(net, [-later, later], name="net")


def test_stopping_early_or_going_on_is_refused():
    def forward(net, x):
        y = net.conv(x)
        return F.relu(y) if float(x.sum()) > 0 else y

    net, ones = Functional(forward, conv=nn.Conv2d(3, 4, 1)), torch.ones(2, 3, 4, 4)
    with pytest.raises(InputError, match="stops early"):
        extract(net, [ones, -ones], name="net")
    with pytest.raises(InputError, match=r"goes on with 'aten\.relu\.default'"):
        extract(net, [-ones, ones], name="net")


def test_images_of_another_size_are_refused():
    with pytest.raises(InputError, match="all images need the same size"):
        extract(nn.Conv2d(3, 4, 1), [torch.ones(2, 3, 4, 4), torch.ones(2, 3, 5, 4)], name="net")


def test_channels_last_memory_changes_nothing():
    torch.manual_seed(7)
    model, images = with_small_whole_weights(Residual()), small_whole_numbers(3, 3, 7, 9)
    plain = extract(model, images, name="net", epsilon=1.0)
    turned = extract(
        model.to(memory_format=torch.channels_last),
        images.to(memory_format=torch.channels_last),
        name="net",
        epsilon=1.0,
    )
    for layer in plain.layers:
        assert np.array_equal(zeros(plain, layer.name, "ofm"), zeros(turned, layer.name, "ofm"))


def test_half_precision_network():
    net = nn.Sequential(nn.Conv2d(3, 4, 1), nn.ReLU()).to(torch.bfloat16)
    images = torch.randn(2, 3, 4, 4)
    trace = extract(net, images, name="net")
    with torch.no_grad():
        assert_recorded(trace, "0", net(images.to(torch.bfloat16)).float())
