"""From a network to a pruned one: score, decide widths, cut."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from torch import nn

from simulator.errors import InputError
from simulator.pruning.static.budget import Budget
from simulator.pruning.static.calibration import Calibration
from simulator.pruning.static.costs import Cost, Counts, Widths, cost_of, count
from simulator.pruning.static.criteria.criterion import Criterion, Floats, Scoring, Settings
from simulator.pruning.static.criteria.registry import criterion_named
from simulator.pruning.static.cut import Cuts, cut
from simulator.pruning.static.groups import Ints, Prunable, find_groups, shared_copy
from simulator.pruning.static.structures.choice import Limits, best_units, over_mean
from simulator.pruning.static.structures.given import given
from simulator.pruning.static.structures.global_ranking import global_ranking
from simulator.pruning.static.structures.greedy import greedy_step
from simulator.pruning.static.structures.uniform import uniform
from simulator.trace.trace import Trace

StructureName = Literal["uniform", "greedy", "global", "given"]
STRUCTURES: dict[StructureName, str] = {
    "uniform": "the same share in every group",
    "greedy": "step by step from the group that loses least per saving",
    "global": "one ranking over all groups",
    "given": "widths from a file, as in structure distillation",
}


@dataclass(frozen=True)
class GreedyOptions:
    """step: the share of the unpruned quantity that each step saves. rescore_every: steps after which the network is
    cut, fine-tuned and scored anew; 0 scores the unpruned network once. fine_tune trains a network in place. evaluate:
    its accuracy; with it, the candidate of the best accuracy wins, as in the author's code, not that of the least loss.
    """

    step: float = 0.005
    rescore_every: int = 0
    fine_tune: Callable[[nn.Module], None] | None = None
    evaluate: Callable[[nn.Module], float] | None = None

    def __post_init__(self) -> None:
        if not 0 < self.step <= 1:
            raise InputError(f"a greedy step is {self.step:g} of the quantity, expected more than 0 and at most 1")


@dataclass(frozen=True, eq=False)
class Pruned:
    """A pruned network: `model` without the channels, `kept` the unit numbers that each pruned group keeps.

    prunable: the groups of the unpruned network. before, after: counts of both. cost: (unpruned, pruned, limit) in
    units of the budget's quantity, None without a budget.
    """

    model: nn.Module
    kept: Mapping[str, Ints]
    prunable: Prunable
    before: Counts
    after: Counts
    cost: tuple[float, float, float] | None = None

    @property
    def widths(self) -> dict[str, int]:
        """Output channels of every layer of a group, pruned or not."""
        found: dict[str, int] = {}
        for group in self.prunable:
            units = len(self.kept.get(group.name, range(group.units)))
            found |= {member.layer: units * member.channels.shape[1] for member in group.producers}
        return found


@dataclass(frozen=True)
class Request:
    """What to prune by: the criterion's name, the structure's, and for all but `given` a budget, for `given` widths by
    layer or pattern. trace: a recording of the network, for criteria that read zeros from one.
    """

    criterion: str = "di"
    structure: StructureName = "uniform"
    budget: Budget | None = None
    widths: Mapping[str, float] | None = None
    settings: Settings = field(default_factory=Settings)
    limits: Limits = field(default_factory=Limits)
    greedy: GreedyOptions = field(default_factory=GreedyOptions)
    trace: Trace | None = None

    def __post_init__(self) -> None:
        if self.structure not in STRUCTURES:
            raise InputError(f"unknown structure '{self.structure}' (known: {', '.join(STRUCTURES)})")
        if (self.structure == "given") != (self.widths is not None):
            raise InputError("structure given takes widths, and only it does")
        if (self.structure == "given") != (self.budget is None):
            raise InputError(f"structure {self.structure} {'takes no' if self.budget else 'needs a'} budget")
        criterion_named(self.criterion)
        if self.trace is not None and self.structure == "greedy" and self.greedy.rescore_every:
            raise InputError("zeros recorded of the unpruned network cannot score a network that shrinks between steps")


def prune(
    model: nn.Module,
    input_shape: tuple[int, int, int],
    request: Request,
    calibration: Calibration | None = None,
    *,
    progress: Callable[[float], None] | None = None,
) -> Pruned:
    """A pruned copy of `model` for images [C, H, W]; `model` itself is left as it is.

    progress gets the share of a greedy run that is done. Raises InputError for what the criterion misses, layers that
    cannot be pruned, and budgets that cannot be met.
    """
    prunable = find_groups(model, input_shape)
    criterion = criterion_named(request.criterion)
    if request.structure == "given":
        assert request.widths is not None
        widths = given(prunable, request.widths)
        scores = criterion.score(Scoring(model, prunable.only(widths), calibration, request.settings, request.trace))
        return _finished(model, prunable, best_units(scores, widths), input_shape, shared_copy(model))
    assert request.budget is not None
    chosen = prunable.only(request.limits.chosen(prunable))
    cost = cost_of(request.budget, model, prunable, input_shape)
    whole = cost({})
    limit = request.budget.absolute(whole)
    what = f"'{request.budget}'"
    if request.structure == "greedy":
        state = _Greedy(model, prunable, request, calibration, criterion, cost)
        state.run(whole, limit, what, progress)
        cut_model, kept = state.model, state.numbers
    else:
        scores = criterion.score(Scoring(model, chosen, calibration, request.settings, request.trace))
        if request.structure == "uniform":
            widths = uniform(prunable, request.limits, cost, limit, what)
        else:
            ranked = over_mean(scores, criterion.comparable)
            widths = global_ranking(prunable, ranked, request.limits, cost, limit, what)
        cut_model, kept = None, best_units(scores, widths)
    counts = {name: len(units) for name, units in kept.items()}
    result = _finished(model, prunable, kept, input_shape, cut_model or shared_copy(model), cut_model is not None)
    return Pruned(result.model, kept, prunable, result.before, result.after, (whole, cost(counts), limit))


def _finished(
    model: nn.Module,
    prunable: Prunable,
    kept: Mapping[str, Ints],
    input_shape: tuple[int, int, int],
    copy: nn.Module,
    done: bool = False,
) -> Pruned:
    small = copy if done else _without(copy, prunable, kept)
    _own(small)
    return Pruned(small.eval(), kept, prunable, count(model, input_shape), count(small, input_shape))


def _without(copy: nn.Module, prunable: Prunable, kept: Mapping[str, Ints]) -> nn.Module:
    """`copy` cut in place down to the units kept."""
    cuts = Cuts.joined(
        prunable.groups[name].cuts(np.setdiff1d(np.arange(prunable.groups[name].units), units).tolist())
        for name, units in kept.items()
    )
    return cut(copy, cuts)


def _own(model: nn.Module) -> None:
    """Gives a copy parameters and buffers of its own, so that training it leaves the original alone."""
    for parameter in model.parameters():
        parameter.data = parameter.data.clone()
    for module in model.modules():
        for name, buffer in module.named_buffers(recurse=False):
            setattr(module, name, buffer.clone())


class _Greedy:
    """The network as it shrinks: `model` with `prunable` groups, of which `numbers` are the original unit numbers."""

    def __init__(
        self,
        model: nn.Module,
        prunable: Prunable,
        request: Request,
        calibration: Calibration | None,
        criterion: Criterion,
        cost: Cost,
    ) -> None:
        self._request, self._calibration, self._criterion, self._cost = request, calibration, criterion, cost
        self._units = request.limits.chosen(prunable)
        self._prunable = prunable
        self.model = shared_copy(model)
        self.numbers: dict[str, Ints] = {name: np.arange(units) for name, units in self._units.items()}
        self._scores: Mapping[str, Floats] = {}

    def run(self, whole: float, limit: float, what: str, progress: Callable[[float], None] | None) -> None:
        """Steps until the cost is at most `limit`, then the last cut."""
        request = self._request
        self._score()
        widths = dict(self._units)
        done = 0
        now = whole
        while now > limit:
            wanted = min(request.greedy.step * whole, now - limit)
            left = {
                name: np.sort(self._scores[name])[len(self._scores[name]) - width :] for name, width in widths.items()
            }
            evaluate = None if request.greedy.evaluate is None else self._evaluate
            best = greedy_step(widths, left, request.limits, self._units, self._cost, wanted, what, evaluate)
            widths[best.group] = best.width
            now -= best.saving
            done += 1
            if progress is not None:
                progress(min(1.0, (whole - now) / (whole - limit)))
            if request.greedy.rescore_every and done % request.greedy.rescore_every == 0:
                self._cut(widths)
                if request.greedy.fine_tune is not None:
                    _own(self.model)
                    request.greedy.fine_tune(self.model)
                self._score()
        self._cut(widths)

    def _score(self) -> None:
        request = self._request
        scoring = Scoring(
            self.model, self._prunable.only(self._units), self._calibration, request.settings, request.trace
        )
        self._scores = over_mean(self._criterion.score(scoring), self._criterion.comparable)

    def _evaluate(self, widths: Widths) -> float:
        assert self._request.greedy.evaluate is not None
        small = _without(shared_copy(self.model), self._prunable, best_units(self._scores, widths))
        return self._request.greedy.evaluate(small)

    def _cut(self, widths: Mapping[str, int]) -> None:
        kept = best_units(self._scores, widths)
        self.model = _without(self.model, self._prunable, kept)
        self._prunable = self._prunable.after(kept)
        self.numbers = {name: self.numbers[name][units] for name, units in kept.items()}
