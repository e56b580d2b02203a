"""A study as a user runs it: twice as many points, and twice as many workers."""

import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from benchmarks.options import Options
from benchmarks.process import Measured, measure
from benchmarks.results import Row

NAME = "study"
POINTS, QUICK_POINTS = 80, 2
TWICE_BOUND, WORKERS_BOUND, MEMORY_BOUND = 2.1, 1.7, 1.1

STUDY = """
name: benchmark
traces: [squeezenet1_1]
images: "0:1"
accelerators: [eyeriss]
parameters:
  buffers.ifm.capacity: {{range: {{from: 100 KiB, to: {last} KiB, step: 1 KiB}}}}
pruning: [none, dynamic]
"""


def run(options: Options) -> Iterator[Row]:
    """Wall time of N points on one worker process, of 2 N on one, and of 2 N on two, starting included."""
    points = QUICK_POINTS if options.quick else POINTS
    with tempfile.TemporaryDirectory() as folder:
        one, twice, shared = (
            _ran(Path(folder) / f"{number}", count, workers)
            for number, (count, workers) in enumerate([(points, 1), (2 * points, 1), (2 * points, 2)])
        )
    what = f"{points} points of squeezenet1_1 on eyeriss"
    bounds = (None, None, None) if options.quick else (TWICE_BOUND, WORKERS_BOUND, MEMORY_BOUND)
    yield Row(NAME, f"{what}, one worker", one.wall_s, "s", note=f"{one.cpu_s:.0f} s of CPU time")
    yield Row(NAME, "twice the points: wall time", twice.wall_s / one.wall_s, "×", bounds[0])
    yield Row(NAME, "two workers: times faster", twice.wall_s / shared.wall_s, "×", bounds[1], "at least")
    yield Row(NAME, "twice the points: peak RSS of a worker", twice.peak_mib / one.peak_mib, "×", bounds[2])


def _ran(folder: Path, points: int, workers: int) -> Measured:
    folder.mkdir()
    study = folder / "study.yaml"
    study.write_text(STUDY.format(last=99 + points // 2), encoding="utf-8")
    command = [sys.executable, "-P", "-m", "simulator", "study", "run", study, "--out", folder / "out"]
    return measure([*command, "--workers", str(workers), "--no-figures"])
