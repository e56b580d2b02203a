"""The road in one function: a trace and an accelerator in, a report out."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from simulator.hardware.accelerator import Accelerator
from simulator.hardware.load import load_accelerator
from simulator.machine.pruning import DynamicPruning, as_pruning
from simulator.machine.pruning_area import pruning_unit_area
from simulator.machine.simulate import run_all
from simulator.report.report import Report, build_report
from simulator.trace.trace import Trace
from simulator.trace.unfold import unfolded
from simulator.version import VERSION


def simulate(
    trace: Trace,
    accelerator: Accelerator | str | Path,
    *,
    images: Sequence[int] | None = None,
    pruning: DynamicPruning | str | None = None,
    batch: int = 1,
    overrides: Mapping[str, object] | None = None,
    workers: int = 1,
    timeline: str | Path | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Report:
    """What `trace` costs on `accelerator` (or the preset or file of that name).

    images: which of the trace's images, None for all; each is simulated on its own, or `batch` of them together.
    pruning: None, "dynamic", or a `DynamicPruning`. workers: processes that share the images (a script then needs
    `if __name__ == "__main__"`). timeline: the file into which to write what happens when in the first batch, as
    trace-event JSON. progress is called with (batches done, batches). Raises InputError
    when an image is missing, a layer fits into no buffer, or the epsilon asked for is not the one of the recording.
    """
    hardware = load_accelerator(accelerator, overrides)
    if hardware.post_processing.apart:
        trace = unfolded(trace)
    asked = as_pruning(pruning)
    record = timeline is not None
    runs = run_all(
        trace, hardware, images=images, pruning=asked, batch=batch, workers=workers, record=record, progress=progress
    )
    unit = hardware.pruning
    meta = {
        "fmapsim": VERSION,
        "trace": trace.name,
        "trace_has_maps": trace.has_maps,
        "trace_statistical": trace.statistical,
        "trace_provenance": dict(trace.provenance),
        "accuracy": vars(trace.accuracy) if trace.accuracy else None,
        "accelerator": hardware.name,
        "accelerator_settings": hardware.model_dump(mode="json"),
        "overrides": {key: str(value) for key, value in (overrides or {}).items()},
        "images": [list(run.images) for run in runs],
        "batch": batch,
        "pruning": "none"
        if asked is None
        else {
            "kind": "dynamic",
            "epsilon": asked.epsilon if asked.epsilon is not None else _recorded_epsilon(trace),
            "relative": trace.pruning is not None and trace.pruning.relative,
            "granularity": unit.granularity,
            "side": unit.side,
            "unit_area_um2": pruning_unit_area(trace, hardware),
        },
        "clock_hz": hardware.clock,
        "array_macs": hardware.macs,
        "dram_bandwidth_bytes_per_second": hardware.dram.bandwidth,
    }
    if timeline is not None:
        from simulator.report.timeline import save_timeline

        save_timeline(runs[0].records, runs[0].images, meta, timeline)
    return build_report(runs, meta)


def _recorded_epsilon(trace: Trace) -> object:
    """As it was asked for; of thresholds per channel, of which there are thousands, their number and range."""
    epsilon = trace.pruning.epsilon if trace.pruning else 0.0
    if not isinstance(epsilon, dict):
        return epsilon
    return {
        layer: f"{len(value)} thresholds of {min(value):g} to {max(value):g}" if isinstance(value, tuple) else value
        for layer, value in epsilon.items()
    }
