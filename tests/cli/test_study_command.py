"""`fmapsim study`: from a study file to tables, figures and exports."""

from pathlib import Path

import pandas as pd
import pytest
from cli_inputs import Run

from simulator.report.figures.style import NothingToDrawError

STUDY = """
name: sizes
description: two sizes of a buffer
traces: [tiny.trace.safetensors]
images: "0:2"
accelerators: [eyeriss]
parameters:
  buffers.ifm.capacity: [64 KiB, 128 KiB]
  buffers.kernel.capacity: [8 KiB, 16 B]
pruning: [off, dynamic]
objectives: [dram_bytes, energy_pj]
"""


@pytest.fixture
def study(tmp_path: Path, trace_file: Path) -> Path:
    (tmp_path / trace_file.name).write_bytes(trace_file.read_bytes())
    path = tmp_path / "study.yaml"
    path.write_text(STUDY, "utf-8")
    return path


def nothing_to_draw(*_: object, **_options: object) -> None:
    raise NothingToDrawError("left out, as it takes a second")


def test_a_study_from_its_file_to_its_tables(run: Run, study: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = study.parent / "out"
    assert run("study", "points", study, "--json").json["points"] == 8
    note = "energy per access of buffers.ifm, buffers.kernel stays"
    assert note in " ".join(run("study", "points", study).out.split())
    ran = run("study", "run", study, "--out", out, "--workers", 1, "--no-figures")
    assert note in " ".join(ran.out.split())
    assert ran.code == 0, ran.err
    assert "8 points: 4 done, 4 failed; 8 of them ran now" in ran.out
    again = run("study", "run", study, "--out", out, "--workers", 1, "--no-figures", "--json")
    fixed = [f"buffers.{name}.{way}_energy" for name in ("ifm", "kernel") for way in ("read", "write")]
    ended = {"points": 8, "done": 4, "failed": 4, "ran": 0, "excluded": 0}
    assert again.json == ended | {"energies_left_behind": fixed}
    points = run("study", "points", study, "--out", out)
    assert "sizes: 8 points, 8 of them ended" in points.out
    shown = run("study", "show", out)
    assert "sizes: 8 points, 4 done, 4 failed" in shown.out
    assert "dram_bytes" in shown.out
    assert "Points failed because:" in shown.out
    assert run("study", "show", out, "--json").json["failed"] == 4
    front = run("study", "pareto", out, "--json").json
    assert {row["pruning"] for row in front} <= {"none", "dynamic"}
    best = run("study", "best", out, "--objective", "energy_pj", "--count", 2)
    assert best.code == 0
    assert "128 KiB" in best.out or "64 KiB" in best.out
    drawn = run("study", "pareto", out, "--objectives", "dram_bytes,cycles", "--figure", study.parent / "front.pdf")
    assert drawn.code == 0, drawn.err
    assert (study.parent / "front.pdf").read_bytes().startswith(b"%PDF")
    monkeypatch.setattr("simulator.study.figures.sensitivity_figure", nothing_to_draw)
    assert run("study", "figures", out, "--formats", "svg").out.endswith("figures: pareto.svg, accuracy.svg\n")
    assert run("study", "export", out, "--out", study.parent / "x.csv").code == 0
    assert len(pd.read_csv(study.parent / "x.csv")) == 8
    for arguments, message in [
        (["pareto", out, "--objectives", "dram_byte"], "no such number in the results; did you mean 'dram_bytes'?"),
        (["pareto", out, "--trace", "tinny"], "no results of it (there are tiny); did you mean 'tiny'?"),
        (["pareto", out, "--figure", "front.gif"], "expected a file that ends in .png, .svg, .pdf"),
        (["export", out, "--out", "x.xls"], "expected a file that ends in .csv, .json, .parquet"),
        (["show", study.parent], "no study here"),
        (["run", study, "--out", out, "--workers", 1, "--scheduler", "tcp://x"], "expected one of them, found both"),
        (["run", study.parent / "none.yaml", "--out", out], "none.yaml: cannot be read"),
    ]:
        assert message in run("study", *arguments).mistake()
