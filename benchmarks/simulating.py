"""What one image of a recorded network costs to simulate, from starting Python to the report."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

from benchmarks.options import Options
from benchmarks.process import least, measure, repeated, task
from benchmarks.results import Row, skipped

NAME = "simulating"
SUFFIX = ".trace.safetensors"
ACCELERATOR = "eyeriss"
PRUNING = ("none", "dynamic")
CPU_BOUND_S = 2.0
PEAK_BOUND_MIB = 500.0
REPEATS = 5

SHIPPED = ("squeezenet1.0_dc", "squeezenet1.1", "mobilenet_v1", "mobilenet_v2", "tinydarknet")
"""Networks of the data folder to record where no trace is shipped."""

LARGER = ("resnet50_ktb", "cifar_vgg16")
"""Networks whose traces are not shipped; recorded for the benchmark where the data folder has them."""


def run(options: Options) -> Iterator[Row]:
    """CPU time and peak memory of each trace, with and without dynamic pruning."""
    with tempfile.TemporaryDirectory() as folder:
        traces = sorted(options.traces.glob(f"*{SUFFIX}"))
        wanted = _to_record(bool(traces), options.quick)
        if wanted and not (options.data / "nets").is_dir():
            yield skipped(NAME, ", ".join(wanted), f"no folder {options.data.name}/nets to record from (--data)")
            wanted = ()
        for network in wanted:
            traces.append(_recorded(options.data, network, Path(folder)))
        if options.quick:
            traces = traces[:1]
        peaks: dict[str, float] = {}
        for trace in traces:
            name = trace.name.removesuffix(SUFFIX)
            for pruning in PRUNING:
                command = task("simulate_trace", trace, ACCELERATOR, pruning)
                runs = repeated(command, 1 if options.quick else REPEATS)
                cpu = least(runs, lambda run: run.cpu_s)
                peaks[name] = max(peaks.get(name, 0.0), least(runs, lambda run: run.peak_mib))
                note = f"{runs[0].output.strip()}; {least(runs, lambda run: run.peak_mib):.0f} MiB"
                bound = None if options.quick else CPU_BOUND_S
                yield Row(NAME, f"{name}, {ACCELERATOR}, {pruning}: CPU", cpu, "s", bound, note=note)
        if peaks:
            largest = max(peaks, key=lambda name: peaks[name])
            yield Row(NAME, f"peak RSS, the largest ({largest})", peaks[largest], "MiB", PEAK_BOUND_MIB)


def _to_record(shipped: bool, quick: bool) -> tuple[str, ...]:
    if quick:
        return () if shipped else SHIPPED[1:2]
    return LARGER if shipped else (*SHIPPED, *LARGER)


def _recorded(data: Path, network: str, folder: Path) -> Path:
    out = folder / f"{network}{SUFFIX}"
    measure(task("record_trace", data, network, out))
    return out
