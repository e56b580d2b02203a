"""The calibration: from a network, labelled images and an accelerator to epsilons, and to what they are worth."""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass, replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, get_args

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from simulator.api import simulate
from simulator.errors import InputError
from simulator.extract.extract import evaluating, extract
from simulator.extract.plan import Plan, make_plan
from simulator.extract.pruning_hook import DynamicPruning, Epsilon, is_rule
from simulator.extract.tracer import trace_graph
from simulator.extract.views import EXAMPLES
from simulator.hardware.accelerator import Accelerator
from simulator.hardware.load import load_accelerator
from simulator.pruning.dynamic.allocation import (
    Allocation,
    LayerSamples,
    Thresholds,
    channel_worths,
    expected_disturbance,
    flagged_means,
    rounded,
    sensitivities,
    weighted,
)
from simulator.pruning.dynamic.bench import Bench, Outcome
from simulator.pruning.dynamic.cross_fit import folds_of, joined, picked, without
from simulator.pruning.dynamic.intervals import Difference, paired_difference
from simulator.pruning.dynamic.journal import Journal, Samples
from simulator.pruning.dynamic.kernel_norms import kernel_norms
from simulator.pruning.dynamic.search import Step, strongest
from simulator.pruning.dynamic.sensitivity import sample_layers
from simulator.pruning.dynamic.worth import Objective, map_worths

Progress = Callable[[int, int], None]
Watch = Callable[[str, str], AbstractContextManager[Progress]]

GLOBAL, CALIBRATED = "global epsilon", "calibrated"
"""The names of the two that are compared."""

_FIRST_DISTURBANCE = 0.015
"""Where the search for the level begins: as much expected disturbance as costs most networks about a point of top-1."""

_FIRST_GLOBAL = 0.15
"""Where the search for the global epsilon begins, as a multiple of the layer's mean score."""


def unit_rule(rule: str) -> str:
    """What a pruning unit is called that decides by a rule."""
    return rule if rule in ("all", "mean") else "count"


@dataclass(frozen=True)
class Settings:
    """What to calibrate for. max_loss is a fraction of top-1; simulated: how many held-out images are simulated;
    spreads: how far thresholds follow what maps are worth (`Allocation`), of which the one that saves most is taken;
    folds: into how many parts the calibration images are dealt to judge thresholds on others than they were made from
    (`cross_fit`), 1 to judge them on those they were made from."""

    hardware: str | Path
    objective: Objective = "dram_bytes"
    max_loss: float = 0.01
    rule: str = "all"
    thresholds: Thresholds = "taylor"
    replace: str = "zero"
    simulated: int = 4
    overrides: Mapping[str, object] | None = None
    spreads: tuple[float, ...] = (1.0, 0.5, 0.0)
    folds: int = 4

    def __post_init__(self) -> None:
        """Raises InputError for a value that is not allowed."""
        if not is_rule(self.rule):
            raise InputError(f"rule '{self.rule}', expected all, mean or a share such as 99%")
        for key, allowed in (
            ("objective", get_args(Objective)),
            ("thresholds", get_args(Thresholds)),
            ("replace", ("zero", "mean")),
        ):
            if getattr(self, key) not in allowed:
                raise InputError(f"{key} '{getattr(self, key)}', expected {', '.join(allowed[:-1])} or {allowed[-1]}")
        if not 0 <= self.max_loss < 1:
            raise InputError(f"max_loss is {self.max_loss}, expected a fraction of 0 to below 1")
        if self.simulated < 1:
            raise InputError(f"simulated is {self.simulated}, expected at least 1 image")
        if self.folds < 1:
            raise InputError(f"folds is {self.folds}, expected at least 1")

    @property
    def unit(self) -> dict[str, str]:
        """What the accelerator's pruning unit must be able to do for these epsilons, as overrides."""
        needs = {"pruning.rule": unit_rule(self.rule)}
        needs["pruning.thresholds"] = "layer" if self.thresholds == "layer" else "channel"
        needs["pruning.replacement"] = self.replace
        return needs


