"""Each criterion computes its formula, checked by hand on small networks."""

import numpy as np
import pytest
import torch
from pruning_networks import Mixed, Plain, warmed
from torch import Tensor, nn

from simulator.errors import InputError
from simulator.extract.extract import extract
from simulator.pruning.static.calibration import Calibration
from simulator.pruning.static.criteria.criterion import Floats, Scoring, Settings
from simulator.pruning.static.criteria.legr import search
from simulator.pruning.static.criteria.registry import criteria, criterion_named
from simulator.pruning.static.discriminant import discriminant_scores
from simulator.pruning.static.groups import find_groups

IMAGES = 12


@pytest.fixture(scope="module")
def plain() -> Scoring:
    torch.manual_seed(3)
    return scoring_of(warmed(Plain()))


def scoring_of(model: nn.Module, **settings: object) -> Scoring:
    generator = torch.Generator().manual_seed(5)
    images = torch.randn(IMAGES, 3, 12, 12, generator=generator)
    calibration = Calibration.from_tensors(images, torch.arange(IMAGES) % 3)
    return Scoring(model, find_groups(model, (3, 12, 12)), calibration, Settings(batch_size=5, **settings))  # type: ignore[arg-type]


def score(scoring: Scoring, name: str) -> dict[str, Floats]:
    found = dict(criterion_named(name).score(scoring))
    assert {group: len(values) for group, values in found.items()} == {
        group.name: group.units for group in scoring.prunable
    }
    return found


def images_of(scoring: Scoring) -> Tensor:
    assert scoring.calibration is not None
    return scoring.calibration.load(range(IMAGES))


@torch.no_grad()
def read_by_second(scoring: Scoring) -> Tensor:
    """What features.3 reads: [IMAGES, 8, 12, 12]."""
    features = scoring.model.get_submodule("features")
    assert isinstance(features, nn.Sequential)
    read: Tensor = features[:3](images_of(scoring))
    return read


def test_there_is_a_criterion_for_every_name() -> None:
    assert set(criteria()) == {
        *("random", "l1", "l2", "bn_scale", "fpgm", "taylor", "hrank", "thinet", "pfp", "activation_mean", "apoz"),
        *("legr", "di"),
    }
    assert all(criterion.formula and criterion.source for criterion in criteria().values())
    with pytest.raises(InputError, match=r"unknown criterion .tailor. .*did you mean .taylor."):
        criterion_named("tailor")


@pytest.mark.parametrize("name", sorted(set(criteria()) - {"bn_scale"}))
def test_every_criterion_scores_every_kind_of_group(name: str) -> None:
    for values in score(scoring_of(warmed(Mixed())), name).values():
        assert np.isfinite(values).all()
        assert len(np.unique(values)) > 1


def test_norms_of_weights(plain: Scoring) -> None:
    weight = plain.layer("features.3").weight.detach().double()  # type: ignore[operator,union-attr]
    np.testing.assert_allclose(score(plain, "l1")["features.3"], weight.abs().sum((1, 2, 3)).numpy())
    np.testing.assert_allclose(score(plain, "l2")["features.3"], weight.flatten(1).norm(dim=1).numpy())


def test_fpgm_keeps_signs() -> None:
    model = Plain()
    with torch.no_grad():
        weight = model.features[3].weight
        assert isinstance(weight, Tensor)
        weight[1] = -weight[0]
    scores = score(scoring_of(model.eval()), "fpgm")["features.3"]
    rows = weight.detach().double().flatten(1)
    np.testing.assert_allclose(scores, torch.cdist(rows, rows, compute_mode="donot_use_mm_for_euclid_dist").sum(1))
    assert scores[0] > 0  # with magnitudes alone, filters 0 and 1 would be the same


