"""Figures with one group of bars per layer and one bar per report, wrapped into rows like lines of text."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Polygon

from simulator.errors import InputError
from simulator.report.figures.layer_names import merged_order, short_names
from simulator.report.figures.style import (
    COLUMN_WIDTH,
    FULL_WIDTH,
    GREY,
    OPERAND_COLOURS,
    OPERAND_NAMES,
    SKY,
    TICK_POINTS,
    YELLOW,
    Header,
    check_reports,
    difference,
    key,
    line_inches,
    per_batch,
    publication_style,
    quiet_axes,
    report_look,
    subject,
    text_inches,
    unit_for,
    with_unit,
)
from simulator.report.report import Report

MOST_REPORTS = 3
BAR_INCHES = 0.055
AXES_INCHES = 1.35
LEFT, RIGHT, GAP = 0.5, 0.08, 0.16
OUTLIER = 3.0

Values = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Part:
    """One section of every bar: its key in the values, its name in the legend and its colour."""

    key: str
    name: str
    colour: str


TRAFFIC_PARTS = tuple(Part(operand, OPERAND_NAMES[operand], colour) for operand, colour in OPERAND_COLOURS.items())
CYCLE_PARTS = (
    Part("compute_cycles", "array at work", GREY),
    Part("stall_ifm_cycles", "waits for IFM", OPERAND_COLOURS["ifm"]),
    Part("stall_kernel_cycles", "waits for kernel", OPERAND_COLOURS["kernel"]),
    Part("stall_ofm_cycles", "waits for OFM space", OPERAND_COLOURS["ofm"]),
    Part("stall_psum_cycles", "waits for psum", OPERAND_COLOURS["psum"]),
    Part("stall_drain_cycles", "drain", YELLOW),
)


def bandwidth_breakdown(reports: Mapping[str, Report]) -> Figure:
    """DRAM bytes of every layer by operand, the reports side by side.

    Layers that move nothing in any report are left out; layers that only one report has stand where it has them. Raises
    InputError without reports, with more than three, or when nothing moves at all.
    """
    check_reports(reports, MOST_REPORTS)
    totals = {name: report.totals["dram_bytes"] for name, report in reports.items()}
    return _layer_figure(
        reports,
        {name: _traffic(report) for name, report in reports.items()},
        TRAFFIC_PARTS,
        title=f"DRAM traffic by layer and operand: {subject(reports)}",
        quantity=f"DRAM traffic {per_batch(reports)}",
        base="B",
        notes=_with_change(totals, "B"),
    )


def cycle_breakdown(reports: Mapping[str, Report]) -> Figure:
    """Cycles of every layer by what the array did or waited for, the reports side by side.

    Raises InputError without reports, with more than three, or when no layer takes a cycle.
    """
    check_reports(reports, MOST_REPORTS)
    totals = {name: report.totals["cycles"] for name, report in reports.items()}
    notes = _with_change(totals, "cycles")
    for name, report in reports.items():
        notes[name] += f", {with_unit(report.totals['seconds'], 's')}"
    return _layer_figure(
        reports,
        {name: _cycles(report) for name, report in reports.items()},
        CYCLE_PARTS,
        title=f"Cycles by layer: {subject(reports)}",
        quantity=f"Cycles {per_batch(reports)}",
        base="cycles",
        notes=notes,
    )


def _traffic(report: Report) -> dict[str, dict[str, float]]:
    """DRAM bytes of each layer, by operand."""
    dram = report.traffic[report.traffic["level"] == "dram"]
    values: dict[str, dict[str, float]] = {str(layer): {} for layer in report.layers["layer"]}
    for (layer, operand), size in dram.groupby(["layer", "operand"], sort=False)["bytes"].sum().items():  # type: ignore[misc]
        values[str(layer)][str(operand)] = float(size)
    return values


def _cycles(report: Report) -> dict[str, dict[str, float]]:
    """Cycles of each layer, by what the array did."""
    columns = [part.key for part in CYCLE_PARTS]
    rows = report.layers[columns].to_numpy(np.float64)
    return {str(layer): dict(zip(columns, row, strict=True)) for layer, row in zip(report.layers["layer"], rows, strict=True)}


def _with_change(totals: Mapping[str, float], base: str) -> dict[str, str]:
    """Per report its total, and from the second on the difference to the first."""
    first = next(iter(totals.values()))
    notes = {}
    for position, (name, total) in enumerate(totals.items()):
        change = difference(total, first) if position else ""
        notes[name] = f"{with_unit(total, base)}{f' ({change})' if change else ''}"
    return notes


def _layer_figure(
    reports: Mapping[str, Report],
    values: Mapping[str, Mapping[str, Mapping[str, float]]],
    parts: Sequence[Part],
    *,
    title: str,
    quantity: str,
    base: str,
    notes: Mapping[str, str],
) -> Figure:
    """Stacked bars: values by report, layer and part; notes say what each report comes to."""
    layers = [
        layer
        for layer in merged_order([list(by_layer) for by_layer in values.values()])
        if any(sum(by_layer.get(layer, {}).values()) > 0 for by_layer in values.values())
    ]
    if not layers:
        raise InputError(f"{title}: nothing to draw, every layer is 0")
    table = np.array(
        [[[by_layer.get(layer, {}).get(part.key, 0.0) for layer in layers] for part in parts] for by_layer in values.values()]
    )
    shown = [index for index in range(len(parts)) if table[:, index].any()]
    ceiling, cut = _ceiling(table.sum(axis=1).max(axis=0))
    factor, unit = unit_for(ceiling, base)
    with publication_style():
        page = _Page(short_names(layers), len(reports), bool(cut))
        header = Header(page.width)
        header.title(title)
        header.legend([key(parts[index].name, parts[index].colour) for index in shown])
        if len(reports) > 1:
            header.legend([key(f"{name}: {notes[name]}", GREY, at) for at, name in enumerate(reports)])
        else:
            ((name, note),) = notes.items()
            header.title(f"{name}: {note}", TICK_POINTS + 0.5, bold=False)
        figure = Figure(figsize=(page.width, header.height + page.rows * page.row_inches + page.foot))
        header.draw(figure)
        for row in range(page.rows):
            chosen = page.layers_of(row)
            axes = page.axes(figure, row, header.height)
            _draw_bars(axes, list(reports), table[:, :, chosen] / factor, [parts[i] for i in shown], shown)
            axes.set_ylim(0, ceiling / factor)
            for index in cut:
                if index in chosen:
                    _mark_cut(axes, index - chosen[0], table[:, :, index].sum(axis=1) / factor, ceiling / factor)
        middle = page.foot + page.rows * page.row_inches / 2
        figure.text(
            0.02 / page.width + 0.5 * line_inches() / page.width,
            middle / figure.get_figheight(),
            f"{quantity} ({unit})" if base != "cycles" else f"{quantity} ({unit.removesuffix('cycles').strip() or '1'})",
            rotation=90,
            ha="center",
            va="center",
        )
    return figure


class _Page:
    """Where the rows of a figure per layer go, in inches."""

    def __init__(self, labels: Sequence[str], reports: int, cut: bool) -> None:
        self.labels = labels
        self.foot = 0.06
        pitch = max(line_inches(TICK_POINTS) * 0.9, reports * BAR_INCHES + 0.045)
        room = FULL_WIDTH - LEFT - RIGHT
        self.rows = math.ceil(len(labels) * pitch / room)
        self.per_row = math.ceil(len(labels) / self.rows)
        widest = max(text_inches(label, TICK_POINTS) for label in labels)
        wish = self.per_row * max(pitch, 0.3 + 0.08 * reports)
        self.width = min(FULL_WIDTH, max(COLUMN_WIDTH, LEFT + RIGHT + wish))
        self.pitch = (self.width - LEFT - RIGHT) / self.per_row
        self.upright = widest + 0.06 < self.pitch
        self.label_inches = line_inches(TICK_POINTS) + 0.05 if self.upright else widest + 0.08
        self.top_inches = 0.62 if cut and not self.upright else 0.3 if cut else 0.06
        self.row_inches = self.top_inches + AXES_INCHES + self.label_inches + (GAP if self.rows > 1 else 0)

    def layers_of(self, row: int) -> range:
        """Indices of the layers in a row."""
        return range(row * self.per_row, min((row + 1) * self.per_row, len(self.labels)))

    def axes(self, figure: Figure, row: int, header: float) -> Axes:
        """The axes of a row, with the layers' names; a short last row keeps the width of a bar."""
        height = figure.get_figheight()
        chosen = self.layers_of(row)
        bottom = height - header - row * self.row_inches - self.top_inches - AXES_INCHES
        axes = figure.add_axes(
            (LEFT / self.width, bottom / height, len(chosen) * self.pitch / self.width, AXES_INCHES / height)
        )
        axes.set_xlim(-0.5, len(chosen) - 0.5)
        axes.set_xticks(range(len(chosen)), [self.labels[index] for index in chosen])
        if not self.upright:
            axes.tick_params(axis="x", labelrotation=90)
        axes.tick_params(axis="x", pad=1.5)
        quiet_axes(axes, "y")
        axes.locator_params(axis="y", nbins=5)
        return axes


