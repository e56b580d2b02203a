"""`fmapsim report` writes the page of what `fmapsim simulate` wrote."""

import hashlib
import json
import re
import shlex
from pathlib import Path

import pytest
from cli_inputs import Run

from simulator.report.page.command import simulate_command
from simulator.report.save import load_report


def data_of(page: Path) -> dict:
    (text,) = re.findall(r'<script type="application/json" id="data">(.*?)</script>', page.read_text("utf-8"), re.S)
    return json.loads(text)


@pytest.fixture
def pruned(run: Run, trace_file: Path, tmp_path: Path) -> Path:
    """A pruned run with its baseline."""
    how = ("--hardware", "edge-npu", "--images", "0", "--pruning", "dynamic", "--set", "buffers.ifm.capacity=64 KiB")
    assert run("simulate", trace_file, *how, "--no-figures", "--out", tmp_path / "out").code == 0
    return tmp_path / "out"


def test_a_pruned_run_stands_beside_its_baseline(run: Run, pruned: Path) -> None:
    ran = run("report", pruned)
    assert f"Written to {pruned / 'report.html'}" in ran.out
    found = data_of(pruned / "report.html")
    assert [entry["name"] for entry in found["runs"]] == ["baseline", "pruned"]
    assert found["runs"][1]["totals"]["dram_bytes"] == load_report(pruned).totals["dram_bytes"]


def test_what_the_page_says_repeats_the_run(
    run: Run, pruned: Path, trace_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run("report", pruned, "--out", tmp_path / "page.html")
    found = data_of(tmp_path / "page.html")
    monkeypatch.chdir(tmp_path)
    Path("accelerator.yaml").write_text(found["accelerator_file"], encoding="utf-8")
    words = shlex.split(found["command"])
    assert words[:3] == ["fmapsim", "simulate", str(trace_file)]
    assert run(*words[1:], "--no-figures").code == 0
    assert load_report("report").totals == load_report(pruned).totals


def test_a_report_knows_its_trace_as_it_was_named(
    run: Run, trace_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file by its whole path, whose spaces the command quotes; a shipped trace by its name."""
    copy = tmp_path / "my nets" / "tiny.trace.safetensors"
    copy.parent.mkdir()
    copy.write_bytes(trace_file.read_bytes())
    monkeypatch.chdir(tmp_path)
    how = ("--hardware", "edge-npu", "--images", "0", "--no-figures", "--out")
    assert run("simulate", "my nets/tiny.trace.safetensors", *how, "out").code == 0
    assert run("simulate", "tinynet", *how, "shipped").code == 0
    meta = load_report("out").meta
    assert meta["trace_reference"] == str(copy)
    assert meta["trace_sha256"] == hashlib.sha256(copy.read_bytes()).hexdigest()
    assert simulate_command(meta).startswith(f"fmapsim simulate '{copy}' --hardware edge-npu")
    assert simulate_command(load_report("shipped").meta).startswith("fmapsim simulate tinynet --hardware")


def test_another_run_can_be_the_baseline(run: Run, pruned: Path, trace_file: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    run("simulate", trace_file, "--hardware", "scnn", "--images", "0", "--no-figures", "--out", other)
    run("report", pruned, "--baseline", other)
    assert [entry["name"] for entry in data_of(pruned / "report.html")["runs"]] == ["other", "out"]
    run("report", other)
    assert [entry["name"] for entry in data_of(other / "report.html")["runs"]] == ["other"]


def test_mistakes_are_one_line(run: Run, pruned: Path, tmp_path: Path) -> None:
    assert "not a report folder" in run("report", tmp_path / "nothing").mistake()
    document = json.loads((pruned / "report.json").read_text(encoding="utf-8"))
    (pruned / "report.json").write_text(json.dumps(document | {"format": 2}), encoding="utf-8")
    assert "report format 2, expected 3; another version of fmapsim wrote it" in run("report", pruned).mistake()
    assert not (pruned / "report.html").exists()
