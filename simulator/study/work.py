"""What a worker does: the simulations of one task, one after another."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from simulator.api import simulate
from simulator.errors import InputError
from simulator.hardware.accelerator import Accelerator
from simulator.study.inputs import loaded_trace
from simulator.study.metrics import metrics
from simulator.study.points import Point
from simulator.study.store import Outcome
from simulator.version import VERSION


@dataclass(frozen=True)
class Job:
    """One simulation of a task: the key of its point, and how it differs from the others."""

    key: str
    pruning: str
    images: tuple[int, ...]


@dataclass(frozen=True)
class Task:
    """Simulations of one trace on one accelerator, as they travel to a worker, which may be on another machine."""

    version: str
    trace: str
    trace_sha256: str
    accelerator: Accelerator
    batch: int
    jobs: tuple[Job, ...]

    @classmethod
    def of(cls, points: Sequence[Point], accelerator: Accelerator) -> "Task":
        """The task of points on the same trace and hardware."""
        first = points[0]
        jobs = tuple(Job(one.key, one.pruning, one.trace.images[one.images]) for one in points)
        return cls(VERSION, first.trace.reference, first.trace.sha256, accelerator, first.batch, jobs)

    def single(self) -> "list[Task]":
        """Each job as a task of its own."""
        return [Task(self.version, self.trace, self.trace_sha256, self.accelerator, self.batch, (job,)) for job in self.jobs]


def perform(task: Task) -> Iterator[Outcome]:
    """Runs the jobs of a task. What a simulation raises is that point's outcome and does not keep the next from running.

    Raises InputError where no job can run: the trace is missing or another one, or fmapsim is of another version.
    """
    if task.version != VERSION:
        raise InputError(f"a worker has fmapsim {VERSION}, the study was begun with {task.version}; make them equal")
    trace = loaded_trace(task.trace, task.trace_sha256)
    for job in task.jobs:
        start = time.perf_counter()
        try:
            images = job.images if trace.has_maps else None
            report = simulate(trace, task.accelerator, images=images, pruning=job.pruning, batch=task.batch)
            found = metrics(report, trace, task.accelerator)
        except Exception as error:
            message = str(error) if isinstance(error, InputError) else f"{type(error).__name__}: {error}"
            yield Outcome(job.key, "failed", {}, message, round(time.perf_counter() - start, 3))
        else:
            yield Outcome(job.key, "done", found, "", round(time.perf_counter() - start, 3))


def perform_all(task: Task) -> list[Outcome]:
    """As `perform`, all outcomes at once."""
    return list(perform(task))
