"""The calibration: from a network, labelled images and an accelerator to epsilons, and to what they are worth."""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass, replace
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
from simulator.pruning.dynamic.intervals import Difference, paired_difference
from simulator.pruning.dynamic.journal import Journal
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
    spreads: how far thresholds follow what maps are worth (`Allocation`), of which the one that saves most is taken."""

    hardware: str | Path
    objective: Objective = "dram_bytes"
    max_loss: float = 0.01
    rule: str = "all"
    thresholds: Thresholds = "taylor"
    replace: str = "zero"
    simulated: int = 4
    overrides: Mapping[str, object] | None = None
    spreads: tuple[float, ...] = (1.0, 0.5, 0.0)

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

    @property
    def unit(self) -> dict[str, str]:
        """What the accelerator's pruning unit must be able to do for these epsilons, as overrides."""
        needs = {"pruning.rule": unit_rule(self.rule)}
        needs["pruning.thresholds"] = "layer" if self.thresholds == "layer" else "channel"
        needs["pruning.replacement"] = self.replace
        return needs


@dataclass(frozen=True)
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
        self._bench = Bench(model, self._plan, name, calibration.batches, calibration.labels)
        self._held_out = Bench(model, self._plan, name, evaluation.batches, evaluation.labels)
        path, origin = (None, "") if journal is None else journal
        relevant = {"origin": origin, "settings": str(settings), "hardware": accelerator.model_dump(mode="json")}
        digest = hashlib.sha256(json.dumps(relevant, sort_keys=True).encode()).hexdigest()
        self._journal = Journal(path, digest)
        self._tried: dict[str, list[Step]] = {}

    def run(self) -> Calibration:
        settings = self._settings
        allocation, samples, margins = self._allocation()
        self._worth = allocation.worth
        self._unpruned = self._outcome(self._bench, None, "calibration, unpruned")
        scales = {name: float(layer.score.mean(dtype=np.float64)) for name, layer in samples.items()}

        def by_global(level: float) -> DynamicPruning:
            epsilons = {name: rounded(np.array([level * scale]))[0] for name, scale in scales.items()}
            return DynamicPruning(epsilons, rule=settings.rule)

        def by_allocation(spread: float) -> Callable[[float], DynamicPruning]:
            chosen = replace(allocation, spread=spread)

            def at(level: float) -> DynamicPruning:
                epsilons = chosen.thresholds(level)
                means = flagged_means(samples, epsilons) if settings.replace == "mean" else None
                return DynamicPruning(epsilons, rule=settings.rule, means=means)

            return at

        best_global = self._search(GLOBAL, by_global, _FIRST_GLOBAL)
        best, found = None, None
        for spread in settings.spreads:
            chosen = replace(allocation, spread=spread)
            start = chosen.level_of(
                lambda level, chosen=chosen: expected_disturbance(samples, margins, chosen.thresholds(level)),  # type: ignore[misc]
                _FIRST_DISTURBANCE,
            )
            step = self._search(f"{CALIBRATED}, spread {spread:g}", by_allocation(spread), start)
            if best is None or step.saved > best.saved:
                best, found = step, by_allocation(spread)(step.level)
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

    def _allocation(self) -> tuple[Allocation, dict[str, LayerSamples], npt.NDArray[np.float32]]:
        settings, total = self._settings, len(self._calibration.labels)

        def sample() -> tuple[dict[str, LayerSamples], npt.NDArray[np.float32]]:
            with self._watch("sensitivity", "images") as advance, evaluating(self._model):
                return sample_layers(
                    self._model, self._plan, self._calibration.batches, settings.rule, lambda done: advance(done, total)
                )

        samples, margins = self._journal.samples(sample)
        few = self._calibration.batches[0][:2]
        trace = extract(self._model, few, name=self._name)
        report = simulate(trace, self._accelerator)
        by_mean = settings.replace == "mean"
        worths = map_worths(trace, report, settings.objective, kernels_stay=by_mean)
        found = sensitivities(samples, margins, by_mean=by_mean)
        norms = kernel_norms(self._model, trace) if settings.thresholds == "kernel" else {}
        by_density = self._accelerator.compression.feature_map.codec != "raw"
        allocation = Allocation(
            weighted(found, settings.thresholds, norms),
            channel_worths(samples, worths, by_density=by_density),
            settings.thresholds != "layer",
        )
        return allocation, samples, margins

    def _outcome(self, bench: Bench, pruning: DynamicPruning | None, what: str) -> Outcome:
        images = self._calibration if bench is self._bench else self._evaluation
        with self._watch(what, "images") as advance:
            return bench.run(pruning, lambda done: advance(done, len(images.labels)))

    def _search(self, what: str, pruning_at: Callable[[float], DynamicPruning], start: float) -> Step:
        def measured(level: float) -> Step:
            outcome = self._outcome(self._bench, pruning_at(level), f"{what}, level {level:.3g}")
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
        unpruned = self._outcome(self._held_out, candidates["epsilon 0"], "held out, unpruned")
        images = _first(self._evaluation.batches, self._settings.simulated)
        whole = extract(self._model, images, name=self._name)
        base = simulate(whole, self._accelerator).totals
        nothing = Difference(0.0, 0.0, 0.0)
        rows = [_row("unpruned", replace(unpruned, flagged=0, flagged_elements=0), nothing, base)]
        for name, pruning in candidates.items():
            same = pruning.changes_nothing
            outcome = unpruned if same else self._outcome(self._held_out, pruning, f"held out, {name}")
            needed = self._settings.unit if name == CALIBRATED else {"pruning.rule": unit_rule(pruning.rule)}
            hardware = load_accelerator(self._settings.hardware, {**(self._settings.overrides or {}), **needed})
            trace = extract(
                self._model, images, name=self._name, epsilon=pruning.epsilons, rule=pruning.rule, means=pruning.means
            )
            totals = simulate(trace, hardware, pruning="dynamic").totals
            change = nothing if same else paired_difference(unpruned.correct, outcome.correct)
            rows.append(_row(name, outcome, change, totals))
        return rows


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
