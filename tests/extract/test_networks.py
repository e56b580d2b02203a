import importlib
import sys
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from simulator.errors import InputError
from simulator.extract.networks import registry
from simulator.extract.networks.alexnet import AlexNet
from simulator.extract.networks.blocks import PoolTo, he_initialised
from simulator.extract.networks.cifar_resnet import PadShortcut
from simulator.extract.networks.paper import (
    CentreCrop,
    DarknetMaxPool,
    DarknetShortcut,
    PaperNetwork,
    paper_layers,
)
from simulator.extract.networks.registry import network_names, network_spec

torch.set_num_threads(1)

PARAMETERS = {
    "alexnet": 61_100_840,
    "bvlc_alexnet": 60_965_224,
    "vgg16": 138_357_544,
    "resnet18": 11_689_512,
    "resnet50": 25_557_032,
    "squeezenet1_0": 1_248_424,
    "squeezenet1_1": 1_235_496,
    "mobilenet_v2": 3_504_872,
    "mobilenet_v1": 4_231_976,
    "cifar_resnet20": 269_722,
    "cifar_resnet56": 853_018,
    "tinynet": 1_042_104,
}

# Entries of the well-known checkpoints: how many, and some names with their shapes.
STATE = {
    "alexnet": (16, {"features.3.weight": [192, 64, 5, 5], "classifier.1.weight": [4096, 9216]}),
    "bvlc_alexnet": (16, {"conv2.weight": [256, 48, 5, 5], "conv5.bias": [256], "fc6.weight": [4096, 9216]}),
    "vgg16": (32, {"features.28.bias": [512], "classifier.0.weight": [4096, 25088], "classifier.6.bias": [1000]}),
    "resnet18": (
        122,
        {
            "conv1.weight": [64, 3, 7, 7],
            "bn1.num_batches_tracked": [],
            "layer2.0.downsample.0.weight": [128, 64, 1, 1],
            "layer2.0.downsample.1.running_var": [128],
            "layer4.1.conv2.weight": [512, 512, 3, 3],
            "fc.weight": [1000, 512],
        },
    ),
    "resnet50": (
        320,
        {
            "layer1.0.downsample.0.weight": [256, 64, 1, 1],
            "layer3.5.conv3.weight": [1024, 256, 1, 1],
            "layer4.2.bn3.running_mean": [2048],
            "fc.bias": [1000],
        },
    ),
    "squeezenet1_0": (
        52,
        {
            "features.0.weight": [96, 3, 7, 7],
            "features.10.squeeze.weight": [64, 384, 1, 1],
            "features.12.expand3x3.bias": [256],
            "classifier.1.weight": [1000, 512, 1, 1],
        },
    ),
    "squeezenet1_1": (
        52,
        {
            "features.0.weight": [64, 3, 3, 3],
            "features.6.squeeze.weight": [32, 128, 1, 1],
            "features.9.expand1x1.weight": [192, 48, 1, 1],
            "features.12.squeeze.weight": [64, 512, 1, 1],
        },
    ),
    "mobilenet_v2": (
        314,
        {
            "features.0.0.weight": [32, 3, 3, 3],
            "features.1.conv.0.0.weight": [32, 1, 3, 3],
            "features.1.conv.1.weight": [16, 32, 1, 1],
            "features.1.conv.2.running_mean": [16],
            "features.17.conv.1.0.weight": [960, 1, 3, 3],
            "features.17.conv.3.bias": [320],
            "features.18.1.weight": [1280],
            "classifier.1.weight": [1000, 1280],
        },
    ),
    "cifar_resnet20": (
        116,
        {
            "conv1.weight": [16, 3, 3, 3],
            "bn1.running_mean": [16],
            "layer2.0.conv1.weight": [32, 16, 3, 3],
            "layer3.2.bn2.weight": [64],
            "linear.weight": [10, 64],
        },
    ),
}


def on_meta(name: str) -> nn.Module:
    with torch.device("meta"):
        return network_spec(name).build().eval()


def test_every_promised_network_is_registered() -> None:
    paper = [f"paper/{name}" for name in ("alexnet", "mobilenet", "resnet50", "squeezenet", "tiny", "vgg16")]
    assert set(network_names()) == {*PARAMETERS, *paper}


@pytest.mark.parametrize(("name", "count"), PARAMETERS.items())
def test_parameter_count(name: str, count: int) -> None:
    assert sum(parameter.numel() for parameter in on_meta(name).parameters()) == count


@pytest.mark.parametrize(("name", "expected"), STATE.items())
def test_names_and_shapes_are_those_of_the_known_checkpoints(
    name: str, expected: tuple[int, dict[str, list[int]]]
) -> None:
    entries, some = expected
    shapes = {key: list(tensor.shape) for key, tensor in on_meta(name).state_dict().items()}
    assert len(shapes) == entries
    assert {key: shapes.get(key) for key in some} == some


