"""Sensitivities against what really changes, and a whole calibration of a small network."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="calibration needs PyTorch")
import torch.nn.functional as F  # noqa: E402, N812
from torch import nn  # noqa: E402

from simulator.errors import InputError  # noqa: E402
from simulator.extract.extract import evaluating, extract  # noqa: E402
from simulator.extract.plan import make_plan  # noqa: E402
from simulator.extract.pruning_hook import DynamicPruning, flagged_feature_maps  # noqa: E402
from simulator.extract.tracer import trace_graph  # noqa: E402
from simulator.pruning.dynamic.bench import Bench, Outcome  # noqa: E402
from simulator.pruning.dynamic.calibrate import CALIBRATED, LabelledImages, Settings, calibrate  # noqa: E402
from simulator.pruning.dynamic.cross_fit import folds_of, joined  # noqa: E402
from simulator.pruning.dynamic.kernel_norms import kernel_norms  # noqa: E402
from simulator.pruning.dynamic.sensitivity import sample_layers, scores  # noqa: E402

torch.set_num_threads(1)


class Net(nn.Module):
    """Two convolutions, a depthwise one in place, a residual sum and a classifier; `linear` leaves out activations."""

    def __init__(self, linear: bool = False) -> None:
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(3, 16, 3, padding=1), nn.Conv2d(16, 16, 3, padding=1, groups=16)
        self.side, self.fc = nn.Conv2d(16, 16, 1), nn.Linear(16, 6)
        self.activation = nn.Identity() if linear else nn.ReLU(inplace=True)

    def forward(self, x):
        y = self.activation(self.conv1(x))
        y = self.activation(self.conv2(y)) + self.side(y)
        return self.fc(F.adaptive_avg_pool2d(y, 1).flatten(1))


def made(linear: bool = False) -> Net:
    torch.manual_seed(0)
    return Net(linear).eval()


def images(count: int, seed: int = 1) -> torch.Tensor:
    torch.manual_seed(seed)
    return torch.randn(count, 3, 8, 8)


def planned(net: nn.Module, batch: torch.Tensor):
    with evaluating(net):
        return make_plan(trace_graph(net, batch[:2], "net"))


@pytest.mark.parametrize("linear", [True, False])
@pytest.mark.parametrize("constant", [0.0, 0.3])
def test_sensitivities_are_what_the_margin_really_changes_by(linear, constant):
    """Without activations the first order is all there is; with them it is the slope, seen in a small step."""
    net, batch = made(linear), images(3)
    plan = planned(net, batch)
    with evaluating(net):
        samples, margins = sample_layers(net, plan, [batch[:2], batch[2:]], "all")
    with torch.no_grad():
        plain = net(batch)
        order = plain.topk(2).indices
        first = net.activation(net.conv1(batch))

    def margin(maps: torch.Tensor) -> torch.Tensor:
        with torch.no_grad():
            y = net.activation(net.conv2(maps)) + net.side(maps)
            logits = net.fc(y.mean((2, 3)))
        found = logits.gather(1, order)
        return found[:, 0] - found[:, 1]

    assert margins == pytest.approx(margin(first).numpy(), abs=1e-5)
    step = 1.0 if linear else 1e-3
    for channel in range(16):
        changed = first.clone()
        changed[:, channel] += step * (constant - changed[:, channel])
        expected = (margin(changed) - margin(first)).double().numpy() / step
        found = samples["conv1"].change(np.full(16, constant))[:, channel]
        assert found == pytest.approx(expected, abs=1e-4 if linear else 3e-3), channel
    assert samples["conv1"].score == pytest.approx(first.abs().amax((2, 3)).numpy())
    assert samples["conv1"].mean == pytest.approx(first.mean((2, 3)).numpy(), abs=1e-6)
    assert set(samples) == set(plan.prunable)
    assert all(parameter.requires_grad for parameter in net.parameters())


@pytest.mark.parametrize("rule", ["all", "mean", "50%", "99%"])
def test_a_score_is_the_least_epsilon_that_flags(rule):
    torch.manual_seed(4)
    maps = torch.randn(5, 4, 7, 3)
    least = scores(maps, rule)
    for channel in range(4):
        for image in range(5):
            one, epsilon = maps[image : image + 1, channel : channel + 1], float(least[image, channel])
            assert flagged_feature_maps(one, epsilon * 1.000001, rule).all()
            assert not flagged_feature_maps(one, epsilon * 0.999, rule).any()


def test_a_bench_agrees_with_the_recording():
    net, batch = made(), images(12)
    plan = planned(net, batch)
    labels = net(batch).argmax(1).numpy()
    labels[:3] = (labels[:3] + 1) % 6
    pruning = DynamicPruning({"conv1": (0.9,) * 16, "side": 0.8})
    outcome = Bench(net, plan, "net", batch.split(5), labels).run(pruning)
    trace = extract(net, batch, name="net", epsilon=pruning.epsilons, labels=labels)
    assert trace.accuracy is not None
    assert outcome.top1 == pytest.approx(trace.accuracy.top1)
    empty = [
        ~trace.nonzero(trace.layer(name).output, image).any(axis=(1, 2))
        for name in pruning.epsilons
        for image in range(12)
    ]
    assert outcome.flagged == int(np.sum(empty))
    assert outcome.maps == 12 * 32
    assert outcome.flagged_element_share == outcome.flagged_share, "all maps have 8×8 elements"
    assert 0.02 < outcome.flagged_share < 0.9


def test_kernel_norms_add_up_over_readers():
    net = made()
    trace = extract(net, images(2), name="net")
    expected = net.conv2.weight.pow(2).sum((1, 2, 3)) + net.side.weight.pow(2).sum((0, 2, 3))
    assert kernel_norms(net, trace)["conv1"] == pytest.approx(expected.detach().sqrt().numpy(), rel=1e-5)


@pytest.fixture
def task() -> tuple[nn.Module, LabelledImages, LabelledImages]:
    """A random network that is right on most of its images, by its own word."""
    net, batch = made(), images(160)
    with torch.no_grad():
        labels = net(batch).argmax(1).numpy()
    labels[::10] = (labels[::10] + 1) % 6
    return net, *(LabelledImages(batch[part].split(20), labels[part]) for part in (slice(100), slice(100, 160)))


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"replace": "mean", "objective": "energy"},
        {"rule": "mean", "thresholds": "kernel", "objective": "cycles"},
        {"rule": "90%", "thresholds": "layer"},
    ],
)
def test_a_calibration_stays_within_the_loss_and_says_what_it_saves(task, options):
    net, calibration, evaluation = task
    settings = Settings("edge-npu", max_loss=0.04, simulated=2, **options)
    found = calibrate(net, calibration, evaluation, settings, name="net")
    unpruned, zero, best_global, calibrated = found.rows
    for step in found.steps.values():
        assert step.within(0.04), step
    assert found.steps[CALIBRATED].flagged > 0.02
    assert unpruned.flagged_maps == 0
    assert zero.top1 == unpruned.top1
    assert zero.change.value == zero.change.high == 0
    assert best_global.flagged_maps >= zero.flagged_maps
    assert calibrated.change.value == pytest.approx(calibrated.top1 - unpruned.top1)
    assert bool(found.means) == (settings.replace == "mean")
    # The row is what a recording with these epsilons gives.
    trace = extract(
        net,
        evaluation.batches,
        name="net",
        labels=evaluation.labels,
        epsilon=found.epsilon,
        means=found.means or None,
        rule=settings.rule,
    )
    assert trace.accuracy is not None
    assert trace.accuracy.top1 == pytest.approx(calibrated.top1)


@pytest.mark.parametrize(("total", "most", "count"), [(103, 4, 4), (3, 8, 3), (7, 1, 1), (1, 4, 1)])
def test_folds_put_every_image_where_it_was(total, most, count):
    folds = folds_of(total, most)
    assert len(folds) == count
    assert (np.sum(folds, axis=0) == 1).all()
    random = np.random.default_rng(total)
    correct, certainty = random.random(total) < 0.5, random.random(total)
    flags = random.integers(0, 9, (total, 2))

    def outcome(of):
        flagged = int(flags[of].sum())
        return Outcome(correct[of], certainty[of], flagged, 9, 4 * flagged, 36, {"conv": flags[of].sum(axis=0)})

    found, whole = joined([outcome(fold) for fold in folds], folds), outcome(np.ones(total, bool))
    assert (found.correct == whole.correct).all()
    assert (found.certainty == whole.certainty).all()
    assert (found.by_channel["conv"] == whole.by_channel["conv"]).all()
    assert (found.flagged, found.maps) == (whole.flagged, 9 * count)
    assert (found.flagged_elements, found.elements) == (whole.flagged_elements, 36 * count)


def test_no_image_judges_thresholds_that_it_made(task, monkeypatch):
    """Another image 5 changes the thresholds that the other folds are judged with, and not those of its own fold."""
    net, calibration, evaluation = task
    batch = torch.cat(list(calibration.batches))
    settings = Settings("edge-npu", max_loss=0.04, simulated=1, folds=4, spreads=(1.0,))
    run, seen = Bench.run, []

    def watched(bench, pruning, progress=None):
        if pruning is not None and isinstance(pruning.epsilons["conv1"], tuple):
            seen.append(np.concatenate([np.ravel(value) for value in pruning.epsilons.values()]))
        return run(bench, pruning, progress)

    monkeypatch.setattr(Bench, "run", watched)
    found = []
    for image in (batch[5], images(1, seed=9)[0] * 2):
        changed = torch.cat([batch[:5], image[None], batch[6:]]).split(20)
        seen.clear()
        calibrate(net, LabelledImages(changed, calibration.labels), evaluation, settings, name="net")
        found.append([fold / fold.sum() for fold in seen[:4]])
    same = [np.allclose(before, after, rtol=1e-3) for before, after in zip(*found, strict=True)]
    assert same == [False, True, False, False]


def test_an_interrupted_calibration_goes_on_where_it_stopped(task, tmp_path):
    net, calibration, evaluation = task
    settings = Settings("edge-npu", max_loss=0.04, simulated=1)
    whole = calibrate(net, calibration, evaluation, settings, name="net")
    runs = 0

    class Stopping:
        """Progress that is interrupted in the eighth run over the images."""

        def __init__(self, stop: bool) -> None:
            self.stop = stop

        def __call__(self, what: str, unit: str):
            nonlocal runs
            runs += 1
            if self.stop and runs == 8:
                raise KeyboardInterrupt
            import contextlib

            return contextlib.nullcontext(lambda done, total: None)

    journal = (Path(tmp_path / "out.json"), "net and images")
    with pytest.raises(KeyboardInterrupt):
        calibrate(net, calibration, evaluation, settings, name="net", journal=journal, watch=Stopping(True))
    assert len(list(tmp_path.iterdir())) == 2
    before, runs = runs, 0
    again = calibrate(net, calibration, evaluation, settings, name="net", journal=journal, watch=Stopping(False))
    assert again.epsilon == whole.epsilon
    assert [dataclasses.asdict(row) for row in again.rows] == [dataclasses.asdict(row) for row in whole.rows]
    assert before == 8


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"rule": "101%"}, "rule '101%', expected all, mean or a share"),
        ({"thresholds": "norm"}, "thresholds 'norm', expected layer, kernel or taylor"),
        ({"replace": "median"}, "replace 'median', expected zero or mean"),
        ({"objective": "time"}, "objective 'time', expected dram_bytes, cycles or energy"),
        ({"max_loss": -0.1}, "max_loss is -0.1"),
        ({"simulated": 0}, "simulated is 0"),
        ({"folds": 0}, "folds is 0"),
        ({"overrides": {"pruning.side": "ifm"}}, "prunes per feature_map on the side ifm; calibration needs"),
        ({"hardware": "eyeris"}, "did you mean 'eyeriss'"),
    ],
)
def test_settings_that_are_refused(task, change, message):
    with pytest.raises(InputError, match=message):
        calibrate(*task, Settings(**({"hardware": "edge-npu"} | change)), name="net")
