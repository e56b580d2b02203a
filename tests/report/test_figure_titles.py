"""Figures for papers, whose captions say what titles say, and what their files are called."""

from pathlib import Path

import simulator
from simulator.report.figures import save_figures

FIGURES = ("bandwidth", "cycles", "array", "network", "energy", "roofline")


def test_titles_can_be_left_out_of_every_figure(tmp_path: Path) -> None:
    reports = {"run": simulator.simulate(simulator.network_trace("tinynet"), "eyeriss")}
    save_figures(reports, tmp_path / "with", ("svg",))
    save_figures(reports, tmp_path / "without", ("svg",), titles=False)
    for name in FIGURES:
        titled, bare = ((tmp_path / folder / f"{name}.svg").read_text("utf-8") for folder in ("with", "without"))
        assert "tinynet" in titled
        assert "tinynet" not in bare


def test_a_roofline_is_called_after_its_run(tmp_path: Path) -> None:
    report = simulator.simulate(simulator.network_trace("tinynet"), "eyeriss")
    names = ("edge-npu", "a/report", "a-report", "Mine")
    drawn = {path.name for path in save_figures(dict.fromkeys(names, report), tmp_path, ("svg",))}
    files = ("roofline-edge-npu", "roofline-a-report", "roofline-a-report-2", "roofline-Mine")
    assert {name for name in drawn if name.startswith("roofline")} == {f"{name}.svg" for name in files}
