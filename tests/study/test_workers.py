"""A simulation that takes its worker down with it is given up after three workers, and alone."""

import dataclasses
import os
import signal
from pathlib import Path

import pytest
from study_inputs import study_file

from simulator.errors import InputError
from simulator.study import local, work
from simulator.study.local import LocalWorkers
from simulator.study.run import planned
from simulator.study.store import Outcome
from simulator.study.work import Task


@dataclasses.dataclass(frozen=True)
class Deadly(Task):
    """A task of which one job kills the process."""

    deadly: str = ""


def deadly_perform(task: Task):  # type: ignore[no-untyped-def]
    for job in task.jobs:
        if job.key == getattr(task, "deadly", None):
            os.kill(os.getpid(), signal.SIGKILL)
        yield Outcome(job.key, "done", {})


def serve_deadly(pipe) -> None:  # type: ignore[no-untyped-def]
    """The worker process of these tests."""
    local.perform = deadly_perform  # type: ignore[assignment]
    local._serve(pipe)


def test_the_point_that_kills_workers_fails_and_the_others_run(folder: Path, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    plan = planned(study_file(folder))
    (designs,) = plan.strategy.rounds()
    points = plan.points(designs)[:4]
    task = Task.of(points, plan.hardware.accelerator(points[0].hardware))
    deadly = Deadly(
        **{field.name: getattr(task, field.name) for field in dataclasses.fields(task)}, deadly=points[1].key
    )
    monkeypatch.setattr(local, "_serve", serve_deadly)
    found: list[Outcome] = []
    with LocalWorkers(1) as workers:
        workers.submit(deadly)
        while some := workers.wait():
            found += some
    status = {one.key: one.status for one in found}
    assert len(found) == 4
    assert [status[one.key] for one in points] == ["done", "failed", "done", "done"]
    (failed,) = [one for one in found if one.status == "failed"]
    assert failed.error == "its worker ended 3 times (signal 9): out of memory?"


def test_a_worker_of_another_revision_stops_the_study(folder: Path) -> None:
    plan = planned(study_file(folder))
    (designs,) = plan.strategy.rounds()
    points = plan.points(designs)[:1]
    task = dataclasses.replace(Task.of(points, plan.hardware.accelerator(points[0].hardware)), revision="0.0.1+0")
    with pytest.raises(InputError, match=r"the study runs with 0\.0\.1"):
        list(work.perform(task))
