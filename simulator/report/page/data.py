"""What the page shows, as plain JSON values: columns of numbers per run, and how figures are made of them."""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from simulator.errors import InputError
from simulator.report.bound import bounds
from simulator.report.figures.layer_names import merged_order, short_names
from simulator.report.figures.per_layer import CYCLE_PARTS, TRAFFIC_PARTS, Part, array_parts
from simulator.report.figures.style import subject
from simulator.report.figures.totals import COMPONENTS
from simulator.report.page.colours import class_of
from simulator.report.page.command import simulate_command
from simulator.report.page.labels import in_order, labels
from simulator.report.pruning_text import pruning_text
from simulator.report.report import Report

if TYPE_CHECKING:
    import pandas as pd

MOST_RUNS = 2

MAC_PARTS = (
    ("macs_effectual", "effectual", "green"),
    ("macs_ineffectual", "zeros multiplied", "grey"),
    ("macs_gated", "gated", "sky"),
    ("macs_skipped", "skipped", "orange"),
)
"""MACs by what became of them. Effectual and ineffectual ones add up to those that the array performed."""


def page_data(reports: Mapping[str, Report], accelerator_file: str | None = None) -> dict[str, Any]:
    """Everything on the page for one run, or for a run and what it is held against, which comes first.

    accelerator_file: the YAML that describes the accelerator of the last run, where it is known.
    Raises InputError without reports or with more than two.
    """
    if not 1 <= len(reports) <= MOST_RUNS:
        raise InputError(f"a page shows one report or two, found {len(reports)}")
    names = merged_order([[str(name) for name in report.layers["layer"]] for report in reports.values()])
    return {
        "title": subject(reports),
        "layers": names,
        "short_names": short_names(names),
        "labels": labels(reports.values()),
        "figures": _figures(reports.values()),
        "runs": [_run(name, report) for name, report in reports.items()],
        "accelerator_file": accelerator_file,
        "command": simulate_command(list(reports.values())[-1].meta, with_file=accelerator_file is not None),
    }


def _run(name: str, report: Report) -> dict[str, Any]:
    order = [str(layer) for layer in report.layers["layer"]]
    performed, effectual = (report.layers[f"macs_{kind}"].to_numpy() for kind in ("performed", "effectual"))
    layers = _columns(report.layers) | {"bound": bounds(report.layers)}
    values = {
        **_by_layer(report.energy, order, ["component"], "energy_pj"),
        **_by_layer(report.traffic[report.traffic["level"] == "dram"], order, ["operand"], "bytes"),
        "macs_ineffectual": _plain(np.maximum(performed - effectual, 0)),
    }
    return {
        "name": name,
        "meta": dict(report.meta),
        "pruning": pruning_text(report.meta["pruning"]),
        "totals": in_order({key: _number(value) for key, value in report.totals.items()}),
        "layers": layers,
        "values": values,
        "traffic": _by_layer(report.traffic, order, ["level", "operand", "direction"], "bytes"),
        "schedule": _columns(report.schedule),
        "images": _columns(report.images),
        "spread": _columns(report.spread) if len(report.images) > 1 else {},
    }


def _figures(reports: Iterable[Report]) -> list[dict[str, Any]]:
    """The quantities that bars can show, each with the parts that it is made of and that are not 0 everywhere."""
    reports = list(reports)
    energies = {str(component) for report in reports for component in report.energy["component"]}
    components = [Part(key, section.name, section.colour) for key, section in COMPONENTS.items() if key in energies] + [
        Part(key, key, "") for key in sorted(energies - set(COMPONENTS))
    ]
    macs = [{"key": key, "name": name, "colour": colour} for key, name, colour in MAC_PARTS]
    return [
        {"key": "traffic", "name": "DRAM traffic", "unit": "B", "parts": _parts(TRAFFIC_PARTS)},
        {"key": "cycles", "name": "Cycles", "unit": "cycles", "parts": _parts(CYCLE_PARTS)},
        {"key": "array", "name": "Array cycles", "unit": "cycles", "parts": _parts(array_parts(reports))},
        {"key": "energy", "name": "Energy", "unit": "pJ", "parts": _parts(components)},
        {"key": "macs", "name": "MACs", "unit": "MAC", "parts": macs},
    ]


def _parts(parts: Iterable[Part]) -> list[dict[str, str]]:
    return [{"key": part.key, "name": part.name, "colour": class_of(part.colour)} for part in parts]


def _by_layer(table: "pd.DataFrame", order: list[str], keys: list[str], value: str) -> dict[str, list[Any]]:
    """A column of values per layer, in their order, for each combination of keys (joined by a space)."""
    if table.empty:
        return {}
    sums = table.groupby([*keys, "layer"], sort=False)[value].sum().unstack("layer", fill_value=0)
    rows = sums.reindex(columns=order, fill_value=0)
    labels = (" ".join(label) if isinstance(label, tuple) else str(label) for label in rows.index)
    return {label: _plain(row) for label, row in zip(labels, rows.to_numpy(), strict=True)}


def _columns(table: "pd.DataFrame") -> dict[str, list[Any]]:
    return {str(name): _plain(table[name].to_numpy()) for name in table.columns}


def _plain(values: Any) -> list[Any]:
    return [value if isinstance(value, str) else _number(value) for value in np.asarray(values).tolist()]


def _number(value: Any) -> float | int:
    """A number with at most seven significant digits where it is no whole one."""
    number = float(value)
    return int(number) if number.is_integer() else float(f"{number:.7g}")
