"""What all figures share: colours, type, sizes in inches, and numbers with units."""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.textpath import TextPath

from simulator.errors import InputError
from simulator.report.report import Report

FULL_WIDTH, COLUMN_WIDTH = 7.16, 3.5
"""Inches: the text width of a two-column page, and one of its columns."""

TITLE_POINTS, TEXT_POINTS, TICK_POINTS = 8.0, 7.0, 6.5

BLUE, ORANGE, GREEN, VERMILLION, PURPLE = "#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7"
SKY, YELLOW, BLACK, GREY = "#56B4E9", "#F0E442", "#000000", "#595959"
"""The palette of Okabe and Ito (2008), which colour-blind readers can tell apart, and a grey."""

OPERAND_COLOURS = {"ifm": BLUE, "kernel": ORANGE, "ofm": GREEN, "psum": VERMILLION, "metadata": PURPLE}
OPERAND_NAMES = {"ifm": "IFM", "kernel": "kernel", "ofm": "OFM", "psum": "psum", "metadata": "metadata"}

_SETTINGS: dict[str, Any] = {
    "font.family": "DejaVu Sans",
    "font.size": TEXT_POINTS,
    "axes.labelsize": TEXT_POINTS,
    "xtick.labelsize": TICK_POINTS,
    "ytick.labelsize": TICK_POINTS,
    "legend.fontsize": TEXT_POINTS,
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.titlelocation": "left",
    "grid.color": "#D9D9D9",
    "grid.linewidth": 0.5,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "xtick.major.size": 2.5,
    "ytick.major.size": 2.5,
    "legend.frameon": False,
    "hatch.linewidth": 0.7,
    "svg.fonttype": "none",
    "svg.hashsalt": "fmapsim",
    "pdf.fonttype": 42,
    "ps.fonttype": 42,
    "figure.dpi": 200,
    "savefig.dpi": 200,
    "savefig.facecolor": "white",
}


def publication_style() -> Any:
    """A context in which figures are drawn and saved: small type, thin lines, text that stays text in SVG and PDF."""
    return rc_context(_SETTINGS)


def lighter(colour: str, share: float) -> tuple[float, float, float]:
    """A colour mixed with `share` of white."""
    red, green, blue = (channel + (1 - channel) * share for channel in to_rgb(colour))
    return red, green, blue


def report_look(colour: str, position: int) -> dict[str, Any]:
    """Patch properties of a colour in the report at `position`: full, light with an outline, lightest and striped."""
    face = lighter(colour, (0.0, 0.5, 0.8)[position])
    return {
        "facecolor": face,
        "edgecolor": colour,
        "linewidth": 0.5 if position else 0.0,
        "hatch": "//////" if position == 2 else None,
    }


@lru_cache(maxsize=4096)
def text_inches(text: str, points: float = TEXT_POINTS) -> float:
    """The printed width of one line of text."""
    if not text.strip():
        return 0.0
    with publication_style():
        return float(TextPath((0, 0), text, size=points).get_extents().width) / 72


def line_inches(points: float = TEXT_POINTS) -> float:
    """The height that one line of text takes."""
    return 1.35 * points / 72


_PREFIXES = {
    "B": ((1e12, "TB"), (1e9, "GB"), (1e6, "MB"), (1e3, "kB"), (1.0, "B")),
    "pJ": ((1e12, "J"), (1e9, "mJ"), (1e6, "µJ"), (1e3, "nJ"), (1.0, "pJ")),
    "s": ((1.0, "s"), (1e-3, "ms"), (1e-6, "µs"), (1e-9, "ns")),
    "cycles": ((1e9, "billion cycles"), (1e6, "million cycles"), (1e3, "thousand cycles"), (1.0, "cycles")),
}


def unit_for(largest: float, base: str) -> tuple[float, str]:
    """The decimal unit in which `largest` has one to three digits before the point, and what it is in `base` units."""
    for factor, unit in _PREFIXES[base]:
        if largest >= factor * 0.9995:
            return factor, unit
    return _PREFIXES[base][-1]


def with_unit(value: float, base: str) -> str:
    """A number of up to four digits with its decimal unit: 114.6 MB, 12.86 MB, 8.73 kB, 512 B."""
    factor, unit = unit_for(value, base)
    scaled = value / factor
    whole = factor == 1.0 and float(scaled).is_integer()
    return f"{scaled:.0f} {unit}" if whole else f"{scaled:.{1 if scaled >= 99.995 else 2}f} {unit}"


def difference(value: float, base: float) -> str:
    """The difference of `value` to `base` in percent, with its sign; nothing without a base."""
    if not base:
        return ""
    percent = 100 * (value - base) / base
    return "±0 %" if abs(percent) < 0.05 else f"{'+' if percent > 0 else '−'}{abs(percent):.1f} %"