def test_batch_norm_scales(plain: Scoring) -> None:
    first = Scoring(plain.model, type(plain.prunable)({"features.0": plain.prunable.groups["features.0"]}, {}))
    norm = plain.layer("features.1").weight.detach().abs().double()  # type: ignore[operator,union-attr]
    np.testing.assert_allclose(score(first, "bn_scale")["features.0"], norm.numpy())
    with pytest.raises(InputError, match=r"bn_scale reads batch norms, and there is none behind layer 'features\.3'"):
        score(plain, "bn_scale")


def test_taylor_is_the_derivative_by_a_gate(plain: Scoring) -> None:
    """A gate of each channel's batch norm output (or convolution output), by finite differences in float64."""
    model = warmed(Plain()).double()
    scoring = scoring_of(model, batches=1)
    assert scoring.calibration is not None
    ((images, labels),) = scoring.calibration.drawn(5, 1, None, 0)
    images = images.double()

    def slope(layer: str, channel: int) -> float:
        def loss(gate: float) -> float:
            def hook(_: nn.Module, __: object, out: Tensor) -> Tensor:
                scale = torch.ones(out.shape[1], dtype=out.dtype)
                scale[channel] = gate
                return out * scale[:, None, None]

            handle = model.get_submodule(layer).register_forward_hook(hook)
            with torch.no_grad():
                value = nn.functional.cross_entropy(model(images), labels)
            handle.remove()
            return float(value)

        return (loss(1 + 1e-5) - loss(1 - 1e-5)) / 2e-5

    found = score(scoring, "taylor")
    for group, layer in (("features.0", "features.1"), ("features.3", "features.3")):
        expected = [slope(layer, channel) ** 2 for channel in range(len(found[group]))]
        np.testing.assert_allclose(found[group], expected, rtol=1e-4, atol=1e-12)


def test_activations(plain: Scoring) -> None:
    read = read_by_second(plain).double()
    np.testing.assert_allclose(
        score(plain, "activation_mean")["features.0"], read.abs().mean((0, 2, 3)).numpy(), rtol=1e-5
    )
    np.testing.assert_allclose(score(plain, "apoz")["features.0"], (read != 0).double().mean((0, 2, 3)).numpy())
    ranks = [[int(np.linalg.matrix_rank(read[n, c].float().numpy())) for c in range(8)] for n in range(IMAGES)]
    np.testing.assert_allclose(score(plain, "hrank")["features.0"], np.mean(ranks, axis=0))


def test_apoz_from_a_recorded_trace_is_apoz_from_a_run(plain: Scoring) -> None:
    trace = extract(plain.model, images_of(plain), name="plain")
    recorded = Scoring(plain.model, plain.prunable, None, plain.settings, trace)
    for group, values in score(plain, "apoz").items():
        np.testing.assert_allclose(score(recorded, "apoz")[group], values, err_msg=group)


def test_di_adds_up_over_batches(plain: Scoring) -> None:
    assert plain.calibration is not None
    expected = np.zeros(8)
    for images, labels in plain.calibration.drawn(5, 10, None, 0):
        with torch.no_grad():
            expected += discriminant_scores(plain.layer("features.0")(images), labels)[1]
    np.testing.assert_allclose(score(plain, "di")["features.0"], expected)


def test_classes_per_batch() -> None:
    calibration = scoring_of(warmed(Plain())).calibration
    assert calibration is not None
    drawn = list(calibration.drawn(4, 6, 2, 0))
    assert len(drawn) == 6
    assert all(len(set(labels.tolist())) == 2 and len(images) == 4 for images, labels in drawn)


def test_contributions_of_a_layer_that_sees_one_position(plain: Scoring) -> None:
    """Behind the flatten, x_c is the product of the channel's nine elements and weights: PFP by hand."""
    with torch.no_grad():
        read = plain.model.get_submodule("features")(images_of(plain)).double()  # [N, 12, 3, 3]
    weight = plain.layer("classifier").weight.detach().double().reshape(5, 12, 3, 3)  # type: ignore[operator,union-attr]
    added = torch.einsum("ncpq,kcpq->nkc", read, weight).abs()
    expected = (added / added.sum(dim=-1, keepdim=True)).amax((0, 1))
    np.testing.assert_allclose(score(plain, "pfp")["features.3"], expected.numpy(), rtol=1e-4)


