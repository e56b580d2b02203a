"""Figures of a study: the Pareto front, what each parameter does, and accuracy against bytes."""

import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import NullLocator

from simulator.report.figures.save import check_formats, save_figure
from simulator.report.figures.style import (
    BLACK,
    BLUE,
    COLUMN_WIDTH,
    FULL_WIDTH,
    GREEN,
    GREY,
    LIGHT_GREY,
    NAME_POINTS,
    ORANGE,
    PURPLE,
    SKY,
    VERMILLION,
    Header,
    Key,
    NothingToDrawError,
    line_inches,
    publication_style,
    quiet_axes,
    text_inches,
    unit_for,
    write_lines,
)
from simulator.study.designs import by_design, pareto_front
from simulator.study.folder import About
from simulator.study.front import design_lines, draw_front, numbered, write_numbers
from simulator.study.quantity import text
from simulator.study.sensitivity import Effect, effects, settings_that_differ

if TYPE_CHECKING:
    import pandas as pd

COLOURS = (BLUE, ORANGE, GREEN, VERMILLION, PURPLE, SKY, BLACK, GREY)
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
LEFT, RIGHT, BELOW, AXES_INCHES = 0.52, 0.1, 0.4, 2.3
PANEL_INCHES, PANEL_GAP, PER_ROW, TICK_GAP = 1.3, 0.42, 3, 0.08
ACCURACIES = {"top1": "Top-1", "top5": "Top-5", "agreement": "Agreement with the unpruned network"}

Floats = npt.NDArray[np.float64]

_NAMES = {
    "dram_bytes": "DRAM traffic",
    "energy_pj": "Energy",
    "seconds": "Time",
    "cycles": "Cycles",
    "buffer_bytes": "Buffers",
    "array_macs": "MACs per cycle",
    "energy_delay_js": "Energy × delay",
    "frames_per_second": "Frames per second",
    "pruning_unit_area_um2": "Pruning unit",
    "utilisation": "Utilisation",
}


def save_study_figures(
    study: About,
    table: "pd.DataFrame",
    folder: Path,
    formats: Sequence[str] = ("png", "svg"),
    *,
    titles: bool = True,
) -> list[Path]:
    """Writes the figures that apply into `folder`, each whole or not at all; returns their paths.

    pareto (the first two objectives), sensitivity-METRIC of each objective that any parameter changes, and accuracy
    where the traces carry any. table: results that are done; titles: False for figures that captions explain. Raises
    InputError for an unknown format or a folder that cannot be written.
    """
    check_formats(formats)
    drawn: dict[str, Callable[[], Figure]] = {}
    objectives = list(study.objectives)
    if len(objectives) > 1:
        drawn["pareto"] = partial(pareto_figure, study, table, *objectives[:2], titles=titles)
    for metric in objectives:
        drawn[f"sensitivity-{metric.replace('_', '-')}"] = partial(
            sensitivity_figure, study, table, metric, titles=titles
        )
    drawn["accuracy"] = partial(accuracy_figure, study, table, titles=titles)
    paths = []
    for name, draw in drawn.items():
        try:
            figure = draw()
        except NothingToDrawError:
            continue
        paths += save_figure(figure, folder / name, formats)
    return paths


