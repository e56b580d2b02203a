"""Which designs a study tries: all, some at random, or those that Optuna asks for, round by round.

A search keeps no state of its own on disk. Its random numbers depend on the seed alone and it hears of results in whole
rounds, so a search that is run again asks for the same designs; those that are finished answer from the store.
"""

import importlib.util
import warnings
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol

from simulator.errors import InputError
from simulator.study.axes import Axis
from simulator.study.resolved import Hardware, HardwareOfStudy
from simulator.study.space import TRIES, Design, Space
from simulator.study.study_file import Search

Tried = tuple[Hardware, str]
"""A design as it runs: its hardware, and the kind of pruning."""

Values = tuple[float, ...] | None
"""What a design reached for each objective, None where one of its points failed."""


class Strategy(Protocol):
    """Asks for designs."""

    excluded: int
    """Designs that constraints have excluded so far."""

    def rounds(self) -> Iterator[list[Tried]]:
        """Designs to run together; the next round may depend on what was told of this one."""

    def tell(self, reached: Mapping[tuple[str, str], Values]) -> None:
        """What the designs of the round reached, by (digest of the hardware, pruning)."""


def strategy(search: Search, space: Space, hardware: HardwareOfStudy, goals: Mapping[str, str]) -> Strategy:
    """The strategy that a study file asks for. Raises InputError where Optuna is needed and missing."""
    if search.method in ("grid", "random"):
        return Listed(search, space, hardware)
    if importlib.util.find_spec("optuna") is None:
        raise InputError(f"search: {search.method} needs Optuna: pip install 'fmapsim[study]'")
    return OptunaSearch(search, space, hardware, goals)


class Listed:
    """All designs, or so many at random; one round."""

    def __init__(self, search: Search, space: Space, hardware: HardwareOfStudy) -> None:
        self._search, self._space, self._hardware = search, space, hardware
        self.excluded = 0

    def rounds(self) -> Iterator[list[Tried]]:
        """One round with every design that constraints allow; raises InputError for settings that are wrong."""
        designs = self._space.all() if self._search.designs is None else self._space.shuffled(self._search.seed)
        found: dict[tuple[str, str], Tried] = {}
        places: list[tuple[tuple[int, ...], Tried]] = []
        for design in designs:
            hardware = self._hardware.resolved(design)
            if hardware is None:
                self.excluded += 1
                if self._search.designs is not None and self.excluded > TRIES * (len(found) + 1):
                    break
                continue
            name = (hardware.digest, design.pruning)
            if name not in found:
                found[name] = (hardware, design.pruning)
                places.append((design.place, found[name]))
            if len(found) == self._search.designs:
                break
        yield [tried for _, tried in sorted(places, key=lambda entry: entry[0])]

    def tell(self, reached: Mapping[tuple[str, str], Values]) -> None:
        """Nothing depends on it."""


class OptunaSearch:
    """Rounds of `population` designs by NSGA-II or the tree-structured Parzen estimator."""

    def __init__(self, search: Search, space: Space, hardware: HardwareOfStudy, goals: Mapping[str, str]) -> None:
        import optuna

        self._search, self._space, self._hardware = search, space, hardware
        self.excluded = 0
        self._state = optuna.trial.TrialState
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        sampler: Any
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what Optuna calls experimental is decided by its version, not by users
            if search.method == "nsga2":
                sampler = optuna.samplers.NSGAIISampler(population_size=search.population, seed=search.seed)
            else:
                sampler = optuna.samplers.TPESampler(seed=search.seed, constant_liar=True)
            directions: Any = ["maximize" if goal == "maximise" else "minimize" for goal in goals.values()]
            self._study = optuna.create_study(sampler=sampler, directions=directions)
        self._names = _axis_names(space.axes)
        self._reached: dict[tuple[str, str], Values] = {}
        self._asked: list[tuple[Any, tuple[str, str]]] = []

    def rounds(self) -> Iterator[list[Tried]]:
        """Designs that were not tried before, as many as the search may try, or until no new ones are found."""
        assert self._search.designs is not None
        left = self._search.designs
        while left and (designs := self._round(min(left, self._search.population))):
            left -= len(designs)
            yield designs

    def _round(self, count: int) -> list[Tried]:
        found: dict[tuple[str, str], Tried] = {}
        misses = 0
        while len(found) < count and misses < TRIES:
            trial = self._study.ask()
            design = self._design(trial)
            hardware = self._hardware.resolved(design)
            misses += 1
            if hardware is None:
                self.excluded += 1
                self._study.tell(trial, state=self._state.FAIL)
                continue
            name = (hardware.digest, design.pruning)
            if name in self._reached:
                self._tell(trial, self._reached[name])
                continue
            self._asked.append((trial, name))
            if name not in found:
                found[name] = (hardware, design.pruning)
                misses = 0
        return list(found.values())

    def tell(self, reached: Mapping[tuple[str, str], Values]) -> None:
        """Tells Optuna, in the order in which it asked."""
        self._reached |= reached
        for trial, name in self._asked:
            self._tell(trial, self._reached[name])
        self._asked = []

    def _tell(self, trial: Any, values: Values) -> None:
        if values is None:
            self._study.tell(trial, state=self._state.FAIL)
        else:
            self._study.tell(trial, list(values))

    def _design(self, trial: Any) -> Design:
        labels = list(self._space.axes)
        index = trial.suggest_categorical("accelerator", list(range(len(labels))))
        place = [index]
        for axis, name in zip(self._space.axes[labels[index]], self._names[labels[index]], strict=True):
            last = len(axis.choices) - 1
            if axis.ordered:
                place.append(trial.suggest_int(name, 0, last))
            else:
                place.append(trial.suggest_categorical(name, list(range(last + 1))))
        place.append(trial.suggest_categorical("pruning", list(range(len(self._space.pruning)))))
        return self._space.at(tuple(place))


def _axis_names(axes: Mapping[str, Sequence[Axis]]) -> dict[str, list[str]]:
    """What Optuna knows each axis by: one name for an axis that accelerators have in common."""
    named: dict[str, list[str]] = {}
    taken: dict[str, Axis] = {}
    for label, of in axes.items():
        named[label] = []
        for axis in of:
            common = taken.setdefault(axis.name, axis)
            named[label].append(axis.name if common == axis else f"{axis.name} of {label}")
    return named
