"""Designs of a study as people read them: tables of settings and objectives."""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from simulator.commands.quantities import (
    SIZE,
    bytes_text,
    cycles_text,
    energy_text,
    percent_text,
    rounded,
    seconds_text,
    significant,
)
from simulator.commands.terminal import printable, table

if TYPE_CHECKING:
    import pandas as pd
    from rich.table import Table

    from simulator.study.folder import About


def metric_text(metric: str, value: float) -> str:
    """A metric with its unit: `4.72 MB`, `3.21 mJ`, `67.4 ms`."""
    if metric == "buffer_bytes":
        return rounded(value, SIZE, 1024)
    if metric.endswith("_bytes"):
        return bytes_text(value)
    if metric.endswith("_pj"):
        return energy_text(value)
    if metric.endswith("cycles"):
        return cycles_text(value)
    if metric in ("top1", "top5", "agreement", "utilisation"):
        return percent_text(value)
    return seconds_text(value) if metric == "seconds" else significant(value)


def design_table(study: "About", designs: "pd.DataFrame", settings: Sequence[str], metrics: Iterable[str]) -> "Table":
    """One row per design: its settings, then its metrics."""
    from simulator.study.quantity import text

    metrics = list(metrics)
    rows = table([printable(_short(name)) for name in settings], metrics)
    for design in designs.to_dict("records"):
        rows.add_row(
            *(printable(text(design[name], study.units.get(name))) for name in settings),
            *(metric_text(metric, design[metric]) for metric in metrics),
        )
    return rows


def objectives_table(done: "pd.DataFrame", objectives: Mapping[str, str]) -> "Table":
    """The least, the median and the most of every objective, trace by trace."""
    rows = table(["trace", "objective"], ["least", "median", "most"])
    for trace, of in done.groupby("trace", sort=False):
        for metric in objectives:
            values = of[metric].dropna().astype("float64")
            if len(values):
                shown = (metric_text(metric, value) for value in (values.min(), values.median(), values.max()))
                rows.add_row(printable(str(trace)), metric, *shown)
    return rows


def _short(setting: str) -> str:
    """`ifm.capacity` of buffers.ifm.capacity: columns are narrow."""
    return ".".join(setting.split(".")[-2:])


def records(designs: "pd.DataFrame") -> list[dict[str, Any]]:
    """The rows as JSON values."""
    found: list[dict[str, Any]] = json.loads(designs.to_json(orient="records"))
    return found
