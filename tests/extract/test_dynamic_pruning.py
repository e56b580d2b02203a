"""Dynamic pruning in the forward pass: which pieces are flagged, and what a pruned run records."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from simulator.errors import InputError
from simulator.extract.extract import extract
from simulator.extract.pruning_hook import DynamicPruning, flagged_feature_maps, flagged_tiles, small_elements
from simulator.trace.records import Accuracy, RecordedPruning
from simulator.trace.trace import Trace

torch.set_num_threads(1)


def flagged(maps: torch.Tensor, epsilon: float, tile: tuple[int, int], rule: str) -> torch.Tensor:
    """The definition, element by element: a tile is flagged when all (more than 99 %) of it is within epsilon."""
    mask = torch.zeros(maps.shape, dtype=torch.bool)
    epsilon = float(torch.tensor(epsilon))  # compared in the feature maps' own precision
    images, channels, height, width = maps.shape
    for n in range(images):
        for c in range(channels):
            for top in range(0, height, tile[0]):
                for left in range(0, width, tile[1]):
                    piece = maps[n, c, top : top + tile[0], left : left + tile[1]].flatten().tolist()
                    small = sum(abs(x) <= epsilon for x in piece)
                    if small == len(piece) if rule == "all" else small * 100 > len(piece) * 99:
                        mask[n, c, top : top + tile[0], left : left + tile[1]] = True
    return mask


VALUES = st.sampled_from([0.0, -0.0, 0.1, -0.1, 0.25, -0.25, 1.0, math.nan, math.inf])


@st.composite
def feature_maps(draw) -> torch.Tensor:
    shape = tuple(draw(st.integers(1, limit)) for limit in (2, 3, 5, 7))
    size = math.prod(shape)
    # Mostly small values, so that whole pieces are flagged often enough.
    values = draw(st.lists(st.one_of(st.just(0.0), st.just(0.1), VALUES), min_size=size, max_size=size))
    return torch.tensor(values).view(shape)


@settings(max_examples=150, deadline=None)
@given(
    feature_maps(),
    st.sampled_from([0.0, 0.1, 0.25, 0.3]),
    st.tuples(st.integers(1, 6), st.integers(1, 8)),
    st.sampled_from(["all", "99%"]),
)
def test_flagged_pieces_are_those_of_the_definition(maps, epsilon, tile, rule):
    size = (maps.shape[2], maps.shape[3])
    assert torch.equal(small_elements(maps, epsilon), flagged(maps, epsilon, (1, 1), "all"))
    assert torch.equal(flagged_feature_maps(maps, epsilon, rule).expand(maps.shape), flagged(maps, epsilon, size, rule))
    assert torch.equal(flagged_tiles(maps, epsilon, tile, rule), flagged(maps, epsilon, tile, rule))


@pytest.mark.parametrize(("outliers", "is_flagged"), [(0, True), (1, True), (2, False), (3, False)])
def test_the_99_percent_rule_wants_more_than_99_percent(outliers, is_flagged):
    """199 of 200 elements are 99.5 %, 198 are exactly 99 %, which is not more."""
    maps = torch.zeros(1, 1, 10, 20)
    maps.view(-1)[:outliers] = 1
    assert bool(flagged_feature_maps(maps, 0.0, "99%")) is is_flagged
    assert bool(flagged_feature_maps(maps, 0.0, "all")) is (outliers == 0)
    assert bool(flagged_tiles(maps, 0.0, (10, 20), "99%").all()) is is_flagged


def test_which_pruning_changes_nothing():
    assert DynamicPruning({"a": 0.0}).changes_nothing
    assert DynamicPruning({"a": 0.0}, "tile", (2, 2)).changes_nothing
    assert not DynamicPruning({"a": 0.0, "b": 0.1}).changes_nothing
    assert not DynamicPruning({"a": 0.0}, rule="99%").changes_nothing


class Net(nn.Module):
    """A small classifier with a residual connection, a concatenation and padding by hand."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(3, 8, 3, padding=1), nn.Conv2d(8, 8, 3)
        self.side, self.pool = nn.Conv2d(8, 4, 1), nn.MaxPool2d(2)
        self.fc = nn.Linear(12 * 9, 10)

    def forward(self, x):
        y = F.relu(self.conv1(x))
        y = F.relu(self.conv2(F.pad(y, (1, 1, 1, 1))) + y)
        y = self.pool(torch.cat([y, self.side(y)], 1))
        return self.fc(y.flatten(1))


