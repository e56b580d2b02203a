"""The roofline of an accelerator, and where each layer of a network stands under it."""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import NullFormatter

from simulator.report.bound import bounds
from simulator.report.figures.layer_names import short_names
from simulator.report.figures.naming import PointNames, cover
from simulator.report.figures.style import (
    BLACK,
    BLUE,
    COLUMN_WIDTH,
    NAME_POINTS,
    ORANGE,
    TEXT_POINTS,
    Header,
    Key,
    NothingToDrawError,
    line_inches,
    publication_style,
    subject,
    text_inches,
    with_unit,
    wrapped,
    write_lines,
)
from simulator.report.report import Report

NAMED = 6
LARGEST_AREA, SMALLEST_AREA = 110.0, 5.0
"""Square points of the marker with the most cycles, and of one with next to none."""

LEFT, RIGHT, BELOW, AXES_INCHES = 0.5, 0.1, 0.4, 2.3

Values = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class _Points:
    """One layer per entry: MACs per byte, MACs per second, cycles, whether DRAM is the limit."""

    names: list[str]
    intensity: Values
    speed: Values
    cycles: Values
    memory: npt.NDArray[np.bool_]

    @property
    def areas(self) -> Values:
        """Marker areas in square points."""
        areas: Values = np.maximum(SMALLEST_AREA, LARGEST_AREA * self.cycles / self.cycles.max())
        return areas

    @property
    def radii(self) -> Values:
        """Points from the middle of each marker to its farthest edge."""
        return np.asarray(np.sqrt(self.areas / np.where(self.memory, 4, 2)), np.float64)


def roofline(report: Report, *, titles: bool = True) -> Figure:
    """Every layer with MACs at its operational intensity and speed, under the roofs of DRAM and array.

    Both axes count dense MACs, so what zeros and pruning save moves a layer: to the right by bytes, up by time, above
    the array's roof where MACs are skipped; a note below the axes says so where it happens. What bounds a layer is as
    in `bounds`, in colours and shapes of the page. Markers grow with a layer's cycles, and the longest layers carry
    their names where there is room. titles: False for a figure that a caption explains. Raises InputError when no layer
    has both MACs and DRAM traffic.
    """
    points = _points(report)
    bandwidth = float(report.meta["dram_bandwidth_bytes_per_second"])
    peak = float(report.meta["array_macs"]) * float(report.meta["clock_hz"])
    with publication_style():
        header = Header(COLUMN_WIDTH, titles=titles)
        header.title(f"Roofline: {subject({'': report})}{_pruned(report)}")
        header.legend(
            key_inches=0.08,
            keys=[
                Key(f"bound by DRAM ({points.memory.sum()})", (_marker(memory=True),)),
                Key(f"bound by something else ({(~points.memory).sum()})", (_marker(memory=False),)),
            ],
        )
        header.note(f"Area of a marker: cycles of the layer, {with_unit(float(points.cycles.max()), 'cycles')} at most")
        notes = wrapped(_explained(points, bandwidth, peak), COLUMN_WIDTH - 2 * Header.MARGIN, NAME_POINTS)
        below = BELOW + len(notes) * line_inches(NAME_POINTS) + 0.04
        height = header.height + AXES_INCHES + below + 0.05
        figure = Figure(figsize=(COLUMN_WIDTH, height))
        FigureCanvasAgg(figure)
        header.draw(figure)
        width = COLUMN_WIDTH - LEFT - RIGHT
        axes = figure.add_axes((LEFT / COLUMN_WIDTH, below / height, width / COLUMN_WIDTH, AXES_INCHES / height))
        write_lines(figure, notes, Header.MARGIN, 0.04)
        _draw_axes(axes, points, bandwidth, peak)
        taken = _draw_roofs(axes, bandwidth, peak)
        by_size = np.argsort(-points.areas, kind="stable")
        for memory in (True, False):
            of = by_size[points.memory[by_size] == memory]
            marker = _marker(memory=memory)
            axes.scatter(
                points.intensity[of],
                points.speed[of],
                points.areas[of],
                color=marker.get_markerfacecolor(),
                marker=str(marker.get_marker()),
                edgecolors="white",
                linewidths=0.4,
                label="bound by DRAM" if memory else "bound by something else",
                zorder=3,
            )
        _name_longest(axes, points, taken)
    return figure


def _points(report: Report) -> _Points:
    layers = report.layers[(report.layers["macs_dense"] > 0) & (report.layers["dram_bytes"] > 0)]
    if layers.empty:
        raise NothingToDrawError("a roofline needs layers with MACs and DRAM traffic, found none")
    macs, cycles = layers["macs_dense"].to_numpy(np.float64), layers["cycles"].to_numpy(np.float64)
    return _Points(
        short_names([str(name) for name in layers["layer"]]),
        macs / layers["dram_bytes"].to_numpy(np.float64),
        macs * float(report.meta["clock_hz"]) / cycles,
        cycles,
        np.array([bound.startswith("DRAM") for bound in bounds(layers)]),
    )


