"""What a worker does: the simulations of one task, one after another."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from simulator.api import simulate
from simulator.errors import InputError
from simulator.hardware.accelerator import Accelerator
from simulator.study.inputs import loaded_trace
from simulator.study.metrics import Metrics, metrics
from simulator.study.points import Point
from simulator.study.store import Outcome
from simulator.trace.trace import Trace
from simulator.version import revision


@dataclass(frozen=True)
class Job:
    """One simulation of a task: the key of its point, and how it differs from the others."""

    key: str
    pruning: str
    images: tuple[int, ...]


@dataclass(frozen=True)
class Task:
    """Simulations of one trace on one accelerator, as they travel to a worker, which may be on another machine."""

    revision: str
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
        return cls(revision(), first.trace.reference, first.trace.sha256, accelerator, first.batch, jobs)

    def single(self) -> "list[Task]":
        """Each job as a task of its own."""
        return [replace(self, jobs=(job,)) for job in self.jobs]


def perform(task: Task) -> Iterator[Outcome]:
    """Runs the jobs of a task. What a simulation raises is that point's outcome; the next one runs all the same.

    Raises InputError where no job can run: the trace is missing or another one, or fmapsim is another one.
    """
    if task.revision != revision():
        raise InputError(f"a worker has fmapsim {revision()}, the study runs with {task.revision}; make them equal")
    trace = loaded_trace(task.trace, task.trace_sha256)
    for job in task.jobs:
        wall, cpu = time.perf_counter(), time.process_time()
        found, error = _simulated(trace, task, job)
        took = round(time.perf_counter() - wall, 3), round(time.process_time() - cpu, 3)
        yield Outcome(job.key, "failed" if error else "done", found, error, *took)


def _simulated(trace: Trace, task: Task, job: Job) -> tuple[Metrics, str]:
    """The metrics of a job, or what went wrong."""
    images = job.images if trace.has_maps else None
    try:
        report = simulate(trace, task.accelerator, images=images, pruning=job.pruning, batch=task.batch)
        return metrics(report, trace, task.accelerator), ""
    except InputError as error:
        return {}, str(error)
    except Exception as error:  # a bug, or no memory: of this point
        return {}, f"{type(error).__name__}: {error}"


def perform_all(task: Task) -> list[Outcome]:
    """As `perform`, all outcomes at once."""
    return list(perform(task))