def test_thinet_removes_greedily() -> None:
    from simulator.pruning.static.criteria.thinet import removal_order

    samples = np.random.default_rng(0).normal(size=(50, 6)) * [3, 1, 2, 0.1, 1, 1]
    samples[:, 4] = -samples[:, 1]  # the two cancel
    order = list(np.argsort(removal_order(samples.T @ samples)))
    removed: list[int] = []
    while len(removed) < 6:
        left = [channel for channel in range(6) if channel not in removed]
        removed.append(min(left, key=lambda c: float((samples[:, [*removed, c]].sum(axis=1) ** 2).sum())))
    assert order == removed


def test_contributions_through_convolutions_add_up_to_the_output() -> None:
    from simulator.pruning.static.criteria.contributions import contributions, patches
    from simulator.pruning.static.groups import Member

    for layer in (nn.Conv2d(6, 4, (3, 2), stride=2, padding=1, dilation=(1, 2), groups=2), nn.Conv2d(6, 4, 3)):
        values = torch.randn(3, 6, 9, 9)
        patch = patches(layer, values, np.random.default_rng(0), 7)
        added = contributions(layer, patch, torch.arange(4).expand(21, 4), Member("x", np.arange(6)[:, None]))
        assert layer.bias is not None
        total = added.sum(dim=-1) + layer.bias
        positions = layer(values).permute(0, 2, 3, 1).reshape(3, -1, 4)
        for sample, outputs in enumerate(total.detach()):
            nearest = (positions[sample // 7] - outputs).abs().amax(dim=1).min()
            assert nearest < 1e-5, nearest


@pytest.mark.parametrize("groups", [1, 2, 6])
def test_every_contribution_is_that_to_each_output(groups: int) -> None:
    from simulator.pruning.static.criteria.contributions import contributions, every_contribution
    from simulator.pruning.static.groups import Member

    layer, patch = nn.Conv2d(6, 12, 3, groups=groups), torch.randn(5, 6, 3, 3)
    for channels in (np.arange(6)[:, None], np.arange(6).reshape(3, 2), np.arange(6)[::-1, None]):
        member = Member("x", channels.copy())
        each = contributions(layer, patch, torch.arange(12).expand(5, 12), member)
        assert torch.allclose(every_contribution(layer, patch, member), each, atol=1e-6)


def test_legr_is_affine_and_its_search_climbs() -> None:
    model = warmed(Plain())
    squared = (model.get_submodule("features.3").weight.detach().double() ** 2).sum((1, 2, 3))  # type: ignore[operator,union-attr]
    scores = score(scoring_of(model, affine={"features.3": (2.0, -1.0)}), "legr")
    np.testing.assert_allclose(scores["features.3"], 2 * squared.numpy() - 1)

    def fitness(affine: object) -> float:
        assert isinstance(affine, dict)
        return -sum((kappa - 3) ** 2 for _, kappa in affine.values())

    first = {"a": (1.0, 0.0), "b": (1.0, 0.0)}
    assert fitness(search(["a", "b"], fitness)) > fitness(first) / 4


def test_what_is_missing_is_said() -> None:
    model = warmed(Plain())
    scoring = Scoring(model, find_groups(model, (3, 12, 12)))
    with pytest.raises(InputError, match="criterion hrank looks at feature maps: give images"):
        score(scoring, "hrank")
    unlabelled = Scoring(model, scoring.prunable, Calibration.from_tensors(torch.randn(4, 3, 12, 12)))
    with pytest.raises(InputError, match="needs the classes of the images"):
        score(unlabelled, "di")
    with pytest.raises(InputError, match="rho is -1, expected a positive ridge"):
        Settings(rho=-1)
