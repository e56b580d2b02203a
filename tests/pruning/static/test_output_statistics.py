"""Statistics of folded batch norms, restored after a cut."""

import copy

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from simulator.errors import InputError
from simulator.pruning.static.cut import Cuts, cut
from simulator.pruning.static.fine_tuning import re_estimate_norms
from simulator.pruning.static.groups import find_groups
from simulator.pruning.static.output_statistics import has_norms, of_kept, output_statistics, restore_statistics


def _network(norms: bool) -> nn.Sequential:
    def norm(channels: int) -> nn.Module:
        return nn.BatchNorm2d(channels) if norms else nn.Identity()

    return nn.Sequential(
        nn.Conv2d(3, 8, 3), norm(8), nn.ReLU(), nn.Conv2d(8, 6, 3), norm(6), nn.ReLU(), nn.Conv2d(6, 4, 1)
    ).eval()  # fmt: skip


def _pair(images: Tensor) -> tuple[nn.Sequential, nn.Sequential]:
    """The same function with batch norms, of those images' statistics, and with them folded."""
    torch.manual_seed(1)
    with_norms = _network(True)
    for norm in (with_norms[1], with_norms[4]):
        nn.init.uniform_(norm.weight, 0.5, 2.0)  # type: ignore[arg-type]
        nn.init.normal_(norm.bias)  # type: ignore[arg-type]
    re_estimate_norms(with_norms, [images])
    folded = _network(False)
    for number in (0, 3):
        folded[number] = fuse_conv_bn_eval(copy.deepcopy(with_norms[number]), with_norms[number + 1])  # type: ignore[type-var,arg-type]
    folded[6] = copy.deepcopy(with_norms[6])
    return with_norms, folded


def test_folded_is_as_good_as_estimated_anew() -> None:
    images = torch.randn(64, 3, 12, 12) * 2 + 1
    with_norms, folded = _pair(images)
    wanted = output_statistics(folded, torch.split(images, 24))
    assert set(wanted) == {"0", "3"}
    prunable = find_groups(folded, (3, 12, 12))
    kept = {"0": np.array([1, 2, 5]), "3": np.array([0, 4, 5])}
    gone = Cuts.joined(
        group.cuts(np.setdiff1d(np.arange(group.units), kept[group.name]).tolist()) for group in prunable
    )
    small = cut(copy.deepcopy(folded), gone)
    same = find_groups(with_norms, (3, 12, 12))
    expected = cut(
        copy.deepcopy(with_norms),
        Cuts.joined(group.cuts(np.setdiff1d(np.arange(group.units), kept[group.name]).tolist()) for group in same),
    )
    others = torch.randn(16, 3, 12, 12) * 2 + 1
    with torch.no_grad():
        torch.testing.assert_close(folded(others), with_norms(others), rtol=1e-4, atol=1e-4)
        before = (small(others) - expected(others)).abs().max()
        re_estimate_norms(expected, [images])
        restore_statistics(small, [images], of_kept(wanted, prunable, kept))
        error = (small(others) - expected(others)).abs().max()
    assert float(error) < 0.01, f"{float(error)} apart from the network with batch norms, {float(before)} before"
    restored = output_statistics(small, [images])
    for name, (mean, variance) in of_kept(wanted, prunable, kept).items():
        torch.testing.assert_close(restored[name][0], mean, rtol=1e-3, atol=1e-4)
        torch.testing.assert_close(restored[name][1], variance, rtol=1e-3, atol=1e-4)


def test_an_uncut_network_stays_what_it_is() -> None:
    images = torch.randn(32, 3, 12, 12)
    _, folded = _pair(images)
    expected = copy.deepcopy(folded)
    restore_statistics(folded, torch.split(images, 32), output_statistics(folded, torch.split(images, 8)))
    with torch.no_grad():
        torch.testing.assert_close(folded(images), expected(images), rtol=1e-4, atol=1e-4)
    assert not has_norms(folded)
    with pytest.raises(InputError, match="no images"):
        output_statistics(folded, [])


def test_a_network_without_convolutions_has_none_to_restore() -> None:
    network = nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2))
    images = [torch.randn(5, 4)]
    assert output_statistics(network, images) == {}
    expected = copy.deepcopy(network)(images[0])
    restore_statistics(network, images, {})
    assert torch.equal(network(images[0]), expected)


def test_constant_channels_are_only_shifted() -> None:
    layer = nn.Conv2d(1, 2, 1)
    nn.init.zeros_(layer.weight)
    network = nn.Sequential(layer, nn.Conv2d(2, 1, 1)).eval()
    wanted = {"0": (torch.tensor([1.0, -2.0]), torch.tensor([4.0, 0.0]))}
    restore_statistics(network, [torch.randn(4, 1, 3, 3)], wanted)
    bias = network[0].bias
    assert isinstance(bias, Tensor)
    torch.testing.assert_close(bias.detach(), torch.tensor([1.0, -2.0]))
    assert torch.isfinite(network[0].weight).all()  # type: ignore[arg-type]
