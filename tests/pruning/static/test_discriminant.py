"""Discriminant information: closed form, derivative and dual agree; nothing is lost by keeping a channel."""

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr

from simulator.errors import InputError
from simulator.pruning.static.discriminant import centred_classes, discriminant_scores

IMAGES, CHANNELS, SIDE, CLASSES, RHO = 120, 20, 2, 4, 0.3


def data(
    seed: int = 0, images: int = IMAGES, side: int = SIDE, classes: int = CLASSES
) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(classes, (images,), generator=generator)
    maps = torch.randn(images, CHANNELS, side, side, generator=generator, dtype=torch.float64)
    signal = torch.linspace(0, 1, CHANNELS, dtype=torch.float64)[:, None, None]
    means = torch.randn(classes, CHANNELS, side, side, generator=generator, dtype=torch.float64)
    return maps + signal * means[labels], labels


def primal(maps: torch.Tensor, labels: torch.Tensor, mask: torch.Tensor, rho: float) -> torch.Tensor:
    """tr((M K M + ρI)⁻¹ M K_B M) in d×d matrices, d = C·H·W, straight from the definition."""
    flat = (maps * mask[:, None, None]).flatten(1)
    centred = flat - flat.mean(dim=0)
    one_hot = torch.nn.functional.one_hot(labels).to(torch.float64)
    cross = centred.T @ (one_hot - one_hot.mean(dim=0))
    kernel = centred.T @ centred
    return torch.linalg.solve(kernel + rho * torch.eye(len(kernel), dtype=torch.float64), cross @ cross.T).trace()


@pytest.mark.parametrize("rho", [0.1, RHO, 10.0])
def test_dual_is_primal_is_autograd(rho: float) -> None:
    maps, labels = data()
    mask = torch.ones(CHANNELS, dtype=torch.float64, requires_grad=True)
    information = primal(maps, labels, mask, rho)
    (slope,) = torch.autograd.grad(information, mask)
    flat = maps.flatten(1) - maps.flatten(1).mean(dim=0)
    one_hot = torch.nn.functional.one_hot(labels).to(torch.float64)
    inverse = torch.linalg.inv(flat.T @ flat + rho * torch.eye(flat.shape[1], dtype=torch.float64))
    cross = inverse @ flat.T @ (one_hot - one_hot.mean(dim=0))
    closed = 2 * rho * (cross**2).sum(dim=1).reshape(CHANNELS, -1).sum(dim=1)

    found, scores = discriminant_scores(maps, labels, rho)

    assert found == pytest.approx(information.item(), rel=1e-10)
    error = np.abs(scores - closed.numpy()).max() / scores.max()
    assert error < 1e-10, f"dual and closed form differ by {error:.2g}"
    # Autograd subtracts numbers of the size of DI to get at a slope that is smaller by the order of rho.
    error = np.abs(scores - slope.numpy()).max() / found
    assert error < 1e-10, f"dual and autograd differ by {error:.2g} of DI"


def test_information_lies_below_its_bound() -> None:
    maps, labels = data()
    information, scores = discriminant_scores(maps, labels, RHO)
    bound = float((centred_classes(labels) ** 2).sum())
    assert 0 < information < bound
    assert (scores >= 0).all()


@pytest.mark.parametrize("seed", range(3))
def test_no_channel_is_better_left_out_and_scores_rank_as_leaving_out_does(seed: int) -> None:
    maps, labels = data(seed, images=48, side=8, classes=7)  # more features than images, as in networks
    whole, scores = discriminant_scores(maps, labels, RHO)
    losses = []
    for channel in range(CHANNELS):
        mask = torch.ones(CHANNELS, dtype=torch.float64)
        mask[channel] = 0
        losses.append(whole - discriminant_scores(maps * mask[:, None, None], labels, RHO)[0])
    assert min(losses) >= 0, f"leaving out a channel added {-min(losses):.2g}"
    correlation = spearmanr(scores, losses).statistic
    assert correlation >= 0.98, f"Spearman {correlation:.4f}"


def test_large_layers_are_taken_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    maps, labels = data()
    whole = discriminant_scores(maps, labels, RHO)
    monkeypatch.setattr("simulator.pruning.static.discriminant._BYTES_AT_A_TIME", 8 * IMAGES * SIDE * SIDE * 3)
    parts = discriminant_scores(maps, labels, RHO)
    assert parts[0] == pytest.approx(whole[0], rel=1e-12)
    np.testing.assert_allclose(parts[1], whole[1], rtol=1e-9)


def test_bad_arguments() -> None:
    maps, labels = data()
    with pytest.raises(InputError, match="rho is 0, expected a positive ridge"):
        discriminant_scores(maps, labels, 0)
    with pytest.raises(InputError, match="at least two images"):
        discriminant_scores(maps[:1], labels[:1])
