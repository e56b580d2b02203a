"""Masks of weights: how many zeros, where, that training keeps them, and that a trace sees them."""

import numpy as np
import pytest
import torch
from pruning_networks import Plain, warmed
from torch import Tensor, nn

from simulator.errors import InputError
from simulator.extract.extract import extract
from simulator.pruning.static.fine_tuning import fine_tune
from simulator.pruning.static.groups import find_groups
from simulator.pruning.static.recipe import Recipe
from simulator.pruning.static.unstructured import blocks, made_permanent, magnitude, n_of_m, zero_shares


def weight_of(model: nn.Module, layer: str) -> Tensor:
    weight = model.get_submodule(layer).weight
    assert isinstance(weight, Tensor)
    return weight.detach()


def test_magnitude_takes_the_smallest_of_each_layer() -> None:
    model = warmed(Plain())
    before = weight_of(model, "features.3").clone()
    magnitude(model, 0.75)
    made_permanent(model)
    after = weight_of(model, "features.3")
    assert all(share == pytest.approx(0.75, abs=0.01) for share in zero_shares(model).values())
    assert before[after == 0].abs().max() <= before[after != 0].abs().min()
    assert torch.equal(before[after != 0], after[after != 0])


def test_magnitude_of_all_layers_together() -> None:
    model = warmed(Plain())
    with torch.no_grad():
        model.get_submodule("features.3").weight.mul_(0.01)  # type: ignore[operator,union-attr]
    magnitude(model, 0.5, everywhere=True)
    shares = zero_shares(model)
    total = {name: weight_of(model, name).numel() for name in shares}
    assert sum(shares[name] * total[name] for name in shares) == pytest.approx(0.5 * sum(total.values()), abs=1)
    assert shares["features.3"] > 0.9


@pytest.mark.parametrize(("n", "m"), [(2, 4), (1, 4), (4, 8)])
def test_n_of_m(n: int, m: int) -> None:
    model = warmed(Plain())
    before = weight_of(model, "features.3").clone()
    n_of_m(model, n, m)
    after = weight_of(model, "features.3")
    groups = after.movedim(1, -1).reshape(12, 3, 3, 8 // m, m)
    assert ((groups != 0).sum(dim=-1) == n).all()
    old = before.movedim(1, -1).reshape(12, 3, 3, 8 // m, m).abs()
    assert (old.masked_fill(groups != 0, 0).amax(-1) <= old.masked_fill(groups == 0, torch.inf).amin(-1)).all()
    assert zero_shares(model)["features.0"] == 0  # three input channels hold no whole group


def test_blocks_go_as_a_whole() -> None:
    model = warmed(Plain())
    blocks(model, 4, 9, 0.5, ["features.3"])
    after = weight_of(model, "features.3").flatten(1).reshape(3, 4, 8, 9)
    zero = (after == 0).all(dim=3).all(dim=1)
    assert int(zero.sum()) == 12  # half of 3 by 8 blocks
    assert bool((after != 0).any(dim=3).any(dim=1)[~zero].all())
    assert zero_shares(model)["classifier"] == 0
    odd = warmed(Plain())
    blocks(odd, 5, 7, 0.3)
    assert 0.2 < zero_shares(odd)["features.3"] < 0.4


def test_training_keeps_the_zeros() -> None:
    model = warmed(Plain())
    n_of_m(model, 2, 4)
    zero = weight_of(model, "features.3") == 0
    before = weight_of(model, "features.3").clone()
    images, classes = torch.randn(8, 3, 12, 12), torch.arange(8) % 5
    fine_tune(model, lambda _: [(images, classes)], Recipe(3, 0.1), steps_per_epoch=1)
    made_permanent(model)
    after = weight_of(model, "features.3")
    assert bool((after[zero] == 0).all())
    assert not torch.equal(before, after)


def test_a_trace_sees_the_zeros() -> None:
    model = warmed(Plain())
    blocks(model, 4, 9, 0.5)
    trace = extract(made_permanent(model), torch.randn(1, 3, 12, 12), name="blocks")
    zeros = trace.zeros("features.3", operand="kernel")
    np.testing.assert_array_equal(zeros, (weight_of(model, "features.3") == 0).numpy())


def test_masks_must_be_made_permanent_before_channels_are_cut() -> None:
    model = warmed(Plain())
    magnitude(model, 0.5)
    with pytest.raises(InputError, match=r"holds masks of torch\.nn\.utils\.prune"):
        find_groups(model, (3, 12, 12))
    assert find_groups(made_permanent(model), (3, 12, 12)).groups


def test_bad_arguments() -> None:
    for call, message in (
        (lambda: magnitude(Plain(), 1.0), "a share of 1 of the weights"),
        (lambda: n_of_m(Plain(), 5, 4), "5:4 weights, expected N of 1..M"),
        (lambda: blocks(Plain(), 0, 4, 0.5), "blocks of 0×4"),
        (lambda: magnitude(Plain(), 0.5, ["x*"]), r"no layer 'x\*'; the network has features\.0"),
    ):
        with pytest.raises(InputError, match=message):
            call()
