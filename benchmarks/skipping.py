"""What it costs to count the cycles of an array that skips zeros."""

import json
from collections.abc import Iterator

from benchmarks.options import Options
from benchmarks.process import measure, task
from benchmarks.results import Row

NAME = "skipping"
BOUND_S = 10.0
CASES = (("resnet50", 0.4, 0.4), ("resnet50", 1.0, 1.0))
QUICK = (("tinynet", 0.4, 0.4),)


def run(options: Options) -> Iterator[Row]:
    """CPU time of SCNN's cycles for all layers of a network, one image, imports included."""
    for network, ifm, kernel in QUICK if options.quick else CASES:
        run = measure(task("skip_zeros", "scnn", network, str(ifm), str(kernel)))
        found = json.loads(run.output)
        what = f"scnn, {network}, densities {ifm:g} and {kernel:g}: CPU"
        note = f"{found['layers']} layers, {found['cycles']:,} cycles, {found['products'] / 1e6:,.0f} M products"
        yield Row(NAME, what, run.cpu_s, "s", None if options.quick else BOUND_S, note=note)
