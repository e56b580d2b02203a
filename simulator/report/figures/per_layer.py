"""Figures with one group of bars per layer and one bar per report, wrapped into rows like lines of text."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Polygon

from simulator.report.figures.layer_names import merged_order, short_names
from simulator.report.figures.style import (
    BLACK,
    BLUE,
    COLUMN_WIDTH,
    FAINT_GREY,
    FULL_WIDTH,
    GREEN,
    GREY,
    NAME_POINTS,
    OPERAND_COLOURS,
    OPERAND_NAMES,
    ORANGE,
    PURPLE,
    SKY,
    VERMILLION,
    YELLOW,
    Header,
    NothingToDrawError,
    axis_label,
    check_reports,
    colour_key,
    cut_to_width,
    line_inches,
    per_batch,
    publication_style,
    quiet_axes,
    report_key,
    report_look,
    subject,
    text_inches,
    unit_for,
    with_change,
    with_unit,
)
from simulator.report.report import Report
from simulator.report.zero_products import zero_products_name

MOST_REPORTS = 3
BAR_INCHES, BETWEEN_GROUPS = 0.055, 0.045
LEFT, RIGHT, BELOW = 0.5, 0.08, 0.08
LARGE = 4.0
"""A layer that moves this many times as much as the next one is cut off."""

Values = npt.NDArray[np.float64]
ByLayer = Mapping[str, Mapping[str, float]]


@dataclass(frozen=True)
class Part:
    """One section of every bar: its key in the values, its name in the legend and its colour."""

    key: str
    name: str
    colour: str


TRAFFIC_PARTS = tuple(Part(operand, OPERAND_NAMES[operand], colour) for operand, colour in OPERAND_COLOURS.items())
CYCLE_PARTS = (
    Part("compute_cycles", "compute", GREY),
    Part("buffer_stall_cycles", "stall: buffers", SKY),
    Part("stall_ifm_cycles", "stall: IFM", OPERAND_COLOURS["ifm"]),
    Part("stall_kernel_cycles", "stall: kernel", OPERAND_COLOURS["kernel"]),
    Part("stall_ofm_cycles", "stall: OFM", OPERAND_COLOURS["ofm"]),
    Part("stall_psum_cycles", "stall: psum", OPERAND_COLOURS["psum"]),
    Part("stall_drain_cycles", "drain", YELLOW),
    Part("overhead_cycles", "before the layer", BLACK),
)

ARRAY_PARTS = (
    Part("array_effectual_cycles", "effectual", GREEN),
    Part("array_ineffectual_cycles", "zeros multiplied", GREY),
    Part("array_fragmentation_cycles", "fragmentation", SKY),
    Part("array_bank_conflicts_cycles", "bank conflicts", VERMILLION),
    Part("array_imbalance_cycles", "imbalance", ORANGE),
    Part("array_halo_cycles", "halo", PURPLE),
    Part("array_outside_cycles", "outside of the OFM", YELLOW),
    Part("array_metadata_cycles", "metadata", BLUE),
    Part("array_load_cycles", "load", BLACK),
    Part("array_unused_cycles", "unused", FAINT_GREY),
)
"""What the multipliers did in the array's cycles."""


def array_parts(reports: Iterable[Report]) -> tuple[Part, ...]:
    """`ARRAY_PARTS` with the name that fits what the arrays of these reports do with zeros."""
    name = zero_products_name(report.totals for report in reports)
    return tuple(replace(part, name=name) if part.key == "array_ineffectual_cycles" else part for part in ARRAY_PARTS)


def bandwidth_breakdown(reports: Mapping[str, Report], *, titles: bool = True) -> Figure:
    """DRAM bytes of every layer by operand, the reports side by side.

    Layers that move nothing in any report are left out; a layer that only some reports have stands where they have it.
    Bars far longer than all others are cut, with their totals and main part above. Raises InputError without reports,
    with more than three, or when nothing moves at all. titles: False for a figure that a caption explains.
    """
    check_reports(reports, MOST_REPORTS)
    return _layer_figure(
        {name: _traffic(report) for name, report in reports.items()},
        TRAFFIC_PARTS,
        title=f"DRAM traffic per layer: {subject(reports)}",
        quantity=f"DRAM traffic {per_batch(reports)}",
        base="B",
        titles=titles,
        notes=with_change({name: report.totals["dram_bytes"] for name, report in reports.items()}, "B"),
    )


def cycle_breakdown(reports: Mapping[str, Report], *, titles: bool = True) -> Figure:
    """Cycles of every layer by what the array did or waited for, the reports side by side.

    Layers and bars as in `bandwidth_breakdown`. Raises InputError without reports, with more than three, or when no
    layer takes a cycle.
    """
    check_reports(reports, MOST_REPORTS)
    notes = with_change({name: report.totals["cycles"] for name, report in reports.items()}, "cycles")
    return _layer_figure(
        {name: _columns(report, CYCLE_PARTS) for name, report in reports.items()},
        CYCLE_PARTS,
        title=f"Cycles per layer: {subject(reports)}",
        quantity=f"Cycles {per_batch(reports)}",
        base="cycles",
        titles=titles,
        notes={name: f"{notes[name]}, {with_unit(report.totals['seconds'], 's')}" for name, report in reports.items()},
    )


