"""Figures with one bar per report: what a whole network costs."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from simulator.report.figures.style import (
    BLACK,
    COLUMN_WIDTH,
    FAINT_GREY,
    GREY,
    NAME_POINTS,
    OPERAND_COLOURS,
    OPERAND_NAMES,
    SKY,
    TEXT_POINTS,
    VERMILLION,
    YELLOW,
    Header,
    Key,
    NothingToDrawError,
    axis_label,
    check_reports,
    cut_to_width,
    lighter,
    line_inches,
    per_batch,
    publication_style,
    quiet_axes,
    report_look,
    subject,
    text_inches,
    unit_for,
    with_change,
)
from simulator.report.report import Report

LEAST_SHARE = 0.001
"""Sections that are less of every bar are in no legend: nobody sees them."""

SIDE, BAR_INCHES, AXIS_INCHES = 0.12, 0.2, 0.42


@dataclass(frozen=True)
class Section:
    """One section of every bar.

    stripes: the colour that print shows with white stripes where `colour` is a lighter shade of it, which in print is
    how a baseline looks.
    """

    name: str
    colour: str
    stripes: str = ""

    def look(self, position: int, count: int) -> dict[str, Any]:
        """Patch properties in the report at `position` of `count`."""
        if not self.stripes:
            return report_look(self.colour, position, count)
        striped = {"edgecolor": "white", "hatch": "//////", "linewidth": 0.0}
        return report_look(self.stripes, position, count) | striped

    @property
    def key(self) -> Key:
        """The legend entry."""
        return Key(self.name, (Patch(**self.look(0, 1)),))


OPERANDS = {operand: Section(OPERAND_NAMES[operand], colour) for operand, colour in OPERAND_COLOURS.items()}
COMPONENTS = {
    "dram": Section("DRAM", GREY),
    "dram_background": Section("DRAM background", lighter(GREY, 0.5), GREY),
    "ifm_buffer": Section("IFM buffer", OPERAND_COLOURS["ifm"]),
    "kernel_buffer": Section("kernel buffer", OPERAND_COLOURS["kernel"]),
    "ofm_buffer": Section("OFM and psum buffer", OPERAND_COLOURS["ofm"]),
    "on_chip_memory": Section("feature maps on chip", lighter(OPERAND_COLOURS["ifm"], 0.5), OPERAND_COLOURS["ifm"]),
    "scratch_pads": Section("scratch pads", VERMILLION),
    "array_network": Section("psums between PEs", lighter(VERMILLION, 0.5), VERMILLION),
    "mac": Section("MAC", SKY),
    "mac_gated": Section("gated MAC", lighter(SKY, 0.6), SKY),
    "post_processing": Section("post-processing", YELLOW),
    "pruning_unit": Section("pruning unit", OPERAND_COLOURS["metadata"]),
    "codec": Section("encoders and decoders", lighter(OPERAND_COLOURS["metadata"], 0.5), OPERAND_COLOURS["metadata"]),
    "clock": Section("clock", lighter(BLACK, 0.75)),
    "leakage": Section("leakage", FAINT_GREY),
}


def network_breakdown(reports: Mapping[str, Report], *, titles: bool = True) -> Figure:
    """DRAM bytes of the whole network by operand, one bar per report, with the difference to the first.

    Raises InputError without reports, or when nothing moves at all.
    """
    check_reports(reports)
    values = {
        name: {operand: float(report.totals[f"{operand}_bytes"]) for operand in OPERANDS}
        for name, report in reports.items()
    }
    return _total_figure(
        values,
        OPERANDS,
        title=f"DRAM traffic by operand: {subject(reports)}",
        quantity=f"DRAM traffic {per_batch(reports)}",
        base="B",
        titles=titles,
    )


def energy_breakdown(reports: Mapping[str, Report], *, titles: bool = True) -> Figure:
    """Energy of the whole network by component, one bar per report, with the difference to the first.

    Raises InputError without reports, or when nothing takes energy.
    """
    check_reports(reports)
    values = {
        name: {str(component): float(energy) for component, energy in report.energy_by_component().items()}
        for name, report in reports.items()
    }
    sections = {name: COMPONENTS.get(name, Section(name, BLACK)) for of in values.values() for name in of}
    return _total_figure(
        values,
        sections,
        title=f"Energy by component: {subject(reports)}",
        quantity=f"Energy {per_batch(reports)}",
        base="pJ",
        titles=titles,
    )


def _total_figure(
    values: Mapping[str, Mapping[str, float]],
    sections: Mapping[str, Section],
    *,
    title: str,
    quantity: str,
    base: str,
    titles: bool,
) -> Figure:
    """One stacked bar per report under a line with its name and total."""
    totals = {name: sum(of.values()) for name, of in values.items()}
    largest = max(totals.values())
    if largest <= 0:
        raise NothingToDrawError(f"{title}: nothing to draw, every report has 0")
    shown = {key: section for key, section in sections.items() if any(of.get(key, 0.0) > 0 for of in values.values())}
    factor, unit = unit_for(largest, base)
    notes = with_change(totals, base)
    line = line_inches(TEXT_POINTS) + 0.03
    pitch = line + BAR_INCHES + 0.1
    with publication_style():
        header = Header(COLUMN_WIDTH, titles=titles)
        header.title(title)
        header.legend([section.key for key, section in shown.items() if _visible(key, values.values())])
        body = pitch * len(values) + 0.04
        height = header.height + body + AXIS_INCHES
        figure = Figure(figsize=(COLUMN_WIDTH, height))
        header.draw(figure)
        room = COLUMN_WIDTH - 2 * SIDE
        axes = figure.add_axes((SIDE / COLUMN_WIDTH, AXIS_INCHES / height, room / COLUMN_WIDTH, body / height))
        axes.set_xlim(0, largest / factor * 1.03)
        axes.set_ylim(body, 0)
        quiet_axes(axes, "x")
        axes.set_yticks([])
        axes.set_xlabel(axis_label(quantity, unit))
        for at, (name, of) in enumerate(values.items()):
            top = at * pitch + 0.04
            note = f"  {notes[name]}"
            label = cut_to_width(name, room - text_inches(note) - 0.1, TEXT_POINTS, "bold")
            written = axes.text(0.0, top + line / 2, label, fontweight="bold", va="center", ha="left")
            axes.annotate(note, (1, 0.5), xycoords=written, va="center", ha="left")
            start = 0.0
            for key, section in shown.items():
                size = of.get(key, 0.0) / factor
                if size <= 0:
                    continue
                look = section.look(at, len(values))
                axes.barh(
                    top + line,
                    size,
                    BAR_INCHES,
                    left=start,
                    align="edge",
                    **look,
                    label=f"{name}: {section.name}",
                )
                share = f"{100 * size * factor / totals[name]:.0f} %"
                if text_inches(share, NAME_POINTS) + 0.06 < size / (largest / factor * 1.03) * room:
                    ground = {"facecolor": look["facecolor"], "edgecolor": "none", "pad": 0.6}
                    axes.text(
                        start + size / 2,
                        top + line + BAR_INCHES / 2,
                        share,
                        ha="center",
                        va="center_baseline",
                        fontsize=NAME_POINTS,
                        color=_readable_on(look["facecolor"]),
                        bbox=ground if section.stripes else None,
                    )
                start += size
    return figure


def _visible(key: str, values: Iterable[Mapping[str, float]]) -> bool:
    """Whether a section is wide enough to be seen in any bar."""
    return any(of.get(key, 0.0) >= LEAST_SHARE * sum(of.values()) > 0 for of in values)


def _readable_on(colour: str) -> str:
    """Black on light colours, white on dark ones."""
    red, green, blue = (
        channel / 12.92 if channel <= 0.04045 else ((channel + 0.055) / 1.055) ** 2.4 for channel in to_rgb(colour)
    )
    return "black" if 0.2126 * red + 0.7152 * green + 0.0722 * blue > 0.18 else "white"
