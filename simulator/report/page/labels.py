"""What the page calls the columns and totals of a report, in the order in which it lists totals: kind by kind."""

from collections.abc import Iterable

from simulator.machine.array_time import VECTOR
from simulator.report.figures.per_layer import ARRAY_PARTS, CYCLE_PARTS, Part, array_parts
from simulator.report.figures.style import OPERAND_NAMES
from simulator.report.report import Report


def _array_labels(parts: Iterable[Part]) -> dict[str, str]:
    return {part.key: f"array cycles, {part.name}" for part in parts}


LABELS: dict[str, str] = {
    "seconds": "time",
    "frames_per_second": "frames per second",
    "utilisation": "array utilisation, of all cycles",
    "cycles": "cycles",
    **{part.key: f"cycles, {part.name}" for part in CYCLE_PARTS},
    "stall_cycles": "cycles, all stalls",
    **_array_labels(ARRAY_PARTS),
    f"{VECTOR}_cycles": "vector unit cycles",
    "statistical_cycles": "compute cycles, by densities alone",
    "statistical_error_percent": "error of densities alone",
    "dram_busy_cycles": "DRAM cycles, moving data",
    "dram_turnaround_cycles": "DRAM cycles, turnarounds",
    "dram_group_cycles": "DRAM cycles, bank groups",
    "dram_row_cycles": "DRAM cycles, opening rows",
    "dram_refresh_cycles": "DRAM cycles, refresh",
    "dram_idle_cycles": "DRAM cycles, idle",
    "row_hits": "bursts to an open row",
    "row_misses": "bursts that had to open a row",
    "row_conflicts": "bursts that had to close another row",
    "read_latency_p50_ns": "read latency, median",
    "read_latency_p95_ns": "read latency, 95th percentile",
    "read_latency_p99_ns": "read latency, 99th percentile",
    "bandwidth_bytes_per_second": "DRAM traffic per second",
    "dram_bytes": "DRAM traffic",
    **{f"{operand}_bytes": f"DRAM traffic, {name}" for operand, name in OPERAND_NAMES.items()},
    "flagged_share": "feature maps flagged, by size",
    "prunable_elements": "elements that the pruning unit looks at",
    "flagged_elements": "elements that it flagged",
    "skippable_bytes": "bytes flagged by pruning",
    "skipped_bytes": "bytes that flags kept from moving",
    "skip_lost_percent": "flagged bytes that moved all the same",
    "ifm_buffer_peak_bytes": "most in the IFM buffer",
    "kernel_buffer_peak_bytes": "most in the kernel buffer",
    "ofm_buffer_peak_bytes": "most in the OFM buffer",
    "on_chip_bytes": "most in feature maps on chip",
    "ifm_on_chip": "inputs on chip",
    "ofm_on_chip": "outputs on chip",
    "energy_pj": "energy",
    "macs_dense": "MACs, dense",
    "macs_effectual": "MACs, effectual",
    "macs_performed": "MACs, performed",
    "macs_gated": "MACs, gated",
    "macs_skipped": "MACs, skipped",
    "frames": "frames at once",
    "tiles": "tile steps",
}


def labels(reports: Iterable[Report]) -> dict[str, str]:
    """`LABELS`, with the name that fits what the arrays of these reports do with zeros."""
    return LABELS | _array_labels(array_parts(reports))


def in_order(totals: dict[str, float | int]) -> dict[str, float | int]:
    """Totals of one kind side by side, as in LABELS; those without a label last."""
    ranks = {name: rank for rank, name in enumerate(LABELS)}
    return dict(sorted(totals.items(), key=lambda pair: ranks.get(pair[0], len(ranks))))
