"""What all figures share: colours, type, sizes in inches, and numbers with units."""

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.colors import to_hex, to_rgb
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.legend_handler import HandlerTuple
from matplotlib.patches import Patch
from matplotlib.textpath import text_to_path

from simulator.errors import InputError
from simulator.report.report import Report

FULL_WIDTH, COLUMN_WIDTH = 7.16, 3.5
"""Inches: the text width of a two-column page, and one of its columns."""

FONT = "DejaVu Sans"
TITLE_POINTS, TEXT_POINTS, TICK_POINTS, NAME_POINTS = 8.0, 7.0, 6.5, 6.0

BLUE, ORANGE, GREEN, VERMILLION, PURPLE = "#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7"
SKY, YELLOW, BLACK, GREY = "#56B4E9", "#F0E442", "#000000", "#595959"
LIGHT_GREY, FAINT_GREY = "#BFBFBF", "#EEEEEE"
"""The palette of Okabe and Ito (2008), which colour-blind readers can tell apart, and three greys."""

OPERAND_COLOURS = {"ifm": BLUE, "kernel": ORANGE, "ofm": GREEN, "psum": VERMILLION, "metadata": PURPLE}
OPERAND_NAMES = {"ifm": "IFM", "kernel": "kernel", "ofm": "OFM", "psum": "psum", "metadata": "metadata"}

_SETTINGS: Any = {
    "font.family": FONT,
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
    "hatch.linewidth": 0.7,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "xtick.major.size": 2.5,
    "ytick.major.size": 2.5,
    "legend.frameon": False,
    "svg.fonttype": "none",
    "svg.hashsalt": "fmapsim",
    "pdf.fonttype": 42,
    "ps.fonttype": 42,
    "figure.dpi": 200,
    "savefig.dpi": 200,
    "savefig.facecolor": "white",
}


class NothingToDrawError(InputError):
    """Every value that the figure would show is 0."""


def publication_style() -> Any:
    """A context in which figures are drawn and saved: small type, thin lines, text that stays text in SVG and PDF."""
    return rc_context(_SETTINGS)


def lighter(colour: str, share: float) -> str:
    """A colour mixed with `share` of white."""
    red, green, blue = (channel + (1 - channel) * share for channel in to_rgb(colour))
    return to_hex((red, green, blue))


PALE = (0.0, 0.5, 0.88)
"""How much white a colour is mixed with in the last report, in the one before, and in the one before that."""


def report_look(colour: str, position: int, count: int) -> dict[str, Any]:
    """Patch properties of a colour in the report at `position` of `count`.

    The last one, which the figure is about, has it full; what it is held against is half as strong, and the first of
    three almost an outline. The page uses the same code. Of more than three reports the first alone is pale.
    """
    behind = count - 1 - position
    if count > len(PALE):
        behind = 0 if position else 1
    outlined = bool(behind) or colour == FAINT_GREY  # which paper would swallow
    edge = GREY if colour == FAINT_GREY else colour
    return {"facecolor": lighter(colour, PALE[behind]), "edgecolor": edge, "linewidth": 0.5 if outlined else 0.0}


@lru_cache(maxsize=4096)
def text_inches(text: str, points: float = TEXT_POINTS, weight: str = "normal") -> float:
    """The printed width of one line of text."""
    if not text.strip():
        return 0.0
    font = FontProperties(family=FONT, weight=weight, size=points)
    width, _, _ = text_to_path.get_text_width_height_descent(text, font, False)
    return float(width) / 72


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


def axis_label(quantity: str, unit: str) -> str:
    """The name of an axis with its unit; cycles have none but a magnitude."""
    if unit == "cycles":
        return quantity
    return f"{quantity} ({unit.replace(' cycles', 's')})"


def difference(value: float, base: float) -> str:
    """The difference of `value` to `base` in percent, with its sign; nothing without a base."""
    if not base:
        return ""
    percent = 100 * (value - base) / base
    return "±0 %" if abs(percent) < 0.05 else f"{'+' if percent > 0 else '−'}{abs(percent):.1f} %"


def with_change(totals: Mapping[str, float], base: str) -> dict[str, str]:
    """Each total with its unit, and from the second on the difference to the first: "102.4 MB (−10.6 %)"."""
    first = next(iter(totals.values()))
    notes = {}
    for position, (name, total) in enumerate(totals.items()):
        change = difference(total, first) if position else ""
        notes[name] = f"{with_unit(total, base)}{f' ({change})' if change else ''}"
    return notes


def per_batch(reports: Mapping[str, Report]) -> str:
    """What the numbers are for: "per image", or "per batch of 8 images"."""
    sizes = sorted({int(report.meta["batch"]) for report in reports.values()})
    if sizes == [1]:
        return "per image"
    return f"per batch of {' or '.join(map(str, sizes))} images"


def subject(reports: Mapping[str, Report], *, means: bool = True) -> str:
    """What was simulated: "resnet50 on eyeriss, mean of 10 images"; or ", 10 images" where it is not means."""
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
    of = f", {'mean of ' if means else ''}{' or '.join(map(str, runs))} {what}" if runs != [1] else ""
    return f"{_listed(traces)} on {_listed(accelerators)}{of}"


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def check_reports(reports: Mapping[str, Report], most: int | None = None) -> None:
    """Raises InputError when there is no report, or more than `most`."""
    if not reports:
        raise InputError("a figure needs at least one report, found none")
    if most is not None and len(reports) > most:
        raise InputError(f"a figure per layer shows at most {most} reports side by side, found {len(reports)}")