def pareto_figure(
    study: About,
    table: "pd.DataFrame",
    x: str,
    y: str,
    colour: str | None = None,
    marker: str | None = None,
    *,
    asked: Sequence[str] | None = None,
    titles: bool = True,
) -> Figure:
    """Every design by two metrics (geometric means over traces and images), and the front of those that none beats.

    Designs of the front have numbers, which are explained below the axes. colour, marker: columns whose values designs
    are told apart by; the pruning, and the accelerator where there are several, unless named. asked: the objectives
    that were asked for, the study's unless given. Raises InputError where no design has all its points.
    """
    designs = by_design(study, table, list(dict.fromkeys([x, y])))
    if designs.empty:
        raise NothingToDrawError("a Pareto front needs designs of which all points are done, found none")
    colour = colour or "pruning"
    marker = marker or ("accelerator" if designs["accelerator"].nunique() > 1 else None)
    goals = [_maximised(study, name) for name in (x, y)]
    values = designs[[x, y]].to_numpy(np.float64)
    front = pareto_front(values, goals)
    traces = table["trace"].unique().tolist()
    (x_factor, x_label), (y_factor, y_label) = (_axis(name, designs[name].to_numpy(np.float64)) for name in (x, y))
    with publication_style():
        header = Header(COLUMN_WIDTH, titles=titles)
        header.title(f"{study.name}: {len(designs):,} designs, {front.sum()} on the front")
        header.note(_objectives_drawn(study, x, y, asked))
        header.note(_means_of(traces))
        colours = _looks(designs[colour], COLOURS)
        markers = _looks(designs[marker], MARKERS) if marker else {}
        unit = study.units.get(colour)
        keys = [Key(f"{_short(colour)} {text(value, unit)}", (_dot(look, "o"),)) for value, look in colours.items()]
        if marker:
            unit = study.units.get(marker)
            keys += [
                Key(f"{_short(marker)} {text(value, unit)}", (_dot(GREY, look),)) for value, look in markers.items()
            ]
        header.legend([*keys, Key("front", (Line2D([], [], color=BLACK, linewidth=0.8),))], key_inches=0.12)
        named = numbered(designs[front].sort_values(x, kind="stable"))
        settings = settings_that_differ(study, table)
        lines = design_lines(named, settings, study.units, COLUMN_WIDTH - 2 * Header.MARGIN) if settings else []
        figure, axes = _single(header, lines)
        for value, look in colours.items():
            for kind, shape in (markers or {None: "o"}).items():
                chosen = (designs[colour] == value).to_numpy()
                if marker:
                    chosen = chosen & (designs[marker] == kind).to_numpy()
                for on_front, area, strength in ((False, 7.0, 0.45), (True, 20.0, 1.0)):
                    of = chosen & (front == on_front)
                    axes.scatter(
                        values[of, 0] / x_factor,
                        values[of, 1] / y_factor,
                        area,
                        color=look,
                        marker=shape,
                        alpha=strength,
                        linewidths=0.4 if on_front else 0,
                        edgecolors=BLACK if on_front else "none",
                        zorder=3 if on_front else 2,
                    )
        _scale(axes, "x", values[:, 0] / x_factor, binary=x == "buffer_bytes")
        _scale(axes, "y", values[:, 1] / y_factor, binary=y == "buffer_bytes")
        scaled = values / (x_factor, y_factor)
        draw_front(axes, scaled[front], goals)
        if lines:
            write_numbers(axes, named[[x, y]].to_numpy(np.float64) / (x_factor, y_factor), scaled)
        axes.set_xlabel(x_label)
        axes.set_ylabel(y_label)
        axes.grid(which="major")
    return figure