LAYERS = ["conv1", "conv2", "add", "side", "pool"]


@pytest.fixture
def net() -> Net:
    torch.manual_seed(0)
    return Net().eval()


@pytest.fixture
def images() -> torch.Tensor:
    torch.manual_seed(1)
    return torch.randn(6, 3, 6, 6)


def pruned_by_hand(net: Net, x: torch.Tensor, prune) -> dict[str, torch.Tensor]:
    """All outputs of the network with `prune(layer, maps)` applied to what each layer writes."""
    with torch.no_grad():
        out = {"conv1": prune("conv1", F.relu(net.conv1(x)))}
        out["conv2"] = prune("conv2", net.conv2(F.pad(out["conv1"], (1, 1, 1, 1))))
        out["add"] = prune("add", F.relu(out["conv2"] + out["conv1"]))
        out["side"] = prune("side", net.side(out["add"]))
        out["pool"] = prune("pool", net.pool(torch.cat([out["add"], out["side"]], 1)))
        out["fc"] = net.fc(out["pool"].flatten(1))
    return out


def maps_of(trace: Trace, layer: str, operand: str = "ofm") -> torch.Tensor:
    zeros = [trace.zeros(layer, image, operand) for image in range(trace.image_count)]
    return torch.from_numpy(~np.stack(zeros))


def mean_channel_maximum(maps: torch.Tensor) -> float:
    return float(maps.abs().amax((2, 3)).double().mean())


@pytest.mark.parametrize(
    ("granularity", "tile", "rule"),
    [("feature_map", None, "all"), ("feature_map", None, "99%"), ("tile", (2, 4), "all"), ("element", None, "all")],
)
@pytest.mark.parametrize("epsilon", [0.0, 0.4, 1.5])
def test_pruned_outputs_are_recorded_and_carried_on(net, images, granularity, tile, rule, epsilon):
    def prune(_, maps):
        piece = {"feature_map": maps.shape[2:], "tile": tile, "element": (1, 1)}[granularity]
        return maps.masked_fill(flagged(maps, epsilon, tuple(piece), rule), 0)

    trace = extract(net, images.split(4), name="net", epsilon=epsilon, granularity=granularity, tile=tile, rule=rule)
    by_hand = pruned_by_hand(net, images, prune)
    for layer in LAYERS:
        assert torch.equal(maps_of(trace, layer), by_hand[layer] != 0), layer
    assert torch.equal(maps_of(trace, "fc")[:, :, 0, 0], by_hand["fc"] != 0)
    assert trace.pruning == RecordedPruning(
        epsilon, False, granularity, tile, rule, "ofm", dict.fromkeys(LAYERS, epsilon)
    )
    with torch.no_grad():
        agreement = float((net(images).argmax(1) == by_hand["fc"].argmax(1)).double().mean())
    assert trace.accuracy == Accuracy(6, None, None, agreement)
    if granularity == "feature_map" and epsilon == 1.5:
        assert (by_hand["side"] == 0).all(3).all(2).any(), "this epsilon should prune something"


@pytest.mark.parametrize(("granularity", "tile"), [("feature_map", None), ("tile", (3, 2)), ("element", None)])
@pytest.mark.parametrize("side", ["ofm", "ifm"])
def test_epsilon_zero_changes_no_result(net, images, granularity, tile, side):
    results = []
    net.register_forward_hook(lambda _, __, result: results.append(result))
    with torch.no_grad():
        plain = net(images)
    results.clear()
    pruned = extract(net, images, name="net", epsilon=0, granularity=granularity, tile=tile, side=side)
    assert torch.equal(results[-1], plain)
    unpruned = extract(net, images, name="net")
    for layer in LAYERS:
        assert torch.equal(maps_of(pruned, layer), maps_of(unpruned, layer))
    assert pruned.accuracy == Accuracy(6, agreement=1.0)
    assert unpruned.accuracy is None


def test_the_record_of_pruning_survives_the_file(net, images, tmp_path):
    trace = extract(
        net, images, name="net", epsilon={"add": 0.5}, granularity="tile", tile=(2, 3), rule="99%", out=tmp_path / "net"
    )
    assert trace.pruning == RecordedPruning({"add": 0.5}, False, "tile", (2, 3), "99%", "ofm", {"add": 0.5})


