"""What it costs to say how large all feature maps of a network are under every codec that zero-maps are enough for."""

import json
from collections.abc import Iterator

from benchmarks.options import Options
from benchmarks.process import measure, task
from benchmarks.results import Row

NAME = "compression"
NETWORK, QUICK_NETWORK = "resnet50", "squeezenet1_1"
DENSITY = 0.45
BOUND_S = 1.0
TURNS = 5


def run(options: Options) -> Iterator[Row]:
    """CPU time of each codec and of all together, one image, all tensors, coded row by row in NCHW."""
    network, turns = (QUICK_NETWORK, 1) if options.quick else (NETWORK, TURNS)
    found = json.loads(measure(task("code_network", network, str(DENSITY), str(turns))).output)
    seconds, ratios, elements = found["seconds"], found["ratios"], found["elements"]
    what = f"{network}, {elements / 1e6:.1f} million elements, {DENSITY:.0%} not zero"
    bound = None if options.quick else BOUND_S
    yield Row(NAME, f"{what}: CPU of {len(seconds)} codecs together", sum(seconds.values()), "s", bound)
    for codec, spent in seconds.items():
        note = f"{ratios[codec]:.2f} × smaller than raw"
        yield Row(NAME, f"{what}: CPU of {codec}", 1e3 * spent, "ms", note=note)