@pytest.mark.parametrize("name", [*sorted(PARAMETERS), "paper/alexnet", "paper/resnet50", "paper/vgg16"])
def test_output_has_one_value_per_class_and_nothing_is_allocated_on_meta(name: str) -> None:
    spec = network_spec(name)
    y = on_meta(name)(torch.empty((2, *spec.input_shape), device="meta"))
    assert list(y.shape) == [2, spec.num_classes]
    assert spec.preprocessing.crop == spec.input_shape[1:]


@pytest.mark.parametrize(
    "name", [*(name for name in PARAMETERS if name != "vgg16"), "paper/squeezenet", "paper/mobilenet"]
)
def test_untrained_activations_are_finite_and_depend_on_the_input(name: str) -> None:
    torch.manual_seed(0)
    spec = network_spec(name)
    network = spec.build().eval()
    spread: list[float] = []

    def watch(module: nn.Module, inputs: tuple[Tensor, ...], y: Tensor) -> None:
        spread.append(float((y[0] - y[1]).std()))

    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            module.register_forward_hook(watch)
    with torch.no_grad():
        y = network(torch.randn(2, *spec.input_shape))
    assert torch.isfinite(y).all()
    assert not torch.equal(y[0], y[1])
    assert 1e-3 < min(spread) <= max(spread) < 1e3, (min(spread), max(spread))


def test_he_scaling_gives_the_variance_of_he_2015() -> None:
    torch.manual_seed(0)
    layer = he_initialised(nn.Sequential(nn.Conv2d(64, 128, 3)))[0]
    assert isinstance(layer, nn.Conv2d)
    assert layer.bias is not None
    assert float(layer.weight.detach().var()) == pytest.approx(2 / (64 * 9), rel=0.02)
    assert not layer.bias.any()


def test_pooling_to_the_size_it_has_is_no_operation() -> None:
    x = torch.randn(1, 2, 6, 6)
    assert PoolTo(6)(x) is x
    torch.testing.assert_close(PoolTo(3)(x), nn.functional.avg_pool2d(x, 2))


def test_alexnet_runs_at_other_sizes() -> None:
    with torch.device("meta"):
        network = AlexNet(num_classes=7)
    assert list(network(torch.empty((1, 3, 256, 256), device="meta")).shape) == [1, 7]


def test_pad_shortcut_keeps_every_second_pixel_between_zero_channels() -> None:
    x = torch.randn(2, 4, 6, 6)
    y = PadShortcut(4, 8)(x)
    assert list(y.shape) == [2, 8, 3, 3]
    assert torch.equal(y[:, 2:6], x[:, :, ::2, ::2])
    assert not y[:, :2].any()
    assert not y[:, 6:].any()


# --- as the paper ran them ---


@pytest.mark.parametrize("name", sorted(paper_layers()))
def test_every_layer_of_the_paper_has_its_published_shape(name: str) -> None:
    net = paper_layers()[name]
    module = on_meta(f"paper/{name}")
    assert isinstance(module, PaperNetwork)
    x = torch.empty((1, *net["input"]), device="meta")
    found = {index: list(y.shape[1:]) for index, y in module.layer_outputs(x)}
    assert list(found) == [layer["index"] for layer in net["layers"]]
    for layer in net["layers"]:
        if "ofm" in layer:
            shape = found[layer["index"]]
            assert shape + [1] * (3 - len(shape)) == layer["ofm"], layer


@pytest.mark.parametrize(
    ("name", "ofm_mbit", "gmac", "kernel_millions"),
    [
        ("alexnet", 10.40, 1.135, 3.746),
        ("mobilenet", 142.8, 0.429, 3.471),
        ("resnet50", 201.8, 5.00, 22.734),
        ("squeezenet", 46.7, None, 1.232),
        ("tiny", 48.1, 0.492, 1.037),
        ("vgg16", 216.8, 15.47, 14.710),
    ],
)
def test_totals_of_the_paper(name: str, ofm_mbit: float, gmac: float | None, kernel_millions: float) -> None:
    """Output bits at 16 bit, multiplications and kernel sizes, counted on the modules that were built."""
    network = on_meta(f"paper/{name}")
    elements, macs, kernel = 0, 0, 0

    def count(module: nn.Module, inputs: tuple[Tensor, ...], y: Tensor) -> None:
        nonlocal elements, macs, kernel
        weight = module.get_parameter("weight")
        macs += weight.numel() * (y[0, 0].numel() if isinstance(module, nn.Conv2d) else 1)
        if isinstance(module, nn.Conv2d):
            elements += y.numel()
            kernel += weight.numel()

    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            module.register_forward_hook(count)
    network(torch.empty((1, *network_spec(f"paper/{name}").input_shape), device="meta"))
    assert 16 * elements / 1e6 == pytest.approx(ofm_mbit, abs=0.06)
    assert kernel / 1e6 == pytest.approx(kernel_millions, abs=5e-4)
    if gmac is not None:
        assert macs / 1e9 == pytest.approx(gmac, abs=0.006)


