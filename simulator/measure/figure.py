"""The figure of a cross-check: every layer as measured and as simulated."""

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter

from simulator.measure.crosscheck import FAR, CrossCheck
from simulator.report.figures.style import (
    BLUE,
    COLUMN_WIDTH,
    GREEN,
    GREY,
    LIGHT_GREY,
    ORANGE,
    PURPLE,
    SKY,
    VERMILLION,
    Header,
    Key,
    publication_style,
)

KINDS = {
    "convolution": (BLUE, "o"),
    "depthwise": (VERMILLION, "s"),
    "linear": (GREEN, "^"),
    "pooling": (PURPLE, "D"),
    "batch_norm": (ORANGE, "v"),
    "element-wise": (SKY, "P"),
    "concat": (GREY, "X"),
}

AXES_INCHES, LEFT, RIGHT, BELOW = 2.6, 0.68, 0.1, 0.42


def scatter(found: CrossCheck, subject: str) -> Figure:
    """Simulated over measured time of every layer, on logarithmic axes; judged layers full, fitted ones hollow.

    The line is equality; the band reaches to a factor of FAR either way.
    """
    table = found.layers
    low = float(table[["measured_us", "simulated_us"]].min().min()) / 1.5
    high = float(table[["measured_us", "simulated_us"]].max().max()) * 1.5
    shown = [kind for kind in KINDS if (table["kind"] == kind).any()]
    shown += sorted(set(table["kind"]) - set(KINDS))
    with publication_style():
        header = Header(COLUMN_WIDTH)
        header.title(f"Measured and simulated layers: {subject}")
        header.legend(
            [Key(f"{kind.replace('_', ' ')} ({(table['kind'] == kind).sum()})", (_marker(kind),)) for kind in shown],
            key_inches=0.08,
        )
        if table["fitted"].any():
            header.note(f"Hollow: the {int(table['fitted'].sum())} layers that constants were fitted to")
        header.note(f"Band: a factor of {FAR:g} either way")
        height = header.height + AXES_INCHES + BELOW + 0.05
        figure = Figure(figsize=(COLUMN_WIDTH, height))
        header.draw(figure)
        width = (COLUMN_WIDTH - LEFT - RIGHT) / COLUMN_WIDTH
        axes = figure.add_axes((LEFT / COLUMN_WIDTH, BELOW / height, width, AXES_INCHES / height))
        axes.fill_between(
            [low, high], [low / FAR, high / FAR], [low * FAR, high * FAR], color=LIGHT_GREY, alpha=0.4, lw=0
        )
        axes.plot([low, high], [low, high], color=GREY, linewidth=0.8)
        for kind in shown:
            for fitted in (True, False):
                rows = table[(table["kind"] == kind) & (table["fitted"] == fitted)]
                _points(axes, rows, kind, fitted)
        axes.set(xscale="log", yscale="log", xlim=(low, high), ylim=(low, high))
        axes.set_xlabel("measured time of a layer")
        axes.set_ylabel("simulated")
        axes.grid(which="major")
        axes.minorticks_off()
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_formatter(FuncFormatter(_time))
    return figure


def _points(axes: Axes, rows: pd.DataFrame, kind: str, fitted: bool) -> None:
    colour, marker = KINDS.get(kind, (GREY, "."))
    axes.scatter(
        rows["measured_us"],
        rows["simulated_us"],
        9,
        marker=marker,
        facecolors="none" if fitted else colour,
        edgecolors=colour if fitted else "white",
        linewidths=0.5 if fitted else 0.25,
        zorder=2 if fitted else 3,
    )


def _marker(kind: str) -> Line2D:
    colour, marker = KINDS.get(kind, (GREY, "."))
    return Line2D([], [], linestyle="none", marker=marker, color=colour, markersize=4)


def _time(microseconds: float, _: object) -> str:
    for factor, unit in ((1e6, "s"), (1e3, "ms"), (1, "µs")):
        if microseconds >= factor:
            return f"{microseconds / factor:g} {unit}"
    return f"{microseconds * 1e3:g} ns"