def test_layers_without_an_epsilon_are_not_pruned(net, images):
    trace = extract(net, images, name="net", epsilon={"add": 1.2, "conv1": 0.5}, granularity="element")
    epsilons = {"add": 1.2, "conv1": 0.5}
    by_hand = pruned_by_hand(
        net, images, lambda layer, maps: maps.masked_fill(maps.abs() <= epsilons.get(layer, -1), 0)
    )
    for layer in LAYERS:
        assert torch.equal(maps_of(trace, layer), by_hand[layer] != 0), layer
    assert trace.pruning is not None
    assert trace.pruning.applied == {"conv1": 0.5, "add": 1.2}
    assert trace.pruning.epsilon == epsilons


@pytest.mark.parametrize("given_apart", [False, True])
def test_a_relative_epsilon_scales_the_mean_channel_maximum(net, images, given_apart):
    calibration = 3 * images[:5] if given_apart else images
    unpruned = pruned_by_hand(net, calibration, lambda _, maps: maps)
    absolute = {layer: 0.2 * mean_channel_maximum(unpruned[layer]) for layer in LAYERS}
    trace = extract(
        net,
        images.split(4),
        name="net",
        epsilon=0.2,
        relative=True,
        granularity="element",
        calibration=calibration.split(2) if given_apart else None,
    )
    assert trace.pruning is not None
    assert trace.pruning.applied == pytest.approx(absolute)
    assert trace.pruning.relative
    by_hand = pruned_by_hand(net, images, lambda layer, maps: maps.masked_fill(maps.abs() <= absolute[layer], 0))
    for layer in LAYERS:
        assert torch.equal(maps_of(trace, layer), by_hand[layer] != 0), layer


def test_ifm_side_prunes_what_convolutions_read_and_nothing_else(net, images):
    def small_to_zero(x):
        return x.masked_fill(x.abs() <= 0.5, 0)

    trace = extract(net, images, name="net", epsilon=0.5, granularity="element", side="ifm")
    with torch.no_grad():
        first = F.relu(net.conv1(small_to_zero(images)))
        inner = net.conv2(F.pad(small_to_zero(first), (1, 1, 1, 1)))
        total = F.relu(inner + first)
        both = torch.cat([total, net.side(small_to_zero(total))], 1)
        pooled = net.pool(both)
        net.fc(small_to_zero(pooled.flatten(1)))
    assert torch.equal(maps_of(trace, "conv1", "ifm"), small_to_zero(images) != 0)
    assert torch.equal(maps_of(trace, "conv1"), first != 0)
    assert torch.equal(maps_of(trace, "conv2", "ifm"), small_to_zero(first) != 0)
    assert torch.equal(maps_of(trace, "add", "ifm1"), first != 0), "the shortcut reads the original"
    assert torch.equal(maps_of(trace, "add"), total != 0)
    assert torch.equal(maps_of(trace, "side", "ifm"), small_to_zero(total) != 0)
    assert torch.equal(maps_of(trace, "pool"), pooled != 0)
    assert torch.equal(maps_of(trace, "fc", "ifm").flatten(1), small_to_zero(pooled).flatten(1) != 0)
    copy = trace.tensors[trace.layer("conv2").inputs[0]]
    assert copy.source == trace.layer("conv1").output
    assert trace.layer("add").inputs[1] == trace.layer("conv1").output
    assert trace.pruning is not None
    assert trace.pruning.applied == dict.fromkeys(["conv1", "conv2", "side", "fc"], 0.5)


