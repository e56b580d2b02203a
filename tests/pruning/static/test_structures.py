"""Structures meet their budgets with as much of the network as they can, and what they leave runs."""

import numpy as np
import pytest
import torch
from pruning_networks import Mixed, Plain, warmed
from torch import nn

from simulator.api import simulate
from simulator.errors import InputError
from simulator.extract.extract import extract, extract_shapes
from simulator.pruning.static.budget import Budget, parse_budget
from simulator.pruning.static.calibration import Calibration
from simulator.pruning.static.costs import ShapeCosts, count
from simulator.pruning.static.criteria.criterion import Settings
from simulator.pruning.static.cut import Cuts, cut
from simulator.pruning.static.groups import find_groups, shared_copy
from simulator.pruning.static.prune import GreedyOptions, Pruned, Request, StructureName, prune
from simulator.pruning.static.structures.choice import Limits

SHAPE = (3, 12, 12)


def labelled(images: int = 24) -> Calibration:
    generator = torch.Generator().manual_seed(2)
    return Calibration.from_tensors(torch.randn(images, *SHAPE, generator=generator), torch.arange(images) % 4)


@pytest.mark.parametrize("network", [Plain, Mixed])
def test_costs_of_widths_are_those_of_the_cut_network(network: type[nn.Module]) -> None:
    model = warmed(network())
    prunable = find_groups(model, SHAPE)
    costs = ShapeCosts(model, prunable, SHAPE)
    generator = np.random.default_rng(0)
    for _ in range(5):
        widths = {group.name: int(generator.integers(1, group.units + 1)) for group in prunable}
        cuts = Cuts.joined(group.cuts(range(widths[group.name], group.units)) for group in prunable)
        counts = count(cut(shared_copy(model), cuts), SHAPE)
        assert (
            costs.macs(widths)
            == counts.macs
            == sum(layer.macs for layer in extract_shapes(cut(shared_copy(model), cuts), SHAPE, name="x").layers)
        )
        assert costs.params(widths) == counts.params


def test_both_counts_of_operations_and_parameters() -> None:
    """Batch norm, activation and pooling are operations too, but no MACs."""
    counts = count(Plain().eval(), SHAPE)
    macs = 8 * 27 * 144 + 12 * 72 * 36 + 108 * 5
    assert counts.macs == macs
    assert counts.operations > macs
    assert counts.params == 8 * 27 + 16 + 12 * 72 + 12 + 108 * 5 + 5
    assert counts.params - counts.params_without_norms == 16


def test_transposed_convolutions_cost_what_they_do() -> None:
    """A budget of a network with one is a share of all that recording it counts."""

    class Upsampled(nn.Sequential):
        def __init__(self) -> None:
            super().__init__(
                nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 6, 3, padding=1), nn.ReLU(),
                nn.ConvTranspose2d(6, 5, 2, stride=2),
            )  # fmt: skip

    model = Upsampled().eval()
    pruned = prune(model, SHAPE, Request("l1", "uniform", parse_budget("macs 0.7")))
    for counted, network in ((pruned.before, model), (pruned.after, pruned.model)):
        layers = extract_shapes(network, SHAPE, name="x").layers
        assert counted.macs == sum(layer.macs for layer in layers)
        assert counted.params == sum(values.numel() for values in network.parameters())
    assert pruned.before.macs - pruned.after.macs > 0
    assert pruned.after.macs <= 0.7 * pruned.before.macs


@pytest.mark.parametrize("structure", ["uniform", "global", "greedy"])
@pytest.mark.parametrize("budget", ["macs 0.5", "params 0.6", "macs 150k"])
def test_budgets_are_met_and_not_undercut(structure: StructureName, budget: str) -> None:
    model = warmed(Mixed())
    before = {key: value.clone() for key, value in model.state_dict().items()}
    request = Request("l1", structure, parse_budget(budget), limits=Limits(least=0.1), greedy=GreedyOptions(step=0.02))
    pruned = prune(model, SHAPE, request)
    assert pruned.cost is not None
    whole, cost, limit = pruned.cost
    assert cost <= limit < whole
    assert cost == (pruned.after.macs if "macs" in budget else pruned.after.params)
    # The last channel to go of any group is worth at most so much, so no more than that can lie below the limit.
    costs = ShapeCosts(model, pruned.prunable, SHAPE)
    of = costs.macs if "macs" in budget else costs.params
    most = sum(of({}) - of({group.name: group.units - 1}) for group in pruned.prunable)
    assert cost > limit - most, (cost, limit, most)
    with torch.no_grad():
        assert pruned.model(torch.randn(2, *SHAPE)).shape == (2, 5)
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())
    trace = extract(pruned.model, torch.randn(2, *SHAPE), name="pruned")
    assert simulate(trace, "edge-npu", images=[0]).totals["macs_dense"] == pruned.after.macs


