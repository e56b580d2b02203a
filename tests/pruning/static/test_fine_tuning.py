"""Batch norms estimated anew, and training on."""

import math

import pytest
import torch
from pruning_networks import Plain, warmed
from torch import nn

from simulator.errors import InputError
from simulator.pruning.static.fine_tuning import accuracy, fine_tune, re_estimate_norms
from simulator.pruning.static.recipe import Recipe


def test_norms_are_those_of_the_images() -> None:
    model = warmed(Plain())
    norm = model.get_submodule("features.1")
    assert isinstance(norm, nn.BatchNorm2d)
    momentum = norm.momentum
    images = 3 + 2 * torch.randn(64, 3, 12, 12)
    with torch.no_grad():
        read = model.get_submodule("features.0")(images)
    assert re_estimate_norms(model, torch.split(images, 32)) == 1
    torch.testing.assert_close(norm.running_mean, read.mean((0, 2, 3)), rtol=1e-4, atol=1e-5)
    expected = torch.stack([part.var((0, 2, 3)) for part in torch.split(read, 32)]).mean(0)
    torch.testing.assert_close(norm.running_var, expected, rtol=1e-4, atol=1e-5)
    assert norm.momentum == momentum
    assert not norm.training
    assert re_estimate_norms(nn.Conv2d(3, 3, 1), [images]) == 0


def test_training_lowers_the_loss() -> None:
    torch.manual_seed(0)
    model = Plain()
    classes = torch.arange(40) % 5
    images = torch.randn(40, 3, 12, 12) + classes[:, None, None, None] - 2
    before = accuracy(model, [(images, classes)])
    done = []
    losses = fine_tune(
        model,
        lambda epoch: list(zip(torch.split(images, 20), torch.split(classes, 20), strict=True)),
        Recipe(epochs=12, learning_rate=0.05),
        steps_per_epoch=2,
        progress=lambda epoch, epochs: done.append((epoch, epochs)),
    )
    assert len(losses) == 12
    assert losses[-1] < 0.5 * losses[0], losses
    assert accuracy(model, [(images, classes)]) > before
    assert done[-1] == (12, 12)
    assert not model.training


def trained_without_norms(recipe: Recipe) -> nn.Module:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(48, 32), nn.Linear(32, 32), nn.Linear(32, 5))
    images, classes = 100 * torch.randn(40, 3, 4, 4), torch.arange(40) % 5
    pairs = list(zip(torch.split(images, 4), torch.split(classes, 4), strict=True))
    losses = fine_tune(model, lambda _: pairs, recipe, steps_per_epoch=10)
    assert all(math.isfinite(loss) for loss in losses), losses
    return model


def test_clipped_gradients_hold_a_network_that_would_run_away() -> None:
    message = r"no longer a number in epoch \d+, after \d+ images; the learning rate 0.01 is too high"
    with pytest.raises(InputError, match=message):
        trained_without_norms(Recipe(5, 0.01, clip_norm=math.inf))
    model = trained_without_norms(Recipe(5, 0.01))
    assert all(bool(values.isfinite().all()) for values in model.parameters())


def test_a_data_loader_will_do() -> None:
    data = torch.utils.data.TensorDataset(torch.randn(20, 3, 12, 12), torch.arange(20) % 5)
    loader = torch.utils.data.DataLoader(data, batch_size=5, shuffle=True)
    assert len(fine_tune(Plain(), lambda _: loader, Recipe(2), steps_per_epoch=len(loader))) == 2
    assert 0 <= accuracy(Plain(), loader) <= 1


def test_nothing_to_learn_from() -> None:
    with pytest.raises(InputError, match="re-estimation: no images"):
        re_estimate_norms(Plain(), [])
    with pytest.raises(InputError, match="fine-tuning: no images"):
        fine_tune(Plain(), lambda _: [], Recipe(1), steps_per_epoch=1)
    with pytest.raises(InputError, match="accuracy: no images"):
        accuracy(Plain(), [])
    with pytest.raises(InputError, match="-1 epochs"):
        Recipe(-1)
