"""Channels that go together are found, and cutting them is the same as setting them to zero."""

import pytest
import torch
from pruning_networks import Mixed, PaddedShortcut, Plain, warmed
from torch import nn

from simulator.errors import InputError
from simulator.extract.networks.cifar_resnet import CifarResNet
from simulator.pruning.static.cut import Cuts, cut, zeroed
from simulator.pruning.static.groups import find_groups, shared_copy


@pytest.mark.parametrize("network", [Plain, Mixed, PaddedShortcut])
def test_cutting_is_zeroing(network: type[nn.Module]) -> None:
    model = warmed(network())
    images = torch.randn(4, 3, 12, 12)
    prunable = find_groups(model, (3, 12, 12))
    before = {key: value.clone() for key, value in model.state_dict().items()}
    for group in prunable:
        for units in ([0], [group.units - 1], range(1, group.units)):
            cuts = group.cuts(units)
            with torch.no_grad():
                small = cut(shared_copy(model), cuts)(images)
                masked = zeroed(shared_copy(model), cuts)(images)
            assert torch.allclose(small, masked, atol=1e-5), (group.name, list(units), (small - masked).abs().max())
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())


def test_layers_that_are_coupled() -> None:
    prunable = find_groups(warmed(Mixed()), (3, 12, 12))
    producers = {name: {member.layer for member in group.producers} for name, group in prunable.groups.items()}
    assert producers == {
        "stem": {"stem", "outer"},
        "inner": {"inner"},
        "expand": {"expand", "depthwise"},
        "grouped": {"grouped"},
    }
    assert prunable.groups["grouped"].units == 4  # two channels each, one per group
    # A grouped convolution reads them behind a concatenation: no channel of one part has a partner in the other.
    assert all("grouped convolutions" in prunable.blocked[layer] for layer in ("left", "right"))
    assert prunable.blocked["head"] == "its channels are the network's outputs"


def test_a_flatten_multiplies_channels() -> None:
    group = find_groups(warmed(Plain()), (3, 12, 12)).groups["features.3"]
    (consumer,) = group.consumers
    assert consumer.layer == "classifier"
    assert consumer.channels[2].tolist() == list(range(18, 27))


def test_what_cannot_be_cut_is_named_with_the_reason() -> None:
    prunable = find_groups(PaddedShortcut().eval(), (3, 12, 12))
    assert list(prunable.groups) == ["inner"]
    assert "padded shortcut" in prunable.blocked["stem"]
    with pytest.raises(InputError, match=r"layer 'outer' cannot be pruned: .*padded shortcut"):
        prunable.group_of("outer")
    only = nn.Sequential(nn.Conv2d(3, 4, 1), nn.ReLU())
    with pytest.raises(InputError, match="no layer of the network can be pruned: '0': its channels are the network's"):
        find_groups(only, (3, 12, 12)).group_of("*")
    with pytest.raises(InputError, match="no layer 'nowhere' to prune; the network has inner"):
        prunable.group_of("nowhere")


def test_code_that_counts_channels_is_found_out() -> None:
    prunable = find_groups(CifarResNet(1).eval(), (3, 32, 32))
    assert set(prunable.groups) == {f"layer{stage}.0.conv1" for stage in (1, 2, 3)}
    assert set(prunable.blocked) == {"conv1", "linear", *(f"layer{stage}.0.conv2" for stage in (1, 2, 3))}


def test_a_norm_across_channels_blocks() -> None:
    class Normed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.norm, self.second = nn.Conv2d(3, 4, 1), nn.GroupNorm(1, 4), nn.Conv2d(4, 2, 1)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            y: torch.Tensor = self.second(self.norm(self.first(x))).mean(dim=(2, 3))
            return y

    assert find_groups(Normed().eval(), (3, 6, 6)).blocked["first"] == "'norm' (GroupNorm) mixes its channels"


def test_a_network_that_does_not_run() -> None:
    with pytest.raises(InputError, match=r"does not run on images \[4, 12, 12\]"):
        find_groups(Plain().eval(), (4, 12, 12))


def test_cuts_of_grouped_inputs_keep_every_group() -> None:
    model = warmed(Mixed())
    cuts = Cuts()
    cuts.add("grouped", "in", torch.tensor([0, 11]).numpy())
    grouped = cut(shared_copy(model), cuts).get_submodule("grouped")
    assert isinstance(grouped, nn.Conv2d)
    assert grouped.weight.shape == (8, 5, 3, 3)
    assert torch.equal(grouped.weight[:4], model.get_submodule("grouped").weight[:4, 1:])
    assert torch.equal(grouped.weight[4:], model.get_submodule("grouped").weight[4:, :5])