@dataclass(frozen=True, eq=False)
class LabelledImages:
    """Images in batches as the network takes them, and the class of each."""

    batches: Sequence[torch.Tensor]
    labels: npt.NDArray[np.int64]


@dataclass(frozen=True)
class Row:
    """One kind of pruning on the held-out images: accuracy over all of them, simulated figures over some.

    change: of top-1 against the network without pruning, paired by image. Shares are of all feature maps that layers
    write and read again, and of their elements.
    """

    name: str
    top1: float
    change: Difference
    flagged_maps: float
    flagged_elements: float
    dram_bytes: float
    cycles: float
    energy_pj: float


@dataclass(frozen=True)
class Calibration:
    """The epsilons found, what flagged maps become (empty for zero), the rows to compare, the step taken of each search
    and all that were tried."""

    epsilon: Mapping[str, Epsilon]
    means: Mapping[str, Sequence[float]]
    global_epsilon: float
    rows: list[Row]
    steps: Mapping[str, Step]
    tried: Mapping[str, list[Step]]

    def results(self) -> dict[str, Any]:
        """The rows and steps as JSON values."""
        return {
            "global_epsilon": self.global_epsilon,
            "rows": [asdict(row) for row in self.rows],
            "calibration": {name: asdict(step) for name, step in self.steps.items()},
            "tried": {name: [asdict(step) for step in steps] for name, steps in self.tried.items()},
        }


def _unwatched(what: str, unit: str) -> AbstractContextManager[Progress]:
    return nullcontext(lambda done, total: None)


def calibrate(
    model: nn.Module,
    calibration: LabelledImages,
    evaluation: LabelledImages,
    settings: Settings,
    *,
    name: str,
    journal: tuple[Path, str] | None = None,
    watch: Watch = _unwatched,
) -> Calibration:
    """Epsilons for `model` that save most of the objective on the accelerator within the loss, and what they save.

    Thresholds and their strength are found on the calibration images; the rows are of the evaluation images. journal:
    beside which file to note what has been found, and the fingerprint of network and images. watch: progress, as in
    `simulator.commands.terminal`. Raises InputError when the accelerator or the images cannot be used.
    """
    accelerator = load_accelerator(settings.hardware, settings.overrides)
    if accelerator.pruning.granularity != "feature_map" or accelerator.pruning.side != "ofm":
        raise InputError(
            f"accelerator '{accelerator.name}' prunes per {accelerator.pruning.granularity} on the side "
            f"{accelerator.pruning.side}; calibration needs pruning.granularity feature_map and pruning.side ofm"
        )
    return _Calibrator(model, calibration, evaluation, settings, name, accelerator, journal, watch).run()


@dataclass(frozen=True)
class _Made:
    """An allocation and the samples that it was made from."""

    samples: Mapping[str, LayerSamples]
    allocation: Allocation

    def pruning(self, level: float, spread: float, settings: Settings) -> DynamicPruning:
        """What flags feature maps at a level."""
        epsilons = replace(self.allocation, spread=spread).thresholds(level)
        means = flagged_means(self.samples, epsilons) if settings.replace == "mean" else None
        return DynamicPruning(epsilons, rule=settings.rule, means=means)

    def level_of(self, margins: npt.NDArray[np.float32], spread: float, disturbance: float) -> float:
        """The level at which so much disturbance is expected."""
        chosen = replace(self.allocation, spread=spread)
        return chosen.level_of(
            lambda level: expected_disturbance(self.samples, margins, chosen.thresholds(level)), disturbance
        )


