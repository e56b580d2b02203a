"""All figures of a comparison as files."""

import itertools
import re
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from simulator.errors import InputError
from simulator.report.figures.accuracy import accuracy_against_bytes
from simulator.report.figures.per_layer import MOST_REPORTS, array_breakdown, bandwidth_breakdown, cycle_breakdown
from simulator.report.figures.roofline import roofline
from simulator.report.figures.spread import image_spread
from simulator.report.figures.style import NothingToDrawError, check_reports, publication_style
from simulator.report.figures.totals import energy_breakdown, network_breakdown
from simulator.report.report import Report
from simulator.whole_file import whole_file

FORMATS = ("png", "svg", "pdf")
"""What `save_figures` writes: text stays text in SVG, and PDF embeds its fonts."""

NAMES = ("bandwidth", "cycles", "array", "network", "energy", "spread", "accuracy", "roofline")
"""What the files that `save_figures` writes are called up to their suffix, or up to the "-" before a run's name."""

_NO_DATE: dict[str, dict[str, Any]] = {"png": {}, "svg": {"Date": None}, "pdf": {"CreationDate": None, "ModDate": None}}


def save_figures(
    reports: Mapping[str, Report],
    folder: str | Path,
    formats: Sequence[str] = ("png", "svg"),
    *,
    titles: bool = True,
) -> list[Path]:
    """Writes the figures that apply into `folder`, each whole or not at all; returns their paths.

    bandwidth, cycles and array (up to three reports), network, energy, spread (over images, up to three reports),
    accuracy (against bytes, where accuracies differ), roofline (roofline-NAME of each of several). A
    figure for which every value is 0 is left out. titles: False for figures that captions explain. The same reports
    give the same bytes. Raises InputError without reports, for an unknown format, or when the folder cannot be written.
    """
    check_reports(reports)
    check_formats(formats)
    folder = Path(folder)
    paths = []
    for name, draw in _figures(reports, titles).items():
        try:
            figure = draw()
        except NothingToDrawError:
            continue
        paths += save_figure(figure, folder / name, formats)
    return paths


def save_figure(figure: Figure, path: Path, formats: Sequence[str] = ("png", "svg")) -> list[Path]:
    """Writes a figure to `path` with each format's suffix, each file whole or not at all; returns their paths.

    The same figure gives the same bytes. Raises InputError for an unknown format or a folder that cannot be written.
    """
    check_formats(formats)
    paths = []
    for suffix in dict.fromkeys(formats):
        file = path.with_name(f"{path.name}.{suffix}")
        with whole_file(file) as temporary, publication_style():
            figure.savefig(temporary, format=suffix, metadata=_NO_DATE[suffix])
        paths.append(file)
    return paths


def check_formats(formats: Sequence[str]) -> None:
    """Raises InputError for a format that figures are not written in."""
    unknown = [name for name in formats if name not in FORMATS]
    if unknown:
        raise InputError(f"figure format '{unknown[0]}': expected one of {', '.join(FORMATS)}")


def _figures(reports: Mapping[str, Report], titles: bool) -> dict[str, Callable[[], Figure]]:
    """File names without their suffix, and what draws each."""
    per_layer: dict[str, Callable[[], Figure]] = {
        "bandwidth": partial(bandwidth_breakdown, reports, titles=titles),
        "cycles": partial(cycle_breakdown, reports, titles=titles),
        "array": partial(array_breakdown, reports, titles=titles),
    }
    rooflines = {
        name: partial(roofline, report, titles=titles)
        for name, report in zip(_roofline_names(list(reports)), reports.values(), strict=True)
    }
    return {
        **(per_layer if len(reports) <= MOST_REPORTS else {}),
        "network": partial(network_breakdown, reports, titles=titles),
        "energy": partial(energy_breakdown, reports, titles=titles),
        **({"spread": partial(image_spread, reports, titles=titles)} if len(reports) <= MOST_REPORTS else {}),
        "accuracy": partial(accuracy_against_bytes, reports, titles=titles),
        **rooflines,
    }


def _roofline_names(reports: Sequence[str]) -> list[str]:
    """File names: of a single report without its name, else with what of the name any file system takes."""
    if len(reports) == 1:
        return ["roofline"]
    found: list[str] = []
    for report in reports:
        plain = re.sub(r"[^\w.]+", "-", report).strip("-.") or "run"
        taken = [name.casefold() for name in found]
        tries = (f"roofline-{plain}{f'-{number}' if number > 1 else ''}" for number in itertools.count(1))
        found.append(next(name for name in tries if name.casefold() not in taken))
    return found
