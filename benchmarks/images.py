"""Many images of one network, as a user simulates them: from starting Python to the report on disk."""

import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from benchmarks.options import Options
from benchmarks.process import measure
from benchmarks.results import Row, skipped

NAME = "images"
NETWORK, ACCELERATOR = "mobilenet_v2", "eyeriss"
IMAGES = 100
WALL_BOUND_S = 60.0
PRUNING = ("none", "dynamic")


def run(options: Options) -> Iterator[Row]:
    """Wall time with a worker process for each of two cores; dynamic pruning also simulates the run without it."""
    with tempfile.TemporaryDirectory() as folder:
        trace = Path(folder) / f"{NETWORK}.trace.safetensors"
        count = 2 if options.quick else IMAGES
        images = options.data / "imagenet_sample_1000_256.tar"
        if not images.is_file():
            yield skipped(NAME, f"{count} images of {NETWORK}", f"no {images.name} in {options.data.name} (--data)")
            return
        source = options.data / "nets" / f"{NETWORK}.json"
        fmapsim = [sys.executable, "-P", "-m", "simulator"]
        measure([*fmapsim, "extract", source, "--images", images, "--select", f"0:{count}", "--out", trace])
        for pruning in PRUNING:
            out = Path(folder) / pruning
            command = [*fmapsim, "simulate", trace, "--hardware", ACCELERATOR, "--pruning", pruning, "--out", out]
            took = measure([*command, "--workers", "2", "--no-figures"])
            what = f"{count} images of {NETWORK}, {ACCELERATOR}, {pruning}, two processes"
            bound = WALL_BOUND_S if pruning == "none" and not options.quick else None
            yield Row(NAME, what, took.wall_s, "s", bound, note=f"{took.cpu_s:.0f} s of CPU time")
