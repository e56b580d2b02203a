"""Published budgets of pruned networks, and their structures as traces of shapes."""

import dataclasses
import difflib
import fnmatch
import functools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import yaml

from simulator.errors import InputError
from simulator.resources import shipped_folder
from simulator.trace.trace import Trace, network_trace
from simulator.trace.widths import with_widths

PREFIX = "budget/"
"""How the names of published budgets begin, where a trace is asked for."""


@dataclass(frozen=True)
class PublishedBudget:
    """A row of a published table.

    macs, params, top1, top5 (percent), size_mib: as published, None where they are not. counts: what macs and params
    count. widths: the share of output channels that layers keep, by pattern. mean_bits: of the weights of a quantised
    network. fidelity: whether `widths` and `mean_bits` are the row's own structure ("exact"), fitted to both numbers
    (or the size) ("fit"), or to the MACs alone ("uniform").
    """

    name: str
    network: str
    method: str
    macs: float
    counts: tuple[Literal["macs", "operations"], Literal["params", "weights"]]
    widths: Mapping[str, float]
    fidelity: Literal["exact", "fit", "uniform"]
    params: float | None = None
    top1: float | None = None
    top5: float | None = None
    size_mib: float | None = None
    mean_bits: float | None = None

    def layer_widths(self, trace: Trace) -> dict[str, int]:
        """Output channels by layer of the unpruned network's trace."""
        found = {}
        for pattern, share in self.widths.items():
            for layer in trace.layers:
                if layer.kernel is not None and fnmatch.fnmatchcase(layer.name, pattern):
                    found[layer.name] = max(1, int(layer.ofm[0] * share + 0.5))
        return found

    def kernel_bits(self, outputs: int) -> tuple[int, ...]:
        """The widths of a layer's output channels: the two around the mean, spread evenly; none without a mean."""
        if self.mean_bits is None:
            return ()
        least = int(self.mean_bits)
        share = self.mean_bits - least
        return tuple(least + int((number + 1) * share) - int(number * share) for number in range(outputs))


@functools.cache
def published_budgets() -> dict[str, PublishedBudget]:
    """All rows by name, in the order of the table."""
    path = shipped_folder("traces") / "published" / "imagenet.yaml"
    rows: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))["rows"]
    return {name: PublishedBudget(name, **{**row, "counts": tuple(row["counts"])}) for name, row in rows.items()}


def published_names() -> list[str]:
    """The names of the rows' traces: "budget/resnet50-di-unif"."""
    return [f"{PREFIX}{name}" for name in published_budgets()]


def published_trace(name: str) -> Trace:
    """The shapes of a row's network, "budget/resnet50-di-unif". Raises InputError for an unknown row."""
    row = published_budgets().get(name.removeprefix(PREFIX))
    if row is None:
        near = difflib.get_close_matches(name, published_names(), n=1)
        hint = f"; did you mean '{near[0]}'?" if near else ""
        raise InputError(f"unknown published budget '{name}' (`fmapsim networks --published` lists them){hint}")
    trace = network_trace(row.network)
    pruned = with_widths(trace, row.layer_widths(trace), f"{PREFIX}{row.name}")
    layers = [
        dataclasses.replace(layer, kernel_bits=row.kernel_bits(layer.kernel[0])) if layer.kernel else layer
        for layer in pruned.layers
    ]
    origin = {"method": row.method, "fidelity": row.fidelity, "widths": dict(row.widths), "mean_bits": row.mean_bits}
    return dataclasses.replace(pruned, layers=layers, provenance={**trace.provenance, "published": origin})
