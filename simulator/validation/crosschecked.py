"""Rows of a cross-check: latencies of whole networks, rank correlations of their layers, reductions by pruning."""

from collections.abc import Iterator, Mapping
from typing import Any

from simulator.measure.crosscheck import RANK, REDUCTION_POINTS, WHOLE_TOLERANCE, CrossCheck
from simulator.validation.row import Row


def rows_of(found: CrossCheck, reference: str) -> Iterator[Row]:
    """Judged networks with their tolerance, fitted ones for information; then ranks and reductions."""
    several = found.networks["precision"].nunique() > 1

    def named(run: Mapping[Any, Any], network: str = "network") -> str:
        precision = f", {str(run['precision']).upper()}" if several else ""
        return f"{run[network]}{precision}, batch {run['batch']}"

    for net in found.networks.to_dict("records"):
        tolerance = None if net["fitted"] else WHOLE_TOLERANCE
        name = f"{named(net)}{' (fitted)' if net['fitted'] else ''}"
        measured, simulated = float(net["measured_us"]) / 1000, float(net["simulated_us"]) / 1000
        yield Row(reference, f"{name}: latency", measured, simulated, "ms", tolerance)
    for net in found.judged.to_dict("records"):
        name = f"{named(net)}: rank correlation of layers, {RANK:.2f} asked for"
        rank = float(net["rank_correlation"])
        yield Row(reference, name, RANK, rank, "", 1 / RANK - 1 if rank >= RANK else 0.0)
    for cut in found.reductions.to_dict("records"):
        measured = float(cut["measured_percent"])
        tolerance = REDUCTION_POINTS / abs(measured)
        name = f"{named(cut, 'pruned')}: reduction"
        yield Row(reference, name, measured, float(cut["simulated_percent"]), "%", tolerance)
