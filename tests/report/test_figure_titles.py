"""Figures for papers, whose captions say what titles say."""

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