def test_paper_submodules_are_named_after_kind_and_index() -> None:
    names = [name for name, _ in on_meta("paper/resnet50").named_children()]
    assert names[:7] == ["conv0", "bn0", "leaky0", "pool1", "conv2", "bn2", "leaky2"]
    assert {"add5", "leaky5", "gap67", "softmax68"} <= set(names)


@pytest.mark.parametrize(
    ("kernel", "stride", "total", "size", "out"),
    [(2, 2, 1, 6, 3), (2, 2, 1, 7, 4), (2, 1, 1, 5, 5), (3, 2, 2, 7, 4), (3, 2, 0, 7, 3), (4, 2, 3, 6, 3)],
)
def test_darknet_max_pool_against_a_window_by_window_maximum(
    kernel: int, stride: int, total: int, size: int, out: int
) -> None:
    torch.manual_seed(0)
    x = torch.randn(1, 2, size, size) - 5  # negative throughout: zero padding would show
    y = DarknetMaxPool(kernel, stride, total)(x)
    assert list(y.shape) == [1, 2, out, out]
    for row in range(out):
        for column in range(out):
            top, left = row * stride - total // 2, column * stride - total // 2
            window = x[:, :, max(top, 0) : top + kernel, max(left, 0) : left + kernel]
            assert torch.equal(y[:, :, row, column], window.amax((2, 3))), (row, column)


@pytest.mark.parametrize(("channels", "size"), [(4, 4), (2, 4), (6, 4), (2, 8)])
def test_darknet_shortcut_adds_the_shared_channels(channels: int, size: int) -> None:
    x, other = torch.randn(1, 4, 4, 4), torch.randn(1, channels, size, size)
    expected = x.clone()
    shared, step = min(4, channels), size // 4
    expected[:, :shared] += other[:, :shared, ::step, ::step]
    assert torch.equal(DarknetShortcut()(x, other), expected)


def test_centre_crop() -> None:
    x = torch.arange(36.0).view(1, 1, 6, 6)
    assert torch.equal(CentreCrop(4, 4)(x), x[:, :, 1:5, 1:5])
    assert CentreCrop(6, 6)(x) is x


def test_paper_layers_read_the_inputs_they_name() -> None:
    conv = {"op": "conv", "kernel": [1, 1], "stride": 1, "padding": 0, "groups": 1, "batch_norm": False}
    shape = {"ifm": [2, 3, 3], "ofm": [2, 3, 3], "activation": "leaky"}
    layers = [
        {**conv, **shape, "index": 0},
        {**conv, **shape, "index": 1},
        {"op": "concat", "inputs": [0], "index": 2},
        {"op": "concat", "inputs": [1, 2], "index": 3},
        {"op": "add", "inputs": [3, 0], "activation": "linear", "index": 4},
        {"op": "cost", "index": 5},
    ]
    network = PaperNetwork(layers)
    x = torch.randn(1, 2, 3, 3)
    a = nn.functional.leaky_relu(network.get_submodule("conv0")(x), 0.1)
    b = nn.functional.leaky_relu(network.get_submodule("conv1")(a), 0.1)
    expected = torch.cat([b + a, a], dim=1)
    torch.testing.assert_close(network(x), expected.flatten(1))


# --- the registry ---


def test_unknown_name_suggests_a_near_one() -> None:
    with pytest.raises(InputError, match=r"unknown network 'resnet-50': did you mean .*resnet50"):
        network_spec("resnet-50")


def test_unknown_name_without_a_near_one_lists_all() -> None:
    with pytest.raises(InputError, match=r"expected one of alexnet, .*, paper/alexnet, .*paper/vgg16"):
        network_spec("zzzz")


def test_a_network_is_added_by_adding_one_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "added.py").write_text(
        "from torch import nn\n"
        "from simulator.extract.images import IMAGENET\n"
        "from simulator.extract.networks.registry import NetworkSpec\n"
        "NETWORKS = (NetworkSpec('added', lambda: nn.ReLU(), (3, 224, 224), IMAGENET, 'a test'),)\n"
    )
    package = importlib.import_module("simulator.extract.networks")
    monkeypatch.setattr(package, "__path__", [*package.__path__, str(tmp_path)])
    registry._specs.cache_clear()
    try:
        assert "added" in network_names()
        assert isinstance(network_spec("added").build(), nn.ReLU)
    finally:
        sys.modules.pop("simulator.extract.networks.added", None)
        registry._specs.cache_clear()
