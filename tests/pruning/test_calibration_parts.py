"""The parts of a calibration by themselves: intervals, search, thresholds, worths, the file and the journal."""

import dataclasses
import json

import numpy as np
import pytest
from builders import chain, small_accelerator, with_random_maps

import simulator
from simulator.errors import InputError
from simulator.pruning.dynamic.allocation import (
    Allocation,
    LayerSamples,
    channel_worths,
    expected_disturbance,
    flagged_means,
    sensitivities,
    weighted,
)
from simulator.pruning.dynamic.epsilon_file import CalibratedEpsilons, calibrated_epsilons
from simulator.pruning.dynamic.intervals import paired_difference
from simulator.pruning.dynamic.journal import Journal
from simulator.pruning.dynamic.search import Step, strongest
from simulator.pruning.dynamic.worth import Worth, map_worths
from simulator.trace.shapes import conv_layer


def test_a_paired_interval_covers_the_truth_as_often_as_it_says():
    """2000 experiments of 300 images, of which 3 % turn wrong and 1 % right: the change is -2 points."""
    random = np.random.default_rng(0)
    inside = 0
    for _ in range(2000):
        kind = random.choice(4, 300, p=[0.03, 0.01, 0.80, 0.16])  # lost, won, both right, both wrong
        before, after = np.isin(kind, (0, 2)), np.isin(kind, (1, 2))
        found = paired_difference(before, after)
        assert found.low <= found.value <= found.high
        assert found.value == pytest.approx(after.mean() - before.mean())
        inside += found.low <= -0.02 <= found.high
    assert 0.94 <= inside / 2000 <= 0.99, inside / 2000


def test_images_that_stay_the_same_still_leave_a_doubt():
    same = np.ones(100, np.bool_)
    found = paired_difference(same, same)
    assert found.value == 0
    assert found.low == -found.high < 0


@pytest.mark.parametrize("start", [1e-3, 0.3, 1.0, 50.0])
@pytest.mark.parametrize("limit", [0.02, 0.7, 9.0])
def test_the_search_ends_just_within_the_loss(start, limit):
    """The loss is the level itself: eight doublings and two halvings come within a factor 2^(1/4) of any limit."""
    tried = []

    def step(level: float) -> Step:
        tried.append(level)
        return Step(level, level, 0.0, min(level, 1.0), level)

    found = strongest(step, start, limit)
    reachable = start / 2**8 <= limit and limit <= start * 2**8
    if reachable:
        assert found is not None
        assert found.level <= limit
        if limit <= 1:
            assert found.level >= limit / 2**0.25 * 0.999, tried
    assert len(tried) <= 11


def test_nothing_is_found_where_every_level_costs_too_much():
    assert strongest(lambda level: Step(level, 0.5, 0.0, 1.0, 1.0), 1.0, 0.01) is None
    assert strongest(lambda level: Step(level, 0.0, 0.5, 1.0, 1.0), 1.0, 0.01) is None, "the expected loss counts too"


@pytest.fixture
def samples() -> LayerSamples:
    random = np.random.default_rng(1)
    score = random.random((50, 6)).astype(np.float32)
    return LayerSamples(score, score / 3, random.random((50, 6)).astype(np.float32), score * 2, score * 0.5)


def test_every_channel_pays_the_same_loss_per_unit_saved(samples):
    margins = np.ones(50, np.float32)
    sensitivity = sensitivities({"a": samples}, margins, by_mean=False)
    # The change is -2 times the score and the margin 1 everywhere, so the sensitivity is (2 / 2)².
    assert sensitivity["a"] == pytest.approx(np.ones(6))
    worth = {"a": np.arange(1.0, 7.0)}
    thresholds = np.array(Allocation({"a": np.arange(6.0, 0.0, -1)}, worth, True).thresholds(0.5)["a"])
    assert np.arange(6.0, 0.0, -1) * thresholds**2 / worth["a"] == pytest.approx(0.25 * np.ones(6), rel=1e-3)
    one = Allocation({"a": np.ones(6)}, worth, False).thresholds(2.0)["a"]
    assert one == pytest.approx(2 * np.sqrt(3.5), rel=1e-3)


def test_kernel_weights_spread_the_layers_sensitivity_by_squared_norms():
    sensitivity, norms = {"a": np.array([1.0, 3.0])}, {"a": np.array([1.0, 3.0])}
    assert weighted(sensitivity, "taylor", {})["a"] == pytest.approx([1, 3])
    assert weighted(sensitivity, "layer", {})["a"] == pytest.approx([2, 2])
    assert weighted(sensitivity, "kernel", norms)["a"] == pytest.approx([2 * 0.2, 2 * 1.8])
    assert weighted(sensitivity, "kernel", {})["a"] == pytest.approx([2, 2]), "no kernel is known"


def test_means_are_those_of_the_maps_that_are_flagged(samples):
    epsilons = (0.5, 0.1, 0.9, 0.0, 2.0, 0.3)
    means = flagged_means({"a": samples}, {"a": epsilons})["a"]
    for channel, epsilon in enumerate(epsilons):
        flagged = [image for image in range(50) if samples.score[image, channel] <= epsilon]
        expected = np.mean(samples.mean[flagged, channel]) if flagged else 0.0
        assert means[channel] == pytest.approx(expected, rel=1e-3)


