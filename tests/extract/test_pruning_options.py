"""Thresholds per channel, other rules than the maximum, and means in place of zeros, against the definitions."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from torch import nn

from simulator.errors import InputError
from simulator.extract.extract import extract
from simulator.extract.pruning_hook import DynamicPruning, flagged_feature_maps, flagged_tiles, is_rule
from simulator.trace.trace import Trace, load_trace

torch.set_num_threads(1)


class Net(nn.Module):
    """Convolutions with padding (where a constant map is no pure bias), a residual sum, and leaky activations."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(3, 8, 3, padding=1), nn.Conv2d(8, 8, 3, padding=1)
        self.fc = nn.Linear(8, 10)

    def forward(self, x):
        y = F.leaky_relu(self.conv1(x))
        y = F.leaky_relu(self.conv2(y) + y)
        return self.fc(y.mean((2, 3)))


@pytest.fixture
def net() -> Net:
    torch.manual_seed(0)
    return Net().eval()


@pytest.fixture
def images() -> torch.Tensor:
    torch.manual_seed(1)
    return torch.randn(6, 3, 6, 6)


def maps_of(trace: Trace, layer: str, operand: str = "ofm") -> torch.Tensor:
    return torch.from_numpy(~np.stack([trace.zeros(layer, image, operand) for image in range(trace.image_count)]))


def small(maps: torch.Tensor, thresholds: torch.Tensor) -> torch.Tensor:
    """Which maps have a maximum within their channel's threshold: [N, C, 1, 1]."""
    return maps.abs().flatten(2).max(2).values[:, :, None, None] <= thresholds[:, None, None]


def test_each_channel_has_its_own_threshold(net, images):
    with torch.no_grad():
        first = F.leaky_relu(net.conv1(images))
    thresholds = first.abs().amax((2, 3)).quantile(0.5, dim=0)
    trace = extract(net, images, name="net", epsilon={"conv1": thresholds.tolist()})
    mask = small(first, thresholds)
    assert 0.3 < mask.float().mean() < 0.7
    assert torch.equal(maps_of(trace, "conv1"), (first != 0) & ~mask)
    with torch.no_grad():
        second = F.leaky_relu(net.conv2(first.masked_fill(mask, 0)) + first.masked_fill(mask, 0))
    assert torch.equal(maps_of(trace, "add"), second != 0)


@pytest.mark.parametrize("side", ["ofm", "ifm"])
def test_means_stand_for_flagged_maps_that_are_recorded_as_not_there(net, images, side, tmp_path):
    """Later layers see the constant map, with zero padding around it, and the trace says that nothing is loaded."""
    with torch.no_grad():
        first = F.leaky_relu(net.conv1(images))
    thresholds = first.abs().amax((2, 3)).quantile(0.5, dim=0)
    means = torch.linspace(-0.5, 0.5, 8)
    layer = "conv1" if side == "ofm" else "conv2"
    results = []
    net.register_forward_hook(lambda _, __, result: results.append(result))
    epsilon = {layer: tuple(thresholds.tolist())}
    trace = extract(
        net, images, name="net", epsilon=epsilon, means={layer: means.tolist()}, side=side, out=tmp_path / "net"
    )
    mask = small(first, thresholds)
    replaced = torch.where(mask, means[:, None, None], first)
    shortcut = replaced if side == "ofm" else first
    with torch.no_grad():
        expected = net.fc(F.leaky_relu(net.conv2(replaced) + shortcut).mean((2, 3)))
    assert torch.allclose(results[-1], expected, atol=1e-6)
    assert torch.equal(maps_of(trace, "conv2", "ifm"), (first != 0) & ~mask)
    assert torch.equal(maps_of(trace, "conv1"), (first != 0) & ~mask if side == "ofm" else first != 0)
    recorded = load_trace(tmp_path / "net.trace.safetensors").pruning
    assert recorded is not None
    assert recorded.epsilon == epsilon
    assert recorded.means[layer] == pytest.approx(means.tolist())
    assert recorded.thresholds_by_channel


