"""Points: one design on one trace with one selection of images. What they depend on is their key."""

import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from simulator.study.inputs import TraceInput
from simulator.study.resolved import Hardware
from simulator.version import revision

LARGEST_TASK = 8


@dataclass(frozen=True)
class Point:
    """One simulation of the study. images: the selection as the study file has it."""

    key: str
    trace: TraceInput
    hardware: Hardware
    pruning: str
    images: str
    batch: int


def point(trace: TraceInput, hardware: Hardware, pruning: str, images: str, batch: int) -> Point:
    """The point, with the key that follows from the content of its inputs and the simulator's revision."""
    inputs = [revision(), trace.sha256, hardware.digest, pruning, trace.images[images], batch]
    key = hashlib.sha256(json.dumps(inputs, separators=(",", ":")).encode()).hexdigest()[:32]
    return Point(key, trace, hardware, pruning, images, batch)


def points_of(traces: Sequence[TraceInput], designs: Iterable[tuple[Hardware, str]], batch: int) -> Iterator[Point]:
    """Every design (hardware, pruning) on every trace and selection, trace by trace, then in the order of designs."""
    designs = list(designs)
    for trace in traces:
        for hardware, pruning in designs:
            for images in trace.images:
                yield point(trace, hardware, pruning, images, batch)


def tasks_of(points: Iterable[Point]) -> Iterator[tuple[Point, ...]]:
    """Neighbours on the same trace and hardware together, as they share its tile search; LARGEST_TASK at most."""
    task: list[Point] = []
    for one in points:
        alike = task and (one.trace, one.hardware) == (task[0].trace, task[0].hardware)
        if task and (not alike or len(task) == LARGEST_TASK):
            yield tuple(task)
            task = []
        task.append(one)
    if task:
        yield tuple(task)