class _Calibrator:
    def __init__(
        self,
        model: nn.Module,
        calibration: LabelledImages,
        evaluation: LabelledImages,
        settings: Settings,
        name: str,
        accelerator: Accelerator,
        journal: tuple[Path, str] | None,
        watch: Watch,
    ) -> None:
        self._model, self._name, self._settings = model, name, settings
        self._accelerator, self._watch = accelerator, watch
        self._calibration, self._evaluation = calibration, evaluation
        self._plan = _plan_of(model, calibration.batches[0], name)
        self._folds = folds_of(len(calibration.labels), settings.folds)
        self._benches = [
            Bench(model, self._plan, name, picked(calibration.batches, fold), calibration.labels[fold])
            for fold in self._folds
        ]
        self._held_out = Bench(model, self._plan, name, evaluation.batches, evaluation.labels)
        path, origin = (None, "") if journal is None else journal
        relevant = {"origin": origin, "settings": str(settings), "hardware": accelerator.model_dump(mode="json")}
        digest = hashlib.sha256(json.dumps(relevant, sort_keys=True).encode()).hexdigest()
        self._journal = Journal(path, digest)
        self._tried: dict[str, list[Step]] = {}

    def run(self) -> Calibration:
        settings = self._settings
        samples, margins = self._samples()
        allocate = self._allocator()
        every = _Made(samples, allocate(samples, margins))
        folds = []
        for fold in self._folds:
            others, their_margins = without(samples, margins, fold)
            folds.append(_Made(others, allocate(others, their_margins)))
        self._worth = every.allocation.worth
        self._unpruned = self._on_folds([None] * len(folds), "calibration, unpruned")
        scales = {name: float(layer.score.mean(dtype=np.float64)) for name, layer in samples.items()}

        def by_global(level: float) -> DynamicPruning:
            epsilons = {name: rounded(np.array([level * scale]))[0] for name, scale in scales.items()}
            return DynamicPruning(epsilons, rule=settings.rule)

        best_global = self._search(GLOBAL, lambda level: [by_global(level)] * len(folds), _FIRST_GLOBAL)
        best, found = None, None
        for spread in settings.spreads:

            def at(level: float, spread: float = spread) -> list[DynamicPruning]:
                return [one.pruning(level, spread, settings) for one in folds]

            start = every.level_of(margins, spread, _FIRST_DISTURBANCE)
            step = self._search(f"{CALIBRATED}, spread {spread:g}", at, start)
            if best is None or step.saved > best.saved:
                best, found = step, every.pruning(step.level, spread, settings)
        assert best is not None
        assert found is not None
        candidates = {
            "epsilon 0": DynamicPruning(dict.fromkeys(samples, 0.0)),
            GLOBAL: by_global(best_global.level),
            CALIBRATED: found,
        }
        rows = self._rows(candidates)
        steps = {GLOBAL: best_global, CALIBRATED: best}
        return Calibration(found.epsilons, found.means or {}, best_global.level, rows, steps, self._tried)

    def _samples(self) -> Samples:
        def sample() -> Samples:
            total = len(self._calibration.labels)
            with self._watch("sensitivity", "images") as advance, evaluating(self._model):
                batches, rule = self._calibration.batches, self._settings.rule
                return sample_layers(self._model, self._plan, batches, rule, lambda done: advance(done, total))

        return self._journal.samples(sample)

    def _allocator(self) -> Callable[[Mapping[str, LayerSamples], npt.NDArray[np.float32]], Allocation]:
        """What makes an allocation from samples and margins, on what two images say of the accelerator."""
        settings = self._settings
        trace = extract(self._model, self._calibration.batches[0][:2], name=self._name)
        by_mean = settings.replace == "mean"
        worths = map_worths(trace, simulate(trace, self._accelerator), settings.objective, kernels_stay=by_mean)
        norms = kernel_norms(self._model, trace) if settings.thresholds == "kernel" else {}
        by_density = self._accelerator.compression.feature_map.codec != "raw"

        def allocate(samples: Mapping[str, LayerSamples], margins: npt.NDArray[np.float32]) -> Allocation:
            found = sensitivities(samples, margins, by_mean=by_mean)
            return Allocation(
                weighted(found, settings.thresholds, norms),
                channel_worths(samples, worths, by_density=by_density),
                settings.thresholds != "layer",
            )

        return allocate

    def _on_folds(self, prunings: Sequence[DynamicPruning | None], what: str) -> Outcome:
        """What becomes of the calibration images, those of each fold under a pruning of its own."""
        total, done = len(self._calibration.labels), 0
        outcomes: list[Outcome] = []
        with self._watch(what, "images") as advance:
            for bench, pruning in zip(self._benches, prunings, strict=True):
                outcomes.append(bench.run(pruning, partial(_advanced, advance, total, done)))
                done += len(outcomes[-1].correct)
        return joined(outcomes, self._folds)

    def _on_held_out(self, pruning: DynamicPruning, what: str) -> Outcome:
        with self._watch(f"held out, {what}", "images") as advance:
            return self._held_out.run(pruning, lambda done: advance(done, len(self._evaluation.labels)))

    def _search(self, what: str, prunings_at: Callable[[float], Sequence[DynamicPruning]], start: float) -> Step:
        def measured(level: float) -> Step:
            outcome = self._on_folds(prunings_at(level), f"{what}, level {level:.3g}")
            return Step(
                level,
                self._unpruned.top1 - outcome.top1,
                float((self._unpruned.certainty - outcome.certainty).mean()),
                outcome.flagged_share,
                sum(float(self._worth[name] @ count) for name, count in outcome.by_channel.items())
                / len(self._calibration.labels),
            )

        def step(level: float) -> Step:
            found = self._journal.step(what, level, lambda: measured(level))
            self._tried.setdefault(what, []).append(found)
            return found

        best = strongest(step, start, self._settings.max_loss)
        return step(0.0) if best is None else best

    def _rows(self, candidates: Mapping[str, DynamicPruning]) -> list[Row]:
        # At epsilon 0 only zeros become zero: one run is both, and its flags are counted.
        unpruned = self._on_held_out(candidates["epsilon 0"], "unpruned")
        images = _first(self._evaluation.batches, self._settings.simulated)
        whole = extract(self._model, images, name=self._name)
        base = simulate(whole, self._accelerator).totals
        nothing = Difference(0.0, 0.0, 0.0)
        rows = [_row("unpruned", replace(unpruned, flagged=0, flagged_elements=0), nothing, base)]
        for name, pruning in candidates.items():
            same = pruning.changes_nothing
            outcome = unpruned if same else self._on_held_out(pruning, name)
            needed = self._settings.unit if name == CALIBRATED else {"pruning.rule": unit_rule(pruning.rule)}
            hardware = load_accelerator(self._settings.hardware, {**(self._settings.overrides or {}), **needed})
            trace = extract(
                self._model, images, name=self._name, epsilon=pruning.epsilons, rule=pruning.rule, means=pruning.means
            )
            totals = simulate(trace, hardware, pruning="dynamic").totals
            change = nothing if same else paired_difference(unpruned.correct, outcome.correct)
            rows.append(_row(name, outcome, change, totals))
        return rows


def _advanced(advance: Progress, total: int, before: int, done: int) -> None:
    advance(before + done, total)


def _row(name: str, outcome: Outcome, change: Difference, totals: Mapping[str, float]) -> Row:
    figures = (float(totals[key]) for key in ("dram_bytes", "cycles", "energy_pj"))
    return Row(name, outcome.top1, change, outcome.flagged_share, outcome.flagged_element_share, *figures)


def _first(batches: Sequence[torch.Tensor], count: int) -> list[torch.Tensor]:
    left, chosen = count, []
    for batch in islice(batches, count):
        chosen.append(batch[:left])
        left -= len(chosen[-1])
        if not left:
            break
    return chosen


def _plan_of(model: nn.Module, batch: torch.Tensor, name: str) -> Plan:
    with evaluating(model):
        return make_plan(trace_graph(model, batch[:1].repeat(EXAMPLES, *[1] * (batch.dim() - 1)), name))