def test_a_layer_in_another_memory_order_is_filled_in_its_own():
    """A linear layer on [N, T, D] writes its features last; its means are one per feature."""
    torch.manual_seed(3)

    class Tokens(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.second = nn.Linear(4, 5), nn.Linear(5, 3)

        def forward(self, x):
            return self.second(self.first(x)).mean(1)

    net, tokens = Tokens().eval(), torch.randn(6, 7, 4)
    results = []
    net.register_forward_hook(lambda _, __, result: results.append(result))
    means = torch.arange(5.0)
    extract(net, tokens, name="net", epsilon={"first": [1e9] * 5}, means={"first": means.tolist()})
    with torch.no_grad():
        assert torch.allclose(results[-1], net.second(means.expand(6, 7, 5)).mean(1), atol=1e-6)


@pytest.mark.parametrize("rule", ["mean", "50%", "90%", "87.5%"])
def test_rules_by_their_definition(rule):
    torch.manual_seed(2)
    maps, epsilon = torch.randn(40, 3, 4, 5) * torch.rand(40, 3, 1, 1), 0.4
    magnitudes = maps.abs().flatten(2)
    if rule == "mean":
        expected = magnitudes.mean(2) <= epsilon
    else:
        expected = (magnitudes <= epsilon).sum(2) * 1000 > 20 * 10 * float(rule[:-1])
    assert 0.1 < expected.float().mean() < 0.9
    assert torch.equal(flagged_feature_maps(maps, epsilon, rule)[:, :, 0, 0], expected)
    assert torch.equal(flagged_tiles(maps, epsilon, (4, 5), rule), expected[..., None, None].expand(maps.shape))


def test_tiles_cut_off_at_the_edge_have_the_mean_of_what_is_left():
    maps = torch.zeros(1, 1, 3, 3)
    maps[0, 0, 2] = 1.0  # the tiles of the last row hold one row of ones
    flags = flagged_tiles(maps, 0.6, (2, 2), "mean")
    assert flags[0, 0].tolist() == [[True] * 3, [True] * 3, [False] * 3]


@pytest.mark.parametrize(("rule", "right"), [("all", True), ("mean", True), ("0%", True), ("99.9%", True)])
def test_names_of_rules(rule, right):
    assert is_rule(rule) is right
    assert not any(is_rule(wrong) for wrong in ("100%", "-1%", "99", "max", "", "9e1%", "99.9999%"))


def test_means_and_thresholds_that_change_nothing():
    assert DynamicPruning({"a": (0.0, 0.0)}).changes_nothing
    assert not DynamicPruning({"a": (0.0, 0.1)}).changes_nothing
    assert not DynamicPruning({"a": 0.0}, means={"a": (1.0,)}).changes_nothing


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            {"epsilon": {"conv1": [0.1] * 7}},
            "epsilon for layer 'conv1': 7 numbers, expected one for each of its 8 chan",
        ),
        ({"epsilon": {"conv1": [0.1] * 7 + [-1]}}, "epsilon of layer 'conv1' is -1"),
        ({"epsilon": {"conv1": 0.1}, "means": {"conv1": [0.0]}}, "means of layer 'conv1': 1 numbers, expected one for"),
        ({"epsilon": {"conv1": 0.1}, "means": {"add": [0.0] * 8}}, "means of layer 'add', which has no epsilon"),
        ({"epsilon": 0.1, "means": {"conv1": [0.0] * 8}}, "means of layer 'conv1', which has no epsilon of its own"),
        ({"epsilon": {"conv1": 0.1}, "means": {"conv1": [math.nan] * 8}}, "means of layer 'conv1': found nan"),
        ({"means": {"conv1": [0.0] * 8}}, "without epsilon nothing is pruned"),
    ],
)
def test_contradictions_are_refused(net, images, arguments, message):
    with pytest.raises(InputError, match=message):
        extract(net, images, name="net", **arguments)