def cut_to_width(text: str, inches: float, points: float = TEXT_POINTS, weight: str = "normal") -> str:
    """The text, its end replaced by an ellipsis where it is wider than `inches`."""
    if text_inches(text, points, weight) <= inches:
        return text
    fits = bisect_left(
        range(len(text)), True, key=lambda end: text_inches(f"{text[: end + 1]}…", points, weight) > inches
    )
    return f"{text[:fits].rstrip()}…"


def write_lines(figure: Figure, lines: Sequence[str], left: float, bottom: float) -> None:
    """Writes lines of small text from `bottom` inches up, the last one there."""
    width, height = figure.get_size_inches()
    for at, line in enumerate(reversed(lines)):
        place = left / width, (bottom + at * line_inches(NAME_POINTS)) / height
        figure.text(*place, line, va="bottom", fontsize=NAME_POINTS)


def wrapped(text: str, inches: float, points: float, weight: str = "normal") -> list[str]:
    """The text in lines no wider than `inches`, broken at spaces."""
    lines: list[str] = []
    for word in text.split():
        if lines and text_inches(f"{lines[-1]} {word}", points, weight) <= inches:
            lines[-1] = f"{lines[-1]} {word}"
        else:
            lines.append(cut_to_width(word, inches, points, weight))
    return lines


MOST_SWATCHES = 3
"""Colours side by side in the legend entry of a report."""


@dataclass(frozen=True)
class Key:
    """A legend entry: a label and what stands before it, several drawings side by side where there are several."""

    label: str
    drawings: tuple[Any, ...]


def colour_key(label: str, colour: str) -> Key:
    """The legend entry of one colour."""
    return Key(label, (Patch(**report_look(colour, 0, 1)),))


def report_key(label: str, position: int, count: int, colours: Sequence[str]) -> Key:
    """The legend entry of the report at `position` of `count`: how it shows the figure's first colours."""
    looks = (report_look(colour, position, count) for colour in colours[:MOST_SWATCHES])
    return Key(label, tuple(Patch(**look) for look in looks))


class Header:
    """The lines above the axes: titles, then rows of legend entries, filled from the top of a figure of `width`."""

    MARGIN = 0.08
    KEY_INCHES, KEY_GAP, NEXT_KEY = 0.2, 0.06, 0.17

    def __init__(self, width: float, *, titles: bool = True) -> None:
        self.width, self.titles = width, titles
        self.height = self.MARGIN
        self._texts: list[tuple[str, float, float, str]] = []
        self._rows: list[tuple[list[Key], float, float]] = []

    def title(self, text: str) -> None:
        """Adds a bold title, broken into as many lines as it needs; nothing on a figure without titles."""
        if self.titles:
            self._lines(text, TITLE_POINTS, "bold")

    def note(self, text: str) -> None:
        """Adds plain text, broken into as many lines as it needs."""
        self._lines(text, TEXT_POINTS, "normal")

    def _lines(self, text: str, points: float, weight: str) -> None:
        for line in wrapped(text, self.width - 2 * self.MARGIN, points, weight):
            self._texts.append((line, self.height, points, weight))
            self.height += line_inches(points)
        self.height += 0.03

    def legend(self, keys: Sequence[Key], key_inches: float = KEY_INCHES) -> None:
        """Adds legend entries, with drawings of that width, in as many rows as they need."""
        room = self.width - 2 * self.MARGIN
        row: list[Key] = []
        used = 0.0
        for key in keys:
            label = cut_to_width(key.label, room - key_inches - self.KEY_GAP)
            width = key_inches + self.KEY_GAP + text_inches(label)
            if row and used + self.NEXT_KEY + width > room:
                self._close(row, key_inches)
                row, used = [], 0.0
            used += width + (self.NEXT_KEY if row else 0.0)
            row.append(Key(label, key.drawings))
        if row:
            self._close(row, key_inches)

    def _close(self, row: list[Key], key_inches: float) -> None:
        self._rows.append((row, self.height, key_inches))
        self.height += line_inches(TEXT_POINTS) + 0.02

    def draw(self, figure: Figure) -> None:
        """Puts everything on a figure, whose height is known only now."""
        height = figure.get_figheight()
        left = self.MARGIN / self.width
        for line, top, points, weight in self._texts:
            figure.text(left, 1 - top / height, line, ha="left", va="top", fontsize=points, fontweight=weight)
        for row, top, key_inches in self._rows:
            handles: list[Any] = [key.drawings for key in row]
            figure.legend(
                handles,
                [key.label for key in row],
                handler_map={tuple: HandlerTuple(ndivide=None, pad=0)},
                loc="upper left",
                bbox_to_anchor=(left, 1 - top / height),
                ncols=len(row),
                borderpad=0,
                borderaxespad=0,
                handlelength=key_inches * 72 / TEXT_POINTS,
                handletextpad=self.KEY_GAP * 72 / TEXT_POINTS,
                columnspacing=self.NEXT_KEY * 72 / TEXT_POINTS,
            )


def quiet_axes(axes: Axes, values_along: str) -> None:
    """A light grid along the axis of values ("x" or "y") and ticks only there."""
    axes.grid(axis="x" if values_along == "x" else "y")
    axes.tick_params(axis="y" if values_along == "x" else "x", length=0)