def _explained(points: _Points, bandwidth: float, peak: float) -> str:
    """Why layers stand where the roofs alone would not put them; only of what is in the figure."""
    ridge = peak / bandwidth
    reasons = ["Both axes count dense MACs; what bounds a layer is what was busy longest when it was simulated."]
    if (points.speed > peak).any():
        reasons.append("Above the array's roof: MACs that were skipped take no time.")
    if (points.memory & (points.intensity > ridge)).any():
        reasons.append("Bound by DRAM right of the ridge: the array took less time than its roof says.")
    if (~points.memory & (points.intensity < ridge)).any():
        reasons.append("Bound by something else left of the ridge: only part of the array was used, or tiles waited.")
    return " ".join(reasons)


def _pruned(report: Report) -> str:
    pruning = report.meta["pruning"]
    return "" if pruning == "none" else f", {pruning['kind']} pruning"


def _marker(*, memory: bool) -> Line2D:
    """How a layer is drawn."""
    shape, colour = ("o", BLUE) if memory else ("s", ORANGE)
    return Line2D([], [], linestyle="none", marker=shape, markersize=5, markerfacecolor=colour, markeredgecolor="white")


def _draw_axes(axes: Axes, points: _Points, bandwidth: float, peak: float) -> None:
    ridge = peak / bandwidth
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlim(_decades(min(points.intensity.min() / 2, ridge / 6), max(points.intensity.max() * 2, ridge * 8)))
    axes.set_ylim(_decades(min(points.speed.min() / 2, peak / 30), max(points.speed.max() * 1.5, peak * 3)))
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_minor_formatter(NullFormatter())
    axes.set_xlabel("Operational intensity (dense MACs per DRAM byte)")
    axes.set_ylabel("Dense MACs per second")
    axes.grid(which="major")
    axes.tick_params(which="minor", length=0)


def _decades(low: float, high: float) -> tuple[float, float]:
    """The limits of a logarithmic axis, moved apart until it has two ticks."""
    while math.floor(math.log10(high)) - math.ceil(math.log10(low)) < 1:
        low, high = low / 1.2, high * 1.2
    return low, high


def _draw_roofs(axes: Axes, bandwidth: float, peak: float) -> Values:
    """Draws both roofs with what they stand for; returns the places on the page that they take, in points."""
    (left, right), ridge = axes.get_xlim(), peak / bandwidth
    x = np.geomspace(left, right, 300)
    axes.plot(x, np.minimum(x * bandwidth, peak), color=BLACK, linewidth=1.0, zorder=2)
    start = max(left, axes.get_ylim()[0] / bandwidth)
    middle = math.sqrt(start * ridge)
    foot, centre, top, end = _on_page(
        axes, [[start, start * bandwidth], [middle, middle * bandwidth], [ridge, peak], [right, peak]]
    )
    angle = math.degrees(math.atan2(*(top - foot)[::-1]))
    names = f"DRAM: {_rate(bandwidth, 'B/s')}", f"array: {_rate(peak, 'MAC/s')}"
    lengths = [72 * text_inches(name) for name in names]
    above = TEXT_POINTS / 2 + 3
    side = np.array([-math.sin(math.radians(angle)), math.cos(math.radians(angle))])
    before_ridge = top + np.array([-lengths[1] / 2 - 4, 0])
    fits = before_ridge[0] - lengths[1] / 2 > foot[0] + 4
    places = (centre + above * side, before_ridge if fits else end + np.array([-lengths[1] / 2 - 2, above]))
    taken = [_on_page(axes, np.column_stack([x, np.minimum(x * bandwidth, peak)]))]
    for name, length, place, turn in zip(names, lengths, places, (angle, 0.0), strict=True):
        data_x, data_y = axes.transData.inverted().transform(place * axes.figure.dpi / 72)
        axes.text(data_x, data_y, name, rotation=turn, rotation_mode="anchor", ha="center", va="center")
        taken.append(cover(place, length + 4, TEXT_POINTS + 2, turn))
    return np.concatenate(taken)


def _name_longest(axes: Axes, points: _Points, taken: Values) -> None:
    """Writes names beside the points with most cycles, NAMED of them where there is room."""
    names = PointNames(axes, _on_page(axes, np.column_stack([points.intensity, points.speed])), points.radii, taken)
    left = NAMED
    for index in np.argsort(-points.cycles, kind="stable")[: 3 * NAMED]:
        left -= names.write(int(index), points.names[index]) is not None
        if not left:
            break


def _on_page(axes: Axes, places: npt.ArrayLike) -> Values:
    """Data coordinates [number, 2] as typographic points on the page."""
    return np.asarray(axes.transData.transform(np.asarray(places, np.float64)) * 72 / axes.figure.dpi, np.float64)


def _rate(value: float, unit: str) -> str:
    for factor, prefix in ((1e15, "P"), (1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= factor:
            return f"{value / factor:.4g} {prefix}{unit}"
    return f"{value:.4g} {unit}"
