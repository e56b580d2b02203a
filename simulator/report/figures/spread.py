"""How far images differ: the distribution of a network's cost over them, and the layers that vary most."""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from simulator.report.figures.layer_names import short_names
from simulator.report.figures.style import (
    BLACK,
    BLUE,
    FULL_WIDTH,
    NAME_POINTS,
    SKY,
    Header,
    Key,
    NothingToDrawError,
    check_reports,
    cut_to_width,
    lighter,
    line_inches,
    publication_style,
    quiet_axes,
    subject,
    text_inches,
    unit_for,
)
from simulator.report.report import Report
from simulator.report.spread import NETWORK

LEAST_BATCHES, MOST_REPORTS, LAYERS = 3, 3, 12
BODY_INCHES, BELOW, LEFT, GAP, RIGHT = 1.75, 0.4, 0.42, 0.22, 0.12
Values = npt.NDArray[np.float64]


def image_spread(reports: Mapping[str, Report], *, titles: bool = True) -> Figure:
    """Shares of the images up to a time and up to a DRAM traffic, one curve per report; and for the last report the
    layers whose cycles vary most.

    A circle on each curve is the 95th percentile. A layer's bar reaches from the 5th to the 95th percentile of its
    cycles, relative to its mean, with a mark at the median and one at the worst image. Raises InputError without
    reports, with more than three, with fewer than three batches, or when all batches cost the same.
    """
    check_reports(reports, MOST_REPORTS)
    report = list(reports.values())[-1]
    if min(len(report.images) for report in reports.values()) < LEAST_BATCHES:
        raise NothingToDrawError(f"the spread over images needs {LEAST_BATCHES} batches or more")
    if not any(np.ptp(report.images[name]) for report in reports.values() for name in ("cycles", "dram_bytes")):
        raise NothingToDrawError("the spread over images: all of them cost the same")
    every = _varying(report)
    layers = every[:LAYERS]
    with publication_style():
        header = Header(FULL_WIDTH, titles=titles)
        header.title(f"Spread over images: {subject(reports, means=False)}")
        curves = [Key(name, (Line2D([], [], color=_colour(at, len(reports))),)) for at, name in enumerate(reports)]
        marks = [
            Key("95th percentile", (_mark("o"),)),
            Key("layer: 5th to 95th percentile", (Line2D([], [], color=SKY, linewidth=4),)),
            Key("median", (_mark("|"),)),
            Key("worst image", (_mark("x"),)),
        ]
        header.legend([*curves, *marks])
        over = line_inches() + 0.04
        height = header.height + over + BODY_INCHES + BELOW
        figure = Figure(figsize=(FULL_WIDTH, height))
        header.draw(figure)
        names = short_names([name for name, _ in layers])
        widest = max((text_inches(name, NAME_POINTS) for name in names), default=0.0)
        room = (FULL_WIDTH - LEFT - 2 * GAP - widest - 0.1 - RIGHT) / 3

        def panel(left: float) -> Axes:
            return figure.add_axes(
                (left / FULL_WIDTH, BELOW / height, room / FULL_WIDTH, (BODY_INCHES - 0.08) / height)
            )

        seconds = {name: report.images["cycles"] / report.meta["clock_hz"] for name, report in reports.items()}
        times, traffic = panel(LEFT), panel(LEFT + room + GAP)
        _draw_curves(times, {name: np.asarray(of, np.float64) for name, of in seconds.items()}, "Time", "s")
        moved = {name: report.images["dram_bytes"].to_numpy(np.float64) for name, report in reports.items()}
        _draw_curves(traffic, moved, "DRAM traffic", "B")
        times.set_ylabel("Share of images (%)")
        traffic.set_yticklabels([])
        by_layer = panel(LEFT + 2 * (room + GAP) + widest + 0.1)
        _draw_layers(by_layer, [of for _, of in layers], names)
        _say_which(by_layer, list(reports)[-1], len(layers), len(every))
    return figure


def _mark(shape: str) -> Line2D:
    return Line2D([], [], linestyle="none", marker=shape, color=BLACK, markersize=4, markerfacecolor="white")


def _colour(position: int, count: int) -> str:
    """Of a report's curve: full for the last one, pale for what it is held against, as in all figures."""
    return lighter(BLUE, (0.0, 0.5, 0.75)[count - 1 - position])


def _draw_curves(axes: Axes, by_report: Mapping[str, Values], quantity: str, base: str) -> None:
    factor, unit = unit_for(max(float(values.max()) for values in by_report.values()), base)
    for at, (name, values) in enumerate(by_report.items()):
        colour = _colour(at, len(by_report))
        ordered = np.sort(values) / factor
        share = 100 * np.arange(1, len(ordered) + 1) / len(ordered)
        axes.step([ordered[0], *ordered], [0, *share], where="post", color=colour, linewidth=1.2, label=name)
        tail = np.percentile(ordered, 95)
        axes.plot(tail, 95, "o", color=colour, markersize=4, markerfacecolor="white")
    axes.set_ylim(0, 102)
    axes.set_xlabel(f"{quantity} ({unit})")
    axes.locator_params(axis="x", nbins=5)
    axes.grid()


def _varying(report: Report) -> list[tuple[str, dict[str, float]]]:
    """The layers whose cycles vary, the most cycles from p5 to p95 first: their marks in percent of their mean."""
    rows = report.spread[(report.spread["quantity"] == "cycles") & (report.spread["layer"] != NETWORK)]
    rows = rows[(rows["mean"] > 0) & (rows["worst"] > rows["p5"])]
    rows = rows.iloc[np.argsort(-(rows["p95"] - rows["p5"]).to_numpy(), kind="stable")]
    return [
        (str(row["layer"]), {key: 100 * row[key] / row["mean"] - 100 for key in ("p5", "p50", "p95", "worst")})
        for row in rows.to_dict("records")
    ]


def _say_which(axes: Axes, name: str, shown: int, varying: int) -> None:
    """Writes above a panel of layers which run and how many layers it shows."""
    which = f"the {shown} that vary most of {varying}" if shown < varying else f"all {shown} that vary"
    room = axes.get_position().width * FULL_WIDTH
    axes.annotate(
        cut_to_width(f"Layers of {name}, {which}", room + 0.6),
        (1, 1),
        (0, 3),
        xycoords="axes fraction",
        textcoords="offset points",
        ha="right",
        va="bottom",
    )


def _draw_layers(axes: Axes, layers: list[dict[str, float]], names: list[str]) -> None:
    for at, of in enumerate(layers):
        for bar in axes.barh(at, of["p95"] - of["p5"], 0.7, left=of["p5"], color=SKY):
            bar.sticky_edges.x.clear()  # the axis would end where a bar does, as if it were cut off there
        axes.plot(of["p50"], at, "|", color=BLACK, markersize=4)
        axes.plot(of["worst"], at, "x", color=BLACK, markersize=3, markeredgewidth=0.7)
    axes.axvline(0, color=BLACK, linewidth=0.5)
    axes.set_ylim(LAYERS - 0.4, -0.6)
    axes.set_yticks(range(len(names)), names, fontsize=NAME_POINTS)
    axes.set_xlabel("Cycles of a layer, from its mean (%)")
    quiet_axes(axes, "x")