def _draw_bars(axes: Axes, names: Sequence[str], table: Values, parts: Sequence[Part], rows: Sequence[int]) -> None:
    """Stacks of [report, part, layer] values; every container is labelled "report: part"."""
    positions = np.arange(table.shape[2])
    width = 0.8 / len(names)
    for at, name in enumerate(names):
        bottom = np.zeros(table.shape[2])
        place = positions + (at - (len(names) - 1) / 2) * width
        for part, row in zip(parts, rows, strict=True):
            look = report_look(part.colour, at)
            axes.bar(place, table[at, row], width * 0.9, bottom=bottom, label=f"{name}: {part.name}", **look)
            bottom = bottom + table[at, row]


def _ceiling(totals: Values) -> tuple[float, list[int]]:
    """Where the axis ends, and the few layers that reach beyond because they would flatten all others."""
    order = np.argsort(-totals, kind="stable")
    most = min(4, len(totals) // 5)
    for count in range(most, 0, -1):
        inside, outside = totals[order[count]], totals[order[count - 1]]
        if inside > 0 and outside > OUTLIER * inside:
            return float(inside) * 1.25, sorted(int(index) for index in order[:count])
    return float(totals.max()) * 1.05, []


def _mark_cut(axes: Axes, position: int, totals: Values, ceiling: float) -> None:
    """A white slanted band through bars that leave the axes, and their values above."""
    low, slope, thick = 0.86 * ceiling, 0.05 * ceiling, 0.035 * ceiling
    left, right = position - 0.46, position + 0.46
    corners = [(left, low), (right, low + slope), (right, low + slope + thick), (left, low + thick)]
    axes.add_patch(Polygon(corners, closed=True, facecolor="white", edgecolor="none", zorder=3))
    axes.text(
        position,
        ceiling * 1.02,
        " → ".join(f"{total:.4g}" for total in totals),
        rotation=90,
        ha="center",
        va="bottom",
        fontsize=TICK_POINTS - 0.5,
    )
