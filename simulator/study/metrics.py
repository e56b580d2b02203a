"""What a point is measured by: the totals of its report, and what its hardware is made of."""

import math
from collections.abc import Mapping

from simulator.hardware.accelerator import Accelerator
from simulator.hardware.section import OPERANDS
from simulator.report.report import Report
from simulator.trace.trace import Trace

MAXIMISED = ("frames_per_second", "utilisation", "bandwidth_bytes_per_second", "top1", "top5", "agreement")
"""Metrics of which more is better."""

GOALS = (
    *("dram_bytes", "cycles", "seconds", "energy_pj", "energy_delay_js", "buffer_bytes", "array_macs"),
    *("stall_cycles", "compute_cycles", "ifm_bytes", "kernel_bytes", "ofm_bytes", "psum_bytes", "metadata_bytes"),
    *("macs_performed", "pruning_unit_area_um2", *MAXIMISED),
)
"""Metrics that can be objectives."""

Metrics = dict[str, float | None]


def metrics(report: Report, trace: Trace, accelerator: Accelerator) -> Metrics:
    """All metrics of a point; None for one that it does not have (the accuracy of a trace without labels).

    The totals of the report; energy_…_pj of each component; energy_delay_js, joules times seconds; buffer_bytes, the
    capacity of all buffers, and array_macs, the MACs of a cycle; pruning_unit_area_um2 where pruning is on and the file
    has areas; epsilon, top1, top5 and agreement of the recording.
    """
    found: Metrics = {
        name: float(value) if isinstance(value, float) else value for name, value in report.totals.items()
    }
    components, energies = report.column("energy", "component"), report.column("energy", "energy_pj")
    for component in dict.fromkeys(components.tolist()):
        found[f"energy_{component}_pj"] = float(energies[components == component].sum())
    found["energy_delay_js"] = report.totals["energy_pj"] * 1e-12 * report.totals["seconds"]
    found["clock_hz"] = accelerator.clock
    found["array_macs"] = accelerator.macs
    found["buffer_bytes"] = _buffer_bytes(accelerator)
    pruning = report.meta["pruning"]
    found["pruning_unit_area_um2"] = pruning["unit_area_um2"] if isinstance(pruning, Mapping) else None
    epsilon = trace.pruning.epsilon if trace.pruning else 0.0
    found["epsilon"] = float(epsilon) if isinstance(epsilon, int | float) else None
    for name in ("top1", "top5", "agreement"):
        found[name] = getattr(trace.accuracy, name) if trace.accuracy else None
    return {name: None if value is not None and not math.isfinite(value) else value for name, value in found.items()}


def _buffer_bytes(accelerator: Accelerator) -> int:
    homes = {accelerator.buffers.home(operand) for operand in OPERANDS}
    on_chip = accelerator.on_chip.capacity or 0
    return on_chip + sum(accelerator.buffers.of(home).capacity or 0 for home in homes)
