"""Runs a study: every point that has not ended yet, on workers, each outcome kept as soon as it is there."""

import contextlib
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from simulator.errors import InputError
from simulator.hardware.sram_energy import energies_left_behind
from simulator.study import folder as study_folder
from simulator.study.dask_cluster import DaskWorkers
from simulator.study.inputs import TraceInput, trace_inputs
from simulator.study.local import LocalWorkers
from simulator.study.points import Point, points_of, tasks_of
from simulator.study.resolved import HardwareOfStudy
from simulator.study.search import Strategy, Tried, Values, strategy
from simulator.study.space import Space
from simulator.study.store import Outcome, Store, finished, outcomes
from simulator.study.study_file import Study, load_study
from simulator.study.work import Task
from simulator.study.workers import ThisProcess, Workers

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Plan:
    """A study that has been checked. expected: points of one design: traces times selections of images."""

    study: Study
    traces: list[TraceInput]
    space: Space
    hardware: HardwareOfStudy
    strategy: Strategy

    @property
    def expected(self) -> int:
        """Points of one design."""
        return sum(len(trace.images) for trace in self.traces)

    @property
    def energies_left_behind(self) -> tuple[str, ...]:
        """The settings of SRAM energies that stay an accelerator file's while the study changes the capacity."""
        left: dict[str, None] = {}
        for label, axes in self.space.axes.items():
            changed = {key for axis in axes for key in axis.choices[0]}
            with contextlib.suppress(InputError):  # of a file that is an accelerator with the study's settings alone
                left |= dict.fromkeys(energies_left_behind(self.hardware.unchanged(label), changed))
        return tuple(left)

    def points(self, designs: Iterable[Tried]) -> list[Point]:
        """The points of designs, each key once."""
        found = points_of(self.traces, designs, self.study.section.batch)
        return list({one.key: one for one in found}.values())


@dataclass(frozen=True)
class Summary:
    """How a run ended: points of the study, those that are done or failed by now, and those that this run ran.

    energies_left_behind: as the plan's.
    """

    points: int
    done: int
    failed: int
    ran: int
    excluded: int
    energies_left_behind: tuple[str, ...] = ()


def planned(file: str | Path) -> Plan:
    """The study of a file with its traces and accelerators. Raises InputError for whatever is wrong with them."""
    study = load_study(file)
    space = Space(study.axes, study.section.pruning)
    hardware = HardwareOfStudy(study, space.parameters)
    traces = trace_inputs(study)
    return Plan(
        study, traces, space, hardware, strategy(study.section.search, space, hardware, study.section.objectives)
    )


def run_study(
    file: str | Path,
    out: str | Path,
    *,
    workers: int = 0,
    scheduler: str | None = None,
    retry_failed: bool = False,
    progress: Progress | None = None,
) -> Summary:
    """Runs the points of a study file that have not ended in the folder `out` yet, and writes its table of results.

    workers: processes beside this one, none by default (a script that asks for some guards its main part with
    `if __name__ == "__main__"`); scheduler: the address of a Dask scheduler, whose workers run everything instead.
    retry_failed: points that failed before run again. progress is called with (points that ended, points to run).
    Raises InputError for a study that is wrong, a folder that cannot be written (what was finished is kept then) and
    workers that cannot go on. Whatever ends a run, also KeyboardInterrupt or a kill: the same call goes on from there.
    """
    out = Path(out)
    plan = planned(file)
    rounds = plan.strategy.rounds()
    designs: list[Tried] = next(rounds, [])  # a wrong setting is found here, before anything is written
    with Store(out) as store, _workers(workers, scheduler) as running:
        study_folder.begin(out, plan.study, plan.space, plan.expected)
        known = {key: status for key, status in finished(out).items() if not (retry_failed and status == "failed")}
        ran, every = 0, []
        try:
            while designs:
                points = plan.points(designs)
                every += points
                study_folder.write_points(out, every, plan.space.parameters)
                missing = [one for one in points if one.key not in known]
                total = _total(plan, len(every), len(missing), ran)
                for outcome in _run(plan, missing, running):
                    store.add(outcome)
                    known[outcome.key] = outcome.status
                    ran += 1
                    if progress is not None:
                        progress(ran, max(total, ran))
                if plan.study.section.search.designs is not None:
                    plan.strategy.tell(_reached(out, plan, points))
                designs = next(rounds, [])
        finally:
            with contextlib.suppress(InputError):  # of a disk that is full: `results` makes the table when it is asked
                study_folder.results(out)
    done = sum(known.get(one.key) == "done" for one in every)
    failed = sum(known.get(one.key) == "failed" for one in every)
    return Summary(len(every), done, failed, ran, plan.strategy.excluded, plan.energies_left_behind)


def _total(plan: Plan, asked: int, missing: int, ran: int) -> int:
    """Points that this run will have run at its end; of a search those that rounds to come may ask for, too."""
    designs = plan.study.section.search.designs
    to_come = 0 if designs is None else max(0, designs * plan.expected - asked)
    return ran + missing + to_come


def _workers(count: int, scheduler: str | None) -> Workers:
    if scheduler is not None:
        if count:
            raise InputError("--workers and --scheduler: expected one of them, found both")
        return DaskWorkers(scheduler)
    if count < 0:
        raise InputError(f"workers: found {count}, expected 0 or more")
    return LocalWorkers(count) if count else ThisProcess()


def _run(plan: Plan, points: Sequence[Point], workers: Workers) -> Iterator[Outcome]:
    tasks = (Task.of(points, plan.hardware.accelerator(points[0].hardware)) for points in tasks_of(points))
    left = True
    while True:
        while left and workers.free() > 0:
            task = next(tasks, None)
            if task is None:
                left = False
            else:
                workers.submit(task)
        found = workers.wait()
        if not found:
            return
        yield from found


def _reached(out: Path, plan: Plan, points: Sequence[Point]) -> Mapping[tuple[str, str], Values]:
    """What the designs of a round reached: of each objective the geometric mean over its points."""
    names = {one.key: (one.hardware.digest, one.pruning) for one in points}
    values: dict[str, list[float] | None] = {}
    for outcome in outcomes(out):
        if outcome.key in names:
            figures = [outcome.metrics.get(name) for name in plan.study.section.objectives]
            missing = outcome.status == "failed" or any(figure is None for figure in figures)
            values[outcome.key] = None if missing else [float(figure) for figure in figures if figure is not None]
    reached: dict[tuple[str, str], Values] = {}
    for name in dict.fromkeys(names.values()):
        of = [values.get(key) for key, design in names.items() if design == name]
        known = [row for row in of if row is not None]
        reached[name] = tuple(map(geometric_mean, zip(*known, strict=True))) if len(known) == len(of) else None
    return reached


def geometric_mean(values: Sequence[float]) -> float:
    """The geometric mean, 0 where a value is 0."""
    return math.exp(math.fsum(map(math.log, values)) / len(values)) if min(values) > 0 else 0.0