def array_breakdown(reports: Mapping[str, Report], *, titles: bool = True) -> Figure:
    """The array's cycles of every layer by what its multipliers did, the reports side by side.

    Layers and bars as in `bandwidth_breakdown`; layers on the vector unit are left out. Raises InputError without
    reports, with more than three, or when the array does nothing.
    """
    check_reports(reports, MOST_REPORTS)
    parts = array_parts(reports.values())
    values = {name: _columns(report, parts) for name, report in reports.items()}
    totals = {name: sum(sum(layer.values()) for layer in of.values()) for name, of in values.items()}
    return _layer_figure(
        values,
        parts,
        title=f"Where the array's cycles go: {subject(reports)}",
        quantity=f"Cycles {per_batch(reports)}",
        base="cycles",
        titles=titles,
        notes=with_change(totals, "cycles"),
    )


def _traffic(report: Report) -> ByLayer:
    """DRAM bytes of each layer, by operand."""
    values: dict[str, dict[str, float]] = {str(layer): {} for layer in report.layers["layer"]}
    dram = report.traffic[report.traffic["level"] == "dram"]
    for layer, operand, size in zip(dram["layer"], dram["operand"], dram["bytes"], strict=True):
        values[layer][operand] = values[layer].get(operand, 0.0) + float(size)
    return values


def _columns(report: Report, parts: Sequence[Part]) -> ByLayer:
    """The parts of each layer as the table of layers has them."""
    columns = [part.key for part in parts]
    rows = report.layers.reindex(columns=columns, fill_value=0).to_numpy(np.float64).tolist()
    return {
        str(name): dict(zip(columns, row, strict=True)) for name, row in zip(report.layers["layer"], rows, strict=True)
    }


def _layer_figure(
    values: Mapping[str, ByLayer],
    parts: Sequence[Part],
    *,
    title: str,
    quantity: str,
    base: str,
    titles: bool,
    notes: Mapping[str, str],
) -> Figure:
    """Stacked bars: values by report, layer and part; notes say what each report comes to."""
    everything = merged_order([list(by_layer) for by_layer in values.values()])
    layers = [name for name in everything if any(sum(of.get(name, {}).values()) > 0 for of in values.values())]
    if not layers:
        raise NothingToDrawError(f"{title}: nothing to draw, every layer has 0")
    table = np.array(
        [[[of.get(name, {}).get(part.key, 0.0) for name in layers] for part in parts] for of in values.values()]
    )
    shown = [index for index in range(len(parts)) if table[:, index].any()]
    parts, table = [parts[index] for index in shown], table[:, shown]
    ceiling, cut = _ceiling(table.sum(axis=1).max(axis=0))
    factor, unit = unit_for(ceiling, base)
    table, ceiling = table / factor, ceiling / factor
    with publication_style():
        names = short_names(layers)
        above = {index: f"{names[index]}: {_summary(table[:, :, index], parts, unit)}" for index in cut}
        rows = _Rows(names, len(values), above)
        header = Header(rows.width, titles=titles)
        header.title(title)
        if len(values) == 1:
            header.note("".join(f"{name}: {note}" for name, note in notes.items()))
        header.legend([colour_key(part.name, part.colour) for part in parts])
        if len(values) > 1:
            colours = [part.colour for part in parts]
            header.legend(
                [report_key(f"{name}: {notes[name]}", at, len(values), colours) for at, name in enumerate(values)]
            )
        figure = Figure(figsize=(rows.width, header.height + rows.height))
        header.draw(figure)
        for row in range(rows.count):
            axes = rows.add_axes(figure, row)
            axes.set_ylim(0, ceiling)
            chosen = rows.layers_of(row)
            _draw_bars(axes, list(values), table[:, :, chosen.start : chosen.stop], parts)
            for line, index in enumerate(index for index in cut if index in chosen):
                _mark_cut(axes, index - chosen.start, ceiling)
                rows.write_above(axes, index, line)
        figure.text(
            (0.04 + line_inches() / 2) / rows.width,
            rows.middle / figure.get_figheight(),
            axis_label(quantity, unit),
            rotation=90,
            ha="center",
            va="center",
        )
    return figure


