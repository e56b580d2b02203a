"""What the DRAM model costs per simulated megabyte."""

from collections.abc import Iterator

from benchmarks.options import Options
from benchmarks.process import measure, task
from benchmarks.results import Row

NAME = "dram"
DEVICES = ("DDR4-2400", "HBM2-2000")
PATTERNS = {
    "sequential": "sequential reads",
    "tiled": "3 streams of 16 KiB tiles, runs of 512 B",
    "random": "random 256 B",
}
BOUNDS_MS = {"sequential": 0.5, "tiled": 0.5, "random": 5.0}


def run(options: Options) -> Iterator[Row]:
    """CPU time per MB of three kinds of traffic, the fastest of several turns in one process."""
    megabytes, turns = (1, 1) if options.quick else (20, 5)
    for device in DEVICES[: 1 if options.quick else None]:
        for pattern, what in PATTERNS.items():
            found = measure(task("play_dram", device, pattern, str(megabytes), str(turns)))
            spent, simulated = map(float, found.output.split())
            note = f"{megabytes} MB, {simulated:,.0f} µs of memory time; Ramulator's controller"
            bound = None if options.quick else BOUNDS_MS[pattern]
            yield Row(NAME, f"{device}, {what}: CPU per MB", spent, "ms", bound, note=note)
