"""Accuracy against bytes shows every run that knows its accuracy, and joins those that no other one beats."""

from pathlib import Path

import numpy as np
import pytest
from builders import chain, small_accelerator

import simulator
from simulator.errors import InputError
from simulator.report.figures import accuracy_against_bytes, save_figures
from simulator.report.report import Report
from simulator.trace.shapes import conv_layer


def report(channels: int, top1: float | None) -> Report:
    found = simulator.simulate(chain(conv_layer("a", (channels, 8, 8), 8, (1, 1))), small_accelerator())
    found.meta["accuracy"] = None if top1 is None else {"top1": top1}
    return found


def test_points_are_the_reports_and_the_line_joins_the_unbeaten() -> None:
    reports = {
        "most": report(32, 0.9),
        "beaten": report(24, 0.6),
        "middle": report(16, 0.8),
        "unknown": report(12, None),
        "least": report(8, 0.5),
    }
    (axes,) = accuracy_against_bytes(reports).axes
    line, points = axes.get_lines()
    factor = 1000.0
    assert "(kB)" in axes.get_xlabel()
    known = ["most", "beaten", "middle", "least"]
    assert points.get_xdata() * factor == pytest.approx([reports[name].totals["dram_bytes"] for name in known])
    assert points.get_ydata() == pytest.approx(np.array([90.0, 60.0, 80.0, 50.0]))
    assert line.get_ydata() == pytest.approx(np.array([50.0, 80.0, 90.0]))
    assert {text.get_text() for text in axes.texts} == set(known)


@pytest.mark.parametrize("accuracies", [(0.5, None), (0.5, 0.5), (None, None)])
def test_nothing_to_tell_apart_is_an_error_and_no_file(accuracies: tuple[float | None, ...], tmp_path: Path) -> None:
    reports = {str(at): report(8 + 8 * at, accuracy) for at, accuracy in enumerate(accuracies)}
    with pytest.raises(InputError, match="accuracies that differ"):
        accuracy_against_bytes(reports)
    assert "accuracy.svg" not in {path.name for path in save_figures(reports, tmp_path, ["svg"])}
