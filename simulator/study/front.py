"""How a front is drawn: its border, numbers at its points, and which designs they are."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from simulator.report.figures.naming import PointNames
from simulator.report.figures.style import BLACK, NAME_POINTS, wrapped
from simulator.study.quantity import text

if TYPE_CHECKING:
    import pandas as pd

MOST_LISTED = 10
"""Designs of a front that are numbered; of a longer one so many, evenly along it."""

_RADIUS_POINTS = 2.5

Floats = npt.NDArray[np.float64]


def draw_front(axes: Axes, points: Floats, maximised: Sequence[bool]) -> None:
    """The border of what the front beats: a staircase through its points, on to the edges of the axes as they are.

    So a front of a single design has one too.
    """
    ordered = points[np.argsort(points[:, 0], kind="stable")]
    (left, right), (bottom, top) = axes.get_xlim(), axes.get_ylim()
    worst_x, worst_y = (left if maximised[0] else right), (bottom if maximised[1] else top)
    ends = [(worst_x, ordered[0, 1]), (ordered[-1, 0], worst_y)]
    if not maximised[0]:
        ends = [(ordered[0, 0], worst_y), (worst_x, ordered[-1, 1])]
    line = np.vstack([ends[0], ordered, ends[1]])
    steps: Literal["post", "pre"] = "pre" if maximised[0] else "post"
    axes.step(line[:, 0], line[:, 1], where=steps, color=BLACK, linewidth=0.8, zorder=2.5, label="front")
    axes.set(xlim=(left, right), ylim=(bottom, top))


def numbered(front: "pd.DataFrame") -> "pd.DataFrame":
    """The designs of a front that get a number, in their order: all, or so many from end to end."""
    if len(front) <= MOST_LISTED:
        return front
    return front.iloc[np.linspace(0, len(front) - 1, MOST_LISTED).round().astype(int)]


def design_lines(
    designs: "pd.DataFrame", settings: Sequence[str], units: Mapping[str, str], inches: float
) -> list[str]:
    """Which designs the numbers are, in lines no wider than that: what they share first, then what differs of each."""
    rows = [
        {_short(name): text(design[name], units.get(name)) for name in settings}
        for design in designs.to_dict("records")
    ]
    names = list(rows[0])
    shared = {name: rows[0][name] for name in names if len(rows) > 1 and len({row[name] for row in rows}) == 1}
    lines = wrapped(f"All numbered: {_listed(shared)}", inches, NAME_POINTS) if shared else []
    for number, row in enumerate(rows, 1):
        own = {name: value for name, value in row.items() if name not in shared}
        lines += wrapped(f"{number}: {_listed(own)}", inches, NAME_POINTS) if own else []
    return lines


def write_numbers(axes: Axes, places: Floats, others: Floats) -> None:
    """Writes 1, 2, … beside points, clear of each other and of all points where there is room."""
    assert isinstance(axes.figure, Figure)
    FigureCanvasAgg(axes.figure)  # knows where data lie on the page
    every = np.vstack([places, others])
    on_page = np.asarray(axes.transData.transform(every) * 72 / axes.figure.dpi, np.float64)
    names = PointNames(axes, on_page, np.full(len(every), _RADIUS_POINTS), np.zeros((0, 2)))
    for at, place in enumerate(places):
        if names.write(at, str(at + 1)) is None:
            look: dict[str, Any] = {"fontsize": NAME_POINTS, "ha": "left", "va": "bottom", "zorder": 4}
            axes.annotate(str(at + 1), (place[0], place[1]), (2, 2), textcoords="offset points", **look)


def _listed(settings: Mapping[str, str]) -> str:
    return ", ".join(f"{name} {value}" for name, value in settings.items())


def _short(column: str) -> str:
    return ".".join(column.split(".")[-2:])