def per_batch(reports: Mapping[str, Report]) -> str:
    """What the numbers are for: "per image", or "per batch of 8 images"."""
    sizes = sorted({int(report.meta["batch"]) for report in reports.values()})
    if sizes == [1]:
        return "per image"
    return f"per batch of {' or '.join(map(str, sizes))} images"


def subject(reports: Mapping[str, Report]) -> str:
    """What was simulated: "resnet50 on eyeriss, mean of 10 images"."""
    traces = list(
        dict.fromkeys(
            f"{report.meta['trace']}{'' if report.meta['trace_has_maps'] else ' (shapes only: dense)'}"
            for report in reports.values()
        )
    )
    accelerators = list(dict.fromkeys(str(report.meta["accelerator"]) for report in reports.values()))
    runs = sorted({len(report.images) for report in reports.values()})
    batches = {int(report.meta["batch"]) for report in reports.values()}
    what = "images" if batches == {1} else "batches"
    mean = f", mean of {' or '.join(map(str, runs))} {what}" if runs != [1] else ""
    return f"{_listed(traces)} on {_listed(accelerators)}{mean}"


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def check_reports(reports: Mapping[str, Report], most: int | None = None) -> None:
    """Raises InputError when there is no report, or more than `most`."""
    if not reports:
        raise InputError("a figure needs at least one report, found none")
    if most is not None and len(reports) > most:
        raise InputError(f"a figure per layer shows at most {most} reports side by side, found {len(reports)}")


def cut_to_width(text: str, inches: float, points: float = TEXT_POINTS) -> str:
    """The text, its end replaced by an ellipsis where it is wider than `inches`."""
    if text_inches(text, points) <= inches:
        return text
    while text and text_inches(f"{text}…", points) > inches:
        text = text[:-1]
    return f"{text.rstrip()}…"


def wrapped(text: str, inches: float, points: float) -> list[str]:
    """The text in lines no wider than `inches`, broken at spaces."""
    lines: list[str] = []
    for word in text.split():
        if lines and text_inches(f"{lines[-1]} {word}", points) <= inches:
            lines[-1] = f"{lines[-1]} {word}"
        else:
            lines.append(cut_to_width(word, inches, points))
    return lines


class Header:
    """The lines above the axes: a title, then rows of legend entries, filled from the top of a figure of `width`."""

    MARGIN = 0.08
    KEY = 0.3

    def __init__(self, width: float) -> None:
        self.width = width
        self.height = self.MARGIN
        self._texts: list[tuple[str, float, float, bool]] = []
        self._rows: list[tuple[list[Any], float]] = []

    def title(self, text: str, points: float = TITLE_POINTS, *, bold: bool = True) -> None:
        """Adds a title, broken into as many lines as it needs."""
        room = (self.width - 2 * self.MARGIN) / (1.12 if bold else 1.0)
        for line in wrapped(text, room, points):
            self._texts.append((line, self.height, points, bold))
            self.height += line_inches(points)
        self.height += 0.03

    def legend(self, handles: Sequence[Any]) -> None:
        """Adds legend entries in as many rows as they need; they share columns when there are several rows."""
        room = self.width - 2 * self.MARGIN
        widths = [self.KEY + text_inches(str(handle.get_label())) + 0.14 for handle in handles]
        row: list[Any] = []
        used = 0.0
        for handle, width in zip(handles, widths, strict=True):
            if row and used + width > room:
                self._close(row)
                row, used = [], 0.0
            row.append(handle)
            used += width
        if row:
            self._close(row)

    def _close(self, row: list[Any]) -> None:
        self._rows.append((row, self.height))
        self.height += line_inches(TEXT_POINTS) + 0.02

    def draw(self, figure: Figure) -> None:
        """Puts everything on a figure, whose height is known only now."""
        height = figure.get_figheight()
        for line, top, points, bold in self._texts:
            figure.text(
                self.MARGIN / self.width,
                1 - top / height,
                line,
                ha="left",
                va="top",
                fontsize=points,
                fontweight="bold" if bold else "normal",
            )
        for row, top in self._rows:
            legend = figure.legend(
                handles=row,
                loc="upper left",
                bbox_to_anchor=(self.MARGIN / self.width, 1 - top / height),
                ncols=len(row),
                borderpad=0,
                borderaxespad=0,
                handlelength=1.4,
                handletextpad=0.5,
                columnspacing=1.4,
            )
            legend.set_in_layout(False)


def key(label: str, colour: str, position: int = 0) -> Patch:
    """A legend entry for a colour as the report at `position` shows it."""
    return Patch(label=label, **report_look(colour, position))


def quiet_axes(axes: Axes, values_along: str) -> None:
    """A light grid along the axis of values ("x" or "y") and ticks only there."""
    axes.grid(axis="x" if values_along == "x" else "y")
    axes.tick_params(axis="y" if values_along == "x" else "x", length=0)
