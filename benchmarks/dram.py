"""What the DRAM model costs per simulated megabyte, and what it adds to the simulation of a network."""

from collections.abc import Iterator

from benchmarks.options import Options
from benchmarks.process import measure, task
from benchmarks.results import Row, skipped

NAME = "dram"
DEVICES = ("DDR4-2400", "HBM2-2000")
NETWORK = "mobilenet_v2"
PATTERNS = {
    "sequential": "sequential reads",
    "tiled": "3 streams of 16 KiB tiles, runs of 512 B",
    "random": "random 256 B",
}
BOUNDS_MS = {"sequential": 0.5, "tiled": 0.5, "random": 5.0}


def run(options: Options) -> Iterator[Row]:
    """CPU time per MB of three kinds of traffic, and of a network, the fastest of several turns in one process each."""
    megabytes, turns = (1, 1) if options.quick else (20, 5)
    for device in DEVICES[: 1 if options.quick else None]:
        for pattern, what in PATTERNS.items():
            found = measure(task("play_dram", device, pattern, str(megabytes), str(turns)))
            spent, simulated = map(float, found.output.split())
            note = f"{megabytes} MB, {simulated:,.0f} µs of memory time; Ramulator's controller"
            bound = None if options.quick else BOUNDS_MS[pattern]
            yield Row(NAME, f"{device}, {what}: CPU per MB", spent, "ms", bound, note=note)
        yield _of_a_network(options, device)


def _of_a_network(options: Options, device: str) -> Row:
    what = f"{device}, {NETWORK} on eyeriss: CPU, over its plain bandwidth"
    trace = options.traces / f"{NETWORK}.trace.safetensors"
    if not trace.is_file():
        return skipped(NAME, what, f"no {trace.name} in {options.traces.name}/ (--traces)")
    found = measure(task("simulate_on_dram", trace, device, "1" if options.quick else "5"))
    plain, standard, megabytes = map(float, found.output.split())
    note = f"{standard:.2f} s and {plain:.2f} s, {megabytes:.1f} MB; without imports and tile search"
    return Row(NAME, what, standard / plain, "×", note=note)