def sensitivity_figure(study: About, table: "pd.DataFrame", metric: str, *, titles: bool = True) -> Figure:
    """What each parameter does to a metric, all else equal: a panel per parameter, a line per trace, in percent of the
    first value.

    Raises InputError where no parameter changes alone, or none changes the metric.
    """
    found = [effect for effect in effects(study, table, metric) if _changes(effect)]
    if not found:
        raise NothingToDrawError(f"no parameter changes {metric} while all else stays")
    traces = list(dict.fromkeys(name for effect in found for name in effect.ratios))
    rows = -(-len(found) // PER_ROW)
    columns = min(PER_ROW, len(found))
    with publication_style():
        header = Header(FULL_WIDTH, titles=titles)
        header.title(f"{study.name}: {_NAMES.get(metric, metric)} by parameter, first value = 100 %, all else equal")
        looks = dict(zip(traces, zip(_cycled(COLOURS), _cycled(MARKERS), strict=False), strict=False))
        header.legend([Key(name, (_line(*looks[name]),)) for name in traces])
        ticks = [[text(value, study.units.get(effect.columns[0])) for value in effect.values] for effect in found]
        width = (FULL_WIDTH - LEFT - RIGHT - (columns - 1) * PANEL_GAP) / columns
        turned = [sum(text_inches(name, NAME_POINTS) + TICK_GAP for name in names) > width for names in ticks]
        below = [0.0] * rows
        for at, (names, turn) in enumerate(zip(ticks, turned, strict=True)):
            tall = max(text_inches(name, NAME_POINTS) for name in names) if turn else 0.1
            below[at // PER_ROW] = max(below[at // PER_ROW], 0.36 + tall)
        height = header.height + rows * PANEL_INCHES + sum(below)
        figure = Figure(figsize=(FULL_WIDTH, height))
        header.draw(figure)
        for at, (effect, names, turn) in enumerate(zip(found, ticks, turned, strict=True)):
            row, column = divmod(at, PER_ROW)
            left = LEFT + column * (width + PANEL_GAP)
            bottom = height - header.height - (row + 1) * PANEL_INCHES - sum(below[:row])
            axes = figure.add_axes((left / FULL_WIDTH, bottom / height, width / FULL_WIDTH, PANEL_INCHES / height))
            for trace, ratios in effect.ratios.items():
                colour, marker = looks[trace]
                axes.plot(100 * ratios, color=colour, marker=marker, markersize=3, linewidth=0.9, label=trace)
            axes.axhline(100, color=LIGHT_GREY, linewidth=0.6, zorder=1)
            axes.set_xlim(-0.25, len(names) - 0.75)
            axes.set_xticks(range(len(names)), names, fontsize=NAME_POINTS, rotation=90 if turn else 0)
            axes.set_xlabel(_common_name(effect.columns))
            quiet_axes(axes, "y")
            if not column:
                axes.set_ylabel(f"{_NAMES.get(metric, metric)} (%)")
    return figure


def accuracy_figure(study: About, table: "pd.DataFrame", x: str = "dram_bytes", *, titles: bool = True) -> Figure:
    """Accuracy that the traces carry against bytes: every design on every trace, and the front over all of them.

    Accuracies are those of the recording, over all of its images. Markers of one kind of pruning lie inside of the
    next one's, so that neither hides the other, and a note says how many points lie on others all the same. Raises
    InputError where no trace carries any.
    """
    metric = next((name for name in ACCURACIES if name in table and table[name].notna().any()), None)
    if metric is None:
        raise NothingToDrawError("accuracy against bytes: no trace carries an accuracy")
    rows = table[table[metric].notna() & table[x].notna()]
    values = rows[[x, metric]].to_numpy(np.float64) * (1, 100)
    factor, label = _axis(x, values[:, 0])
    front = pareto_front(values, [False, True])
    with publication_style():
        header = Header(COLUMN_WIDTH, titles=titles)
        header.title(f"{study.name}: accuracy and {_NAMES.get(x, x)}")
        colours, shapes = _looks(rows["trace"], COLOURS), _looks(rows["pruning"], MARKERS)
        areas = dict(zip(shapes, (34.0 / 3.0**at for at in range(len(shapes))), strict=True))
        places = len(rows[[x, metric, "trace", "pruning"]].drop_duplicates())
        if places < len(rows):
            header.note(f"{len(rows):,} points, of which {len(rows) - places:,} lie exactly on others")
        keys = [Key(str(name), (_dot(look, "o"),)) for name, look in colours.items()]
        keys += [Key(f"pruning {name}", (_ring(GREY, look, areas[name]),)) for name, look in shapes.items()]
        header.legend([*keys, Key("front", (Line2D([], [], color=BLACK, linewidth=0.8),))], key_inches=0.12)
        figure, axes = _single(header)
        for name, colour in colours.items():
            for kind, shape in shapes.items():
                of = ((rows["trace"] == name) & (rows["pruning"] == kind)).to_numpy()
                axes.scatter(
                    values[of, 0] / factor,
                    values[of, 1],
                    areas[kind],
                    facecolors="none",
                    edgecolors=colour,
                    marker=shape,
                    linewidths=0.7,
                    zorder=3,
                )
        _scale(axes, "x", values[:, 0] / factor)
        draw_front(axes, values[front] / (factor, 1), [False, True])
        axes.set_xlabel(label)
        axes.set_ylabel(f"{ACCURACIES[metric]} (%)")
        axes.grid(which="major")
    return figure


def _single(header: Header, lines: Sequence[str] = ()) -> tuple[Figure, Axes]:
    """A figure of one column with axes between its header and lines of small text."""
    below = BELOW + (line_inches(NAME_POINTS) * len(lines) + 0.06 if lines else 0.0)
    height = header.height + AXES_INCHES + below + 0.05
    figure = Figure(figsize=(COLUMN_WIDTH, height))
    header.draw(figure)
    width = COLUMN_WIDTH - LEFT - RIGHT
    axes = figure.add_axes((LEFT / COLUMN_WIDTH, below / height, width / COLUMN_WIDTH, AXES_INCHES / height))
    write_lines(figure, lines, Header.MARGIN, 0.05)
    return figure, axes


def _maximised(study: About, metric: str) -> bool:
    from simulator.study.metrics import MAXIMISED

    return study.objectives.get(metric, "maximise" if metric in MAXIMISED else "minimise") == "maximise"


def _objectives_drawn(study: About, x: str, y: str, asked: Sequence[str] | None) -> str:
    """What the front is a front of, and where that is not all that was asked for, or that the study is about."""
    others = [_NAMES.get(name, name) for name in asked or study.objectives if name not in (x, y)]
    also = "also asked for:" if asked else "the study also has"
    rest = f"; a projection: {also} {', '.join(others)}" if others else ""
    return f"Front in {_NAMES.get(x, x)} and {_NAMES.get(y, y)}{rest}"


def _means_of(traces: Sequence[str]) -> str:
    if len(traces) == 1:
        return f"{traces[0]}, per image"
    return f"Geometric means over {len(traces)} networks, per image"


def _axis(metric: str, values: Floats) -> tuple[float, str]:
    """What values are divided by, and the label of their axis."""
    name, largest = _NAMES.get(metric, metric.replace("_", " ")), float(values.max(initial=0.0))
    if metric == "buffer_bytes":
        factor, unit = (2.0**20, "MiB") if largest >= 2**20 else (2.0**10, "KiB")
        return factor, f"{name} ({unit})"
    for ending, base in (("_bytes", "B"), ("_pj", "pJ"), ("seconds", "s")):
        if metric.endswith(ending):
            factor, unit = unit_for(largest, base)
            return factor, f"{name} ({unit})"
    if metric.endswith("cycles"):
        factor, unit = unit_for(largest, "cycles")
        return factor, f"{name} ({unit.removesuffix(' cycles')}s)" if factor > 1 else name
    if metric in ACCURACIES:
        return 0.01, f"{ACCURACIES[metric]} (%)"
    return 1.0, f"{name} (µm²)" if metric.endswith("_um2") else name


def _scale(axes: Axes, which: str, values: Floats, *, binary: bool = False) -> None:
    """A logarithmic axis where values span more than a decade, with ticks that read as numbers. binary: powers of 2."""
    low, high = float(values.min()), float(values.max())
    if low <= 0 or high / low < 10:
        return
    (axes.set_xscale if which == "x" else axes.set_yscale)("log")
    axis = axes.xaxis if which == "x" else axes.yaxis
    if binary:
        ticks = [2.0**power for power in range(math.ceil(math.log2(low)), math.floor(math.log2(high)) + 1)]
    else:
        decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
        steps = [1, 3] if high / low > 30 else [1, 2, 5]
        ticks = [step * 10.0**power for power in decades for step in steps]
    axis.set_ticks([tick for tick in ticks if low <= tick <= high])
    axis.set_major_formatter(lambda value, _: f"{value:g}")
    axis.set_minor_locator(NullLocator())


def _changes(effect: Effect) -> bool:
    return any(np.ptp(ratios) > 1e-3 for ratios in effect.ratios.values())


def _looks(values: "pd.Series", of: Sequence[str]) -> dict[object, str]:
    return dict(zip(values.unique().tolist(), _cycled(of), strict=False))


def _cycled(of: Sequence[str]) -> list[str]:
    return list(of) * 50


def _dot(colour: str, shape: str) -> Line2D:
    return Line2D([], [], linestyle="none", marker=shape, color=colour, markersize=4, markeredgewidth=0)


def _ring(colour: str, shape: str, area: float) -> Line2D:
    size = math.sqrt(area)
    return Line2D(
        [],
        [],
        linestyle="none",
        marker=shape,
        color=colour,
        markersize=size,
        markerfacecolor="none",
        markeredgewidth=0.7,
    )


def _line(colour: str, shape: str) -> Line2D:
    return Line2D([], [], color=colour, marker=shape, markersize=3, linewidth=0.9)


def _short(column: str) -> str:
    """A setting by the end of its name: `capacity` says too little, `ifm.capacity` enough."""
    return ".".join(column.split(".")[-2:])


def _common_name(columns: Mapping[str, object] | Sequence[str]) -> str:
    """Several settings that change together: by the first, and how many others."""
    names = list(columns)
    return _short(names[0]) + (f" and {len(names) - 1} more" if len(names) > 1 else "")