def test_ifm_side_judges_a_feature_map_without_its_padding(net, images):
    """With the padding's zeros counted in, nearly every map would be more than 99 % small."""

    class Padded(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(3, 4, 3)

        def forward(self, x):
            return self.conv(F.pad(x, (40, 40, 40, 40)))

    trace = extract(Padded(), images, name="net", epsilon=0, rule="99%", side="ifm")
    assert maps_of(trace, "conv", "ifm").all()


def test_relative_epsilon_on_the_ifm_side(net, images):
    trace = extract(net, images, name="net", epsilon={"conv2": 0.3}, relative=True, side="ifm")
    with torch.no_grad():
        expected = 0.3 * mean_channel_maximum(F.relu(net.conv1(images)))
    assert trace.pruning is not None
    assert trace.pruning.applied == {"conv2": pytest.approx(expected)}


def test_linear_layers_of_a_transformer_are_pruned_in_their_own_order():
    """A linear layer's feature maps are its features: [N, T, D] is pruned along T, whatever its memory order."""
    torch.manual_seed(3)

    class Block(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.grow, self.shrink = nn.Linear(6, 8), nn.Linear(8, 6)

        def forward(self, x):
            tokens = x.flatten(2).permute(2, 0, 1)  # [T, N, D]
            return self.shrink(F.relu(self.grow(tokens))).mean(0)

    net, images = Block(), torch.randn(3, 6, 2, 2)
    with torch.no_grad():
        grown = F.relu(net.grow(images.flatten(2).transpose(1, 2))).transpose(1, 2)[..., None]  # [N, D, T, 1]
    epsilon = float(grown.amax((2, 3)).median())
    kept = grown.masked_fill(flagged(grown, epsilon, (4, 1), "all"), 0)
    assert not torch.equal(kept, grown)
    ofm = extract(net, images, name="net", epsilon={"grow": epsilon})
    assert torch.equal(maps_of(ofm, "grow"), kept != 0)
    ifm = extract(net, images, name="net", epsilon={"shrink": epsilon}, side="ifm")
    assert torch.equal(maps_of(ifm, "shrink", "ifm"), kept != 0)
    assert torch.equal(maps_of(ifm, "grow"), grown != 0)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"epsilon": -0.1}, "epsilon is -0.1"),
        ({"epsilon": math.nan}, "epsilon is nan"),
        ({"epsilon": {"conv1": math.inf}}, "epsilon of layer 'conv1' is inf"),
        ({"epsilon": {"convx1": 0.1}}, "epsilon for layer 'convx1': no such layer; did you mean 'conv1'"),
        ({"epsilon": {"cat": 0.1}}, "'cat': it cannot be pruned .it is a concatenation"),
        ({"epsilon": {"fc": 0.1}}, "'fc': it cannot be pruned .*network's output"),
        ({"epsilon": {"pool": 0.1}, "side": "ifm"}, "'pool': it cannot be pruned .only convolutions and linear"),
        ({"epsilon": 0, "granularity": "channel"}, "granularity 'channel', expected feature_map, tile or element"),
        ({"epsilon": 0, "rule": "100%"}, "rule '100%', expected all, mean or a share"),
        ({"epsilon": 0, "side": "both"}, "side 'both', expected ofm or ifm"),
        ({"epsilon": 0, "granularity": "tile"}, "granularity tile with no size of a tile"),
        ({"epsilon": 0, "tile": (2, 2)}, r"granularity feature_map with tile 2x2"),
        ({"epsilon": 0, "granularity": "tile", "tile": (0, 2)}, r"tile \(0, 2\), expected"),
        ({"relative": True}, "relative True is given, but without epsilon"),
        ({"side": "ifm"}, "side ifm is given, but without epsilon"),
        ({"epsilon": 0.1, "calibration": torch.zeros(1, 3, 6, 6)}, "epsilon is not relative"),
    ],
)
def test_contradictions_are_refused(net, images, tmp_path, arguments, message):
    with pytest.raises(InputError, match=message):
        extract(net, images, name="net", out=tmp_path / "net", **arguments)
    assert list(tmp_path.iterdir()) == []


def test_a_relative_epsilon_needs_images_that_can_be_read_twice(net, images):
    with pytest.raises(InputError, match="can be read only once"):
        extract(net, iter(images.split(2)), name="net", epsilon=0.1, relative=True)
    trace = extract(net, iter(images.split(2)), name="net", epsilon=0.1, relative=True, calibration=images)
    assert trace.image_count == 6


def test_a_relative_epsilon_of_infinite_feature_maps_is_refused(net, images):
    with pytest.raises(InputError, match="layer 'conv1': its feature maps hold NaN or infinity"):
        extract(net, images * math.inf, name="net", epsilon={"conv1": 0.1}, relative=True)


def test_pruning_does_not_touch_the_users_images(net, images):
    before = images.clone()
    extract(nn.Sequential(nn.ReLU(inplace=True), nn.Conv2d(3, 2, 1)), images, name="net", epsilon=0.5)
    extract(net, images, name="net", epsilon=0.5, side="ifm")
    assert torch.equal(images, before)