def test_the_level_is_found_that_has_the_disturbance_wanted(samples):
    margins = np.zeros(50, np.float32)
    allocation = Allocation({"a": np.ones(6)}, {"a": np.ones(6)}, True)

    def disturbance(level: float) -> float:
        return expected_disturbance({"a": samples}, margins, allocation.thresholds(level))

    level = allocation.level_of(disturbance, 2.0)
    assert disturbance(level * 0.98) <= 2.0 <= disturbance(level * 1.02)


def test_denser_small_maps_are_worth_more_where_zeros_are_compressed(samples):
    worths = {"a": Worth(values=10.0, work=5.0)}
    assert channel_worths({"a": samples}, worths, by_density=False)["a"] == pytest.approx(15 * np.ones(6))
    dense = dataclasses.replace(samples, nonzero=np.tile(np.array([0, 0, 0, 1, 1, 1], np.float32), (50, 1)))
    assert channel_worths({"a": dense}, worths, by_density=True)["a"] == pytest.approx([5, 5, 5, 25, 25, 25])


@pytest.mark.parametrize("objective", ["dram_bytes", "cycles", "energy"])
def test_worths_share_out_what_the_simulation_moved(objective):
    """All maps of a layer together are worth its stores, and its readers' loads and kernels: nothing twice."""
    shapes = chain(
        conv_layer("a", (8, 8, 8), 32, (3, 3), padding=1), conv_layer("b", (32, 8, 8), 16, (3, 3), padding=1)
    )
    trace = with_random_maps(shapes, np.random.default_rng(0))
    report = simulator.simulate(trace, small_accelerator())
    worths = map_worths(trace, report, objective, kernels_stay=False)
    dram = report.traffic[report.traffic.level == "dram"].set_index(["layer", "operand", "direction"])["bytes"]
    values = dram["a", "ofm", "write"] + dram["b", "ifm", "read"]
    if objective == "dram_bytes":
        assert 32 * worths["a"].values == pytest.approx(values)
        assert 32 * worths["a"].work == pytest.approx(dram["b", "kernel", "read"])
        stays = map_worths(trace, report, objective, kernels_stay=True)
        assert stays["a"] == Worth(worths["a"].values, 0.0)
    else:
        column = "cycles" if objective == "cycles" else "energy_pj"
        everything = report.layers[column].sum()
        assert 0 < 32 * worths["a"].total < everything
    assert worths["b"].work == 0, "nobody reads it"


def test_the_file_comes_back_as_it_was_written(tmp_path):
    path = tmp_path / "epsilon.json"
    file = CalibratedEpsilons("net", {"a": 0.5, "b": (0.1, 0.25)}, {"b": (0.0, -1.5)}, "mean", provenance={"x": 1})
    file.save(path)
    assert calibrated_epsilons(json.loads(path.read_text(encoding="utf-8")), "file") == file
    assert [entry.name for entry in tmp_path.iterdir()] == ["epsilon.json"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"fmapsim_epsilons": 2}, "file: fmapsim_epsilons 2, expected 1"),
        ({"epsilon": [1]}, "file: epsilon is a list, expected keys and values"),
        ({"epsilon": {"a": [0.1, -1]}}, "file: layer 'a': found -1, expected a number of 0 or more"),
        ({"epsilon": {"a": []}}, r"file: layer 'a': found \[\], expected"),
        ({"epsilon": {"a": True}}, "file: layer 'a': found True, expected"),
        ({"means": {"a": ["x"]}}, "file: means of layer 'a': expected a list of one number per channel"),
        ({"rule": 3}, "file: rule is 3, expected a text"),
        ({"extra": 3}, "file: unknown key 'extra'"),
    ],
)
def test_files_that_are_wrong(change, message):
    content = {"fmapsim_epsilons": 1, "network": "net", "epsilon": {"a": 0.1}} | change
    with pytest.raises(InputError, match=message):
        calibrated_epsilons(content, "file")


def test_a_journal_remembers_its_own_calibration_alone(tmp_path, samples):
    result, margins = tmp_path / "out.json", np.arange(50, dtype=np.float32)
    step = Step(0.1, 0.2, 0.3, 0.4, 0.5)

    def never() -> Step:
        raise AssertionError("found again")

    first = Journal(result, "one")
    assert first.step("search", 0.1, lambda: step) == step
    first.samples(lambda: ({"a": samples}, margins))
    again = Journal(result, "one")
    assert again.step("search", 0.1, never) == step
    found, found_margins = again.samples(never)
    assert np.array_equal(found["a"].gradient, samples.gradient)
    assert np.array_equal(found_margins, margins)
    with pytest.raises(AssertionError, match="found again"):
        Journal(result, "two").step("search", 0.1, never)
    with pytest.raises(AssertionError, match="found again"):
        Journal(result, "two").samples(never)
    (tmp_path / "out.json.progress.json").write_text("{", encoding="utf-8")
    (tmp_path / "out.json.progress.npz").write_bytes(b"PK")
    assert Journal(result, "one").step("search", 0.1, lambda: step) == step
    again.remove()
    assert list(tmp_path.iterdir()) == []