def test_what_stays_has_the_highest_scores() -> None:
    model = warmed(Plain())
    pruned = prune(model, SHAPE, Request("l1", "given", widths={"features.0": 3, "features.3": 0.5}))
    norms = model.get_submodule("features.0").weight.detach().abs().sum((1, 2, 3))  # type: ignore[operator,union-attr]
    assert set(pruned.kept["features.0"].tolist()) == set(norms.topk(3).indices.tolist())
    assert pruned.widths == {"features.0": 3, "features.3": 6}
    assert torch.equal(
        pruned.model.get_submodule("features.0").weight,  # type: ignore[arg-type]
        model.get_submodule("features.0").weight[pruned.kept["features.0"]],  # type: ignore[index]
    )


def test_uniform_keeps_the_same_share_everywhere() -> None:
    pruned = prune(warmed(Mixed()), SHAPE, Request("l1", "uniform", parse_budget("macs 0.5")))
    shares = [len(units) / pruned.prunable.groups[name].units for name, units in pruned.kept.items()]
    assert max(shares) - min(shares) <= 1 / 4, shares  # a channel of the smallest group
    multiple = prune(
        warmed(Plain()), SHAPE, Request("l1", "uniform", parse_budget("macs 0.6"), limits=Limits(multiple=4))
    )
    assert all(width % 4 == 0 for width in multiple.widths.values())


def test_only_the_layers_named_are_pruned() -> None:
    limits = Limits(layers=("inner", "exp*"))
    pruned = prune(warmed(Mixed()), SHAPE, Request("l1", "uniform", parse_budget("macs 0.8"), limits=limits))
    assert set(pruned.kept) == {"inner", "expand"}
    with pytest.raises(InputError, match="no layer 'conv9' to prune; the network has"):
        prune(warmed(Mixed()), SHAPE, Request("l1", budget=parse_budget("macs 0.8"), limits=Limits(layers=("conv9",))))
    with pytest.raises(InputError, match="layer 'head' cannot be pruned: its channels are the network's outputs"):
        prune(warmed(Mixed()), SHAPE, Request("l1", budget=parse_budget("macs 0.8"), limits=Limits(layers=("head",))))


def test_a_budget_out_of_reach() -> None:
    limits = Limits(layers=("inner",))
    for structure in ("uniform", "global", "greedy"):
        with pytest.raises(InputError, match=r"budget 'macs 0\.01'.*--least"):
            prune(warmed(Mixed()), SHAPE, Request("l1", structure, parse_budget("macs 0.01"), limits=limits))


def test_greedy_takes_what_is_worth_least() -> None:
    """Two groups that cost the same: the one with small weights goes first."""
    model = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 8, 3, padding=1), nn.ReLU())
    model.append(nn.Conv2d(8, 4, 3, padding=1))
    model.append(nn.Flatten())
    with torch.no_grad():
        weight = model[2].weight
        assert isinstance(weight, torch.Tensor)
        weight[:4] *= 1e-3  # half of the second group is next to nothing
    request = Request("l1", "greedy", parse_budget("macs 0.75"), greedy=GreedyOptions(step=0.02))
    pruned = prune(model.eval(), SHAPE, request)
    assert set(pruned.kept["2"].tolist()) >= {4, 5, 6, 7}
    assert len(pruned.kept["2"]) < 8


def test_greedy_scores_and_trains_between_steps() -> None:
    model = warmed(Plain())
    trained = []

    def fine_tune(small: nn.Module) -> None:
        trained.append(count(small, SHAPE).macs)
        with torch.no_grad():
            for parameter in small.parameters():
                parameter += 0.01

    before = {key: value.clone() for key, value in model.state_dict().items()}
    options = GreedyOptions(step=0.05, rescore_every=2, fine_tune=fine_tune)
    request = Request("di", "greedy", parse_budget("macs 0.5"), settings=Settings(batch_size=12), greedy=options)
    pruned = prune(model, SHAPE, request, labelled())
    assert len(trained) >= 2
    assert trained == sorted(trained, reverse=True)
    assert pruned.after.macs <= 0.5 * pruned.before.macs
    assert {name: len(units) for name, units in pruned.kept.items()} == pruned.widths
    first = pruned.model.get_submodule("features.0").weight
    assert isinstance(first, torch.Tensor)
    drift = first - before["features.0.weight"][pruned.kept["features.0"]]
    torch.testing.assert_close(drift, torch.full_like(drift, 0.01 * len(trained)), atol=1e-5, rtol=0)
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())


