"""Accuracy against DRAM traffic: what several runs of a network save, and at what loss."""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from simulator.report.figures.naming import PointNames
from simulator.report.figures.style import (
    BLUE,
    COLUMN_WIDTH,
    GREY,
    Header,
    NothingToDrawError,
    axis_label,
    check_reports,
    per_batch,
    publication_style,
    subject,
    unit_for,
)
from simulator.report.report import Report

LEAST_REPORTS = 2
LEFT, RIGHT, BELOW, AXES_INCHES = 0.5, 0.12, 0.4, 2.0
_MARKER_POINTS = 2.5

Values = npt.NDArray[np.float64]


def accuracy_against_bytes(reports: Mapping[str, Report], *, titles: bool = True) -> Figure:
    """Top-1 accuracy of every report over its DRAM bytes, with its name; a line joins those that no other one beats.

    Accuracies are those that were recorded with the traces; reports without one are left out. Raises InputError without
    reports, when fewer than two know their accuracy, or when all have the same.
    """
    check_reports(reports)
    found = {name: _accuracy(report) for name, report in reports.items()}
    names = [name for name, accuracy in found.items() if accuracy is not None]
    accuracies = np.array([100 * (found[name] or 0.0) for name in names])
    if len(names) < LEAST_REPORTS or not np.ptp(accuracies):
        raise NothingToDrawError("accuracy against bytes needs reports with accuracies that differ")
    moved = np.array([float(reports[name].totals["dram_bytes"]) for name in names])
    factor, unit = unit_for(float(moved.max()), "B")
    moved /= factor
    with publication_style():
        header = Header(COLUMN_WIDTH, titles=titles)
        header.title(f"Accuracy against DRAM traffic: {subject({name: reports[name] for name in names})}")
        header.note("Line: no other run has both less traffic and more accuracy")
        height = header.height + AXES_INCHES + BELOW
        figure = Figure(figsize=(COLUMN_WIDTH, height))
        FigureCanvasAgg(figure)
        header.draw(figure)
        width = COLUMN_WIDTH - LEFT - RIGHT
        axes = figure.add_axes(
            (LEFT / COLUMN_WIDTH, BELOW / height, width / COLUMN_WIDTH, (AXES_INCHES - 0.05) / height)
        )
        best = _unbeaten(moved, accuracies)
        axes.plot(moved[best], accuracies[best], color=GREY, linewidth=0.8, zorder=1, label="unbeaten")
        axes.plot(moved, accuracies, "o", color=BLUE, markersize=2 * _MARKER_POINTS, zorder=2, label="runs")
        axes.margins(0.12)
        axes.grid()
        axes.set_xlabel(axis_label(f"DRAM traffic {per_batch(reports)}", unit))
        axes.set_ylabel("Top-1 accuracy (%)")
        axes.autoscale_view()  # now, as places on the page follow from it
        places = np.asarray(axes.transData.transform(np.column_stack([moved, accuracies])) * 72 / figure.dpi)
        written = PointNames(axes, places, np.full(len(names), _MARKER_POINTS), np.zeros((0, 2)))
        for at, name in enumerate(names):
            written.write(at, name)
    return figure


def _accuracy(report: Report) -> float | None:
    accuracy = (report.meta.get("accuracy") or {}).get("top1")
    return None if accuracy is None else float(accuracy)


def _unbeaten(moved: Values, accuracies: Values) -> npt.NDArray[np.int64]:
    """Which points no other one beats in both, from the least traffic on."""
    order = np.lexsort((-accuracies, moved))
    best = np.maximum.accumulate(np.append(-np.inf, accuracies[order]))[:-1]
    return np.asarray(order[accuracies[order] > best])
