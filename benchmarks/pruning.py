"""What it costs to score channels by discriminant information."""

import json
from collections.abc import Iterator

from benchmarks.options import Options
from benchmarks.process import measure, task
from benchmarks.results import Row

NAME = "pruning"
CASES = ((128, 256, 56, 10), (128, 256, 56, 128))
QUICK = ((32, 16, 8, 4),)
BOUND_S = 10.0
"""5 s on two cores."""


def run(options: Options) -> Iterator[Row]:
    """CPU time of the scores of a layer of 256 channels of 56×56 on a batch of 128 images, all cores added up."""
    for images, channels, side, classes in QUICK if options.quick else CASES:
        found = json.loads(measure(task("score_channels", *map(str, (images, channels, side, classes)))).output)
        what = f"DI of {channels} channels of {side}×{side}, {images} images of {classes} classes: CPU"
        note = f"{found['seconds']:.1f} s of wall time"
        yield Row(NAME, what, found["cpu_s"], "s", None if options.quick else BOUND_S, note=note)