def test_greedy_by_accuracy_takes_the_best_candidate() -> None:
    def favours_the_second(small: nn.Module) -> float:
        return float(small.get_submodule("features.0").out_channels)  # type: ignore[arg-type]

    options = GreedyOptions(step=0.05, evaluate=favours_the_second)
    pruned = prune(warmed(Plain()), SHAPE, Request("l1", "greedy", parse_budget("macs 0.8"), greedy=options))
    assert len(pruned.kept["features.0"]) == 8
    assert len(pruned.kept["features.3"]) < 12


def test_a_greedy_structure_distilled() -> None:
    model = warmed(Plain())
    request = Request("l1", "greedy", parse_budget("macs 0.5"), greedy=GreedyOptions(step=0.05))
    greedy = prune(model, SHAPE, request)
    distilled = prune(model, SHAPE, Request("l2", "given", widths=greedy.widths))
    assert distilled.widths == greedy.widths
    assert distilled.after == greedy.after


@pytest.mark.parametrize("structure", ["uniform", "global", "greedy"])
def test_a_budget_of_simulated_dram_bytes(structure: StructureName) -> None:
    model = warmed(Plain())
    request = Request("l1", structure, parse_budget("dram_bytes 0.75@edge-npu"), greedy=GreedyOptions(step=0.1))
    pruned = prune(model, SHAPE, request)
    assert pruned.cost is not None
    whole, cost, limit = pruned.cost
    assert limit == pytest.approx(0.75 * whole)
    assert cost <= limit
    for of, expected in ((model, whole), (pruned.model, cost)):
        trace = extract_shapes(of, SHAPE, name="x")
        assert simulate(trace, "edge-npu").totals["dram_bytes"] == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("macs 0.5", Budget("macs", 0.5, True)),
        ("params 6.19M", Budget("params", 6.19e6, False)),
        ("params 6.19e6", Budget("params", 6.19e6, False)),
        ("macs 50 %", Budget("macs", 0.5, True)),
        ("dram_bytes 0.7@eyeriss", Budget("dram_bytes", 0.7, True, "eyeriss")),
        ("energy 1.5M @ mine.yaml", Budget("energy_pj", 1.5e6, False, "mine.yaml")),
    ],
)
def test_budgets_as_text(text: str, expected: Budget) -> None:
    found = parse_budget(text)
    assert (found.quantity, found.relative, found.accelerator) == (
        expected.quantity,
        expected.relative,
        expected.accelerator,
    )
    assert found.limit == pytest.approx(expected.limit)


@pytest.mark.parametrize(
    "text", ["", "macs", "macs x", "flops 0.5", "macs 0", "dram_bytes 0.5", "macs 0.5@eyeriss", "-1"]
)
def test_bad_budgets(text: str) -> None:
    with pytest.raises(InputError, match="budget"):
        parse_budget(text)


def test_bad_widths() -> None:
    model = warmed(Mixed())
    for widths, message in (
        ({"inner": 0}, r"width of 'inner' is 0, expected 1\.\.6 channels"),
        ({"inner": 7}, r"width of 'inner' is 7, expected 1\.\.6"),
        ({"inner": 2.5}, "expected whole channels or a share"),
        ({"head": 2}, "layer 'head' cannot be pruned"),
    ):
        with pytest.raises(InputError, match=message):
            prune(model, SHAPE, Request("l1", "given", widths=widths))


def test_groups_after_a_cut_are_those_of_the_cut_network() -> None:
    model = warmed(Mixed())
    prunable = find_groups(model, SHAPE)
    kept = {"inner": np.array([1, 4]), "stem": np.array([0, 3, 7]), "grouped": np.array([1, 2])}
    cuts = Cuts.joined(
        prunable.groups[name].cuts(np.setdiff1d(np.arange(prunable.groups[name].units), units))
        for name, units in kept.items()
    )
    found = find_groups(cut(shared_copy(model), cuts), SHAPE)
    expected = prunable.after(kept)
    assert set(found.groups) == set(expected.groups)
    for name, group in expected.groups.items():
        for side in ("producers", "norms", "consumers"):
            members = {m.layer: np.sort(m.channels, axis=1).tolist() for m in getattr(found.groups[name], side)}
            assert {m.layer: np.sort(m.channels, axis=1).tolist() for m in getattr(group, side)} == members, (
                name,
                side,
            )


def test_pruned_is_described() -> None:
    pruned = prune(warmed(Plain()), SHAPE, Request("random", "uniform", parse_budget("params 0.5")))
    assert isinstance(pruned, Pruned)
    assert set(pruned.widths) == {"features.0", "features.3"}