class _Rows:
    """Where the rows of a figure per layer go, in inches. `above` are texts over layers that are cut off."""

    def __init__(self, labels: Sequence[str], reports: int, above: Mapping[int, str]) -> None:
        self.labels, self.above = labels, above
        pitch = max(line_inches(NAME_POINTS) * 0.85, reports * BAR_INCHES + BETWEEN_GROUPS)
        self.count = math.ceil(len(labels) * pitch / (FULL_WIDTH - LEFT - RIGHT))
        self.per_row = math.ceil(len(labels) / self.count)
        wish = LEFT + RIGHT + self.per_row * (0.22 + 0.08 * reports)
        self.width = min(FULL_WIDTH, max(COLUMN_WIDTH, wish))
        self.pitch = (self.width - LEFT - RIGHT) / self.per_row
        self.axes_inches = 1.35 if self.count > 1 else 1.7
        widths = [text_inches(label, NAME_POINTS) for label in labels]
        self.flat = max(widths) + 0.06 < self.pitch
        self._tops, self._bottoms = [], []
        passed = 0.0
        for row in range(self.count):
            chosen = self.layers_of(row)
            over = 0.06 + line_inches(NAME_POINTS) * sum(index in chosen for index in above)
            passed += over
            self._tops.append(passed)
            under = line_inches(NAME_POINTS) if self.flat else max(widths[index] for index in chosen)
            passed += self.axes_inches + under + BELOW + 0.04
            self._bottoms.append(passed)

    @property
    def height(self) -> float:
        """All rows together."""
        return self._bottoms[-1]

    @property
    def middle(self) -> float:
        """The middle of the rows, from below."""
        return self.height - (self._tops[0] + self._tops[-1] + self.axes_inches) / 2

    def layers_of(self, row: int) -> range:
        """Indices of the layers in a row."""
        return range(row * self.per_row, min((row + 1) * self.per_row, len(self.labels)))

    def add_axes(self, figure: Figure, row: int) -> Axes:
        """The axes of a row, with the layers' names; a short last row keeps the width of a bar."""
        height = figure.get_figheight()
        chosen = self.layers_of(row)
        bottom = self.height - self._tops[row] - self.axes_inches
        width = len(chosen) * self.pitch
        axes = figure.add_axes((LEFT / self.width, bottom / height, width / self.width, self.axes_inches / height))
        axes.set_xlim(-0.5, len(chosen) - 0.5)
        names = [self.labels[index] for index in chosen]
        axes.set_xticks(range(len(chosen)), names, rotation=0 if self.flat else 90, fontsize=NAME_POINTS)
        axes.tick_params(axis="x", pad=2)
        quiet_axes(axes, "y")
        axes.locator_params(axis="y", nbins=5)
        return axes

    def write_above(self, axes: Axes, index: int, line: int) -> None:
        """Writes what stands in `above` for a layer, in a line above its row, over its bars."""
        at = index % self.per_row
        left_half = at < self.per_row / 2
        room = (self.per_row - at if left_half else at + 1) * self.pitch
        axes.annotate(
            cut_to_width(self.above[index], room, NAME_POINTS),
            (at + (-0.4 if left_half else 0.4), 1),
            (0, 72 * line_inches(NAME_POINTS) * line + 2),
            xycoords=axes.get_xaxis_transform(),
            textcoords="offset points",
            ha="left" if left_half else "right",
            va="bottom",
            fontsize=NAME_POINTS,
        )


def _draw_bars(axes: Axes, names: Sequence[str], table: Values, parts: Sequence[Part]) -> None:
    """Stacks of [report, part, layer] values; every container is labelled "report: part"."""
    positions = np.arange(table.shape[2])
    width = 0.8 / len(names)
    for at, name in enumerate(names):
        bottom = np.zeros(table.shape[2])
        place = positions + (at - (len(names) - 1) / 2) * width
        for part, heights in zip(parts, table[at], strict=True):
            label, some = f"{name}: {part.name}", heights > 0
            look = report_look(part.colour, at, len(names))
            axes.bar(place[some], heights[some], width * 0.9, bottom=bottom[some], label=label, **look)
            bottom = bottom + heights


def _ceiling(totals: Values) -> tuple[float, list[int]]:
    """Where the axis ends, and the few layers that reach beyond because they would flatten all others."""
    order = np.argsort(-totals, kind="stable")
    for count in range(min(4, len(totals) // 5), 0, -1):
        inside, beyond = totals[order[count]], totals[order[count - 1]]
        if inside > 0 and beyond > LARGE * inside:
            return float(inside) * 1.25, sorted(int(index) for index in order[:count])
    return float(totals.max()) * 1.05, []


def _summary(values: Values, parts: Sequence[Part], unit: str) -> str:
    """The totals of [report, part] values, and what most of them is: "205 → 198 MB, mostly kernel"."""
    totals = [f"{total:.0f}" if total >= 1000 else f"{total:#.3g}".rstrip(".") for total in values.sum(axis=1)]
    sums = values.sum(axis=0)
    most = int(sums.argmax())
    name = f", mostly {parts[most].name}" if 2 * sums[most] > sums.sum() else ""
    return f"{totals[0] if len(set(totals)) == 1 else ' → '.join(totals)} {unit}{name}"


def _mark_cut(axes: Axes, position: int, ceiling: float) -> None:
    """A white slanted band through bars that leave the axes."""
    low, slope, thick = 0.86 * ceiling, 0.05 * ceiling, 0.035 * ceiling
    left, right = position - 0.46, position + 0.46
    corners = [(left, low), (right, low + slope), (right, low + slope + thick), (left, low + thick)]
    axes.add_patch(Polygon(corners, closed=True, facecolor="white", edgecolor="none", zorder=3))
