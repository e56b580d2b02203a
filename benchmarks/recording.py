"""What recording a trace costs beside the plain forward pass of the same network on the same images."""

import json
from collections.abc import Iterator
from typing import Any

from benchmarks.options import Options
from benchmarks.process import measure, task
from benchmarks.results import Row

BOUND = 1.5


def run(options: Options) -> Iterator[Row]:
    """ResNet-50 on batches of 8 images: ratios of wall and CPU time, both sides the fastest of several turns.

    A short recording and a longer one: finding the graph costs the same in both.
    """
    settings: dict[str, Any] = {"network": "resnet50", "images": 8, "turns": 3, "threads": 2}
    if options.quick:
        yield from _compare({**settings, "network": "cifar_resnet20", "batches": 1, "turns": 1}, None)
        return
    for batches in (3, 8):
        yield from _compare({**settings, "batches": batches}, BOUND)


def _compare(settings: dict[str, Any], bound: float | None) -> Iterator[Row]:
    run = measure(task("record_network", json.dumps(settings)))
    found = json.loads(run.output)
    what = f"{settings['network']}, {settings['batches']} × {settings['images']} images"
    seconds = {key: [value / settings["batches"] for value in found[key]] for key in ("plain", "memory", "file")}
    for target, kept in (("memory", "kept"), ("file", "written")):
        for index, kind in enumerate(("wall", "CPU")):
            plain, recorded = seconds["plain"][index], seconds[target][index]
            note = f"{recorded:.2f} s instead of {plain:.2f} s a batch"
            yield Row("recording", f"{what}, trace {kept}: {kind}", recorded / plain, "×", bound, note=note)
    plain, recorded = (value / 2**20 for value in found["peak_bytes"])
    note = f"forward pass alone {plain:.0f} MiB"
    yield Row("recording", f"{what}, trace written: peak RSS", recorded, "MiB", note=note)
