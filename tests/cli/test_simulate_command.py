import dataclasses
import json
import re
from pathlib import Path

import numpy as np
import pytest
from builders import with_random_maps
from cli_inputs import Run, tiny_shapes

import simulator
from simulator.report.figures.per_layer import array_parts
from simulator.report.save import load_report
from simulator.trace.records import RecordedPruning

TABLES = {"energy.parquet", "images.parquet", "layers.parquet", "schedule.parquet", "spread.parquet", "traffic.parquet"}
ACCELERATOR = "accelerator.yaml"


def written(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def row(out: str, label: str) -> list[str]:
    """The words of the first line that begins with `label`, without it."""
    return next(line for line in out.splitlines() if line.strip().startswith(label)).replace(label, "", 1).split()


def test_writes_the_report_that_the_function_returns(run: Run, trace_file: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    ran = run("simulate", trace_file, "--hardware", "eyeriss", "--out", out, "--no-figures")
    assert (ran.code, ran.err) == (0, "")
    assert written(out) == {"report.json", ACCELERATOR} | TABLES
    expected = simulator.simulate(simulator.load_trace(trace_file), "eyeriss")
    report = load_report(out)
    assert report.totals == expected.totals
    assert report.layers.equals(expected.layers)


def test_the_summary_shows_the_totals(run: Run, trace_file: Path, tmp_path: Path) -> None:
    ran = run("simulate", trace_file, "--hardware", "eyeriss", "--out", tmp_path, "--images", "0:2", "--no-figures")
    totals = load_report(tmp_path).totals
    assert "tiny on eyeriss, mean of 2 images" in ran.out
    assert "top-1 66.7 %" in ran.out
    assert row(ran.out, "cycles ") == [f"{totals['cycles']:,.0f}"]
    assert row(ran.out, "DRAM traffic") == [f"{totals['dram_bytes'] / 1000:.2f}", "kB"]
    assert "block[0]" in ran.out
    shares = re.findall(r"([\d.]+) %", ran.out.split("bound by: ")[1].split(" of the cycles")[0])
    assert sum(map(float, shares)) == pytest.approx(100, abs=0.2)
    assert f"Written to {tmp_path}: report.json, 6 tables (.parquet), accelerator.yaml" in ran.out
    assert max(map(len, ran.out.split("Written to")[0].splitlines())) <= 80


def test_images_and_batch(run: Run, trace_file: Path, tmp_path: Path) -> None:
    common = ("simulate", trace_file, "--hardware", "edge-npu", "--no-figures")
    assert "tiny on edge-npu, image 1\n" in run(*common, "--out", tmp_path / "one", "--images", "1").out
    ran = run(*common, "--out", tmp_path / "two", "--images", "2,0", "--batch", "2")
    assert "one batch: images 2, 0" in ran.out
    assert load_report(tmp_path / "two").meta["images"] == [[2, 0]]


def test_set_changes_the_hardware(run: Run, trace_file: Path, tmp_path: Path) -> None:
    run(
        *("simulate", trace_file, "--hardware", "edge-npu", "--out", tmp_path, "--no-figures"),
        *("--set", "clock=500 MHz", "--set", "array.unroll.columns=[C, Q]"),
    )
    settings = load_report(tmp_path).meta["accelerator_settings"]
    assert settings["clock"] == 5e8
    assert settings["array"]["unroll"]["columns"] == ["C", "Q"]


def test_another_capacity_at_the_old_energy_is_noted(run: Run, trace_file: Path, tmp_path: Path) -> None:
    def noted(*changes: str) -> bool:
        options = [word for change in changes for word in ("--set", change)]
        ran = run("simulate", trace_file, "--hardware", "edge-npu", "--out", tmp_path / "out", "--no-figures", *options)
        return "energy per access of buffers.ifm stays" in " ".join(ran.out.split())

    assert noted("buffers.ifm.capacity=64 KiB")
    assert not noted("array.rows=16")
    energies = ("buffers.ifm.read_energy=null", "buffers.ifm.write_energy=1 pJ/B")
    assert not noted("buffers.ifm.capacity=64 KiB", *energies)


def test_dynamic_pruning_comes_with_its_baseline(run: Run, trace_file: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    ran = run("simulate", trace_file, "--hardware", "edge-npu", "--out", out, "--pruning", "dynamic", "--images", "2")
    assert ran.code == 0
    pruned, baseline = load_report(out), load_report(out / "baseline")
    assert baseline.meta["pruning"] == "none"
    assert pruned.meta["pruning"]["kind"] == "dynamic"
    assert pruned.totals["macs_skipped"] > 0
    assert baseline.totals["macs_skipped"] == 0
    heading = next(line for line in ran.out.splitlines() if "baseline" in line)
    assert heading.split() == ["baseline", "pruned", "change"]
    assert "dynamic pruning with epsilon 0, per feature map (ofm side)" in ran.out
    figures = written(out / "figures")
    assert figures
    assert f"baseline/, figures/ ({len(figures)} files)" in ran.out
    assert {"roofline-baseline.png", "roofline-pruned.png"} <= figures

    for name in ("mine.png", "spread.png"):  # a file of one's own, and an earlier run's of several images
        (out / "figures" / name).touch()
    ran = run("simulate", trace_file, "--hardware", "edge-npu", "--out", out, "--images", "2")
    assert {"roofline.png", "mine.png"} <= written(out / "figures")
    assert not {"roofline-baseline.png", "roofline-pruned.png", "spread.png"} & written(out / "figures")
    ran = run("simulate", trace_file, "--hardware", "edge-npu", "--out", out, "--images", "2", "--no-figures")
    assert "figures/ is an earlier run's" in ran.out


def test_a_run_without_pruning_removes_the_baseline_of_an_earlier_one(
    run: Run, trace_file: Path, tmp_path: Path
) -> None:
    common = ("simulate", trace_file, "--hardware", "edge-npu", "--out", tmp_path, "--no-figures")
    run(*common, "--pruning", "dynamic")
    (tmp_path / "baseline" / "notes.txt").touch()
    run(*common)
    assert written(tmp_path) == {"report.json", ACCELERATOR, "baseline/notes.txt"} | TABLES
    (tmp_path / "baseline" / "notes.txt").unlink()
    run(*common, "--pruning", "dynamic")
    run("report", tmp_path)
    assert "without the earlier run's report.html" in run(*common).out
    assert written(tmp_path) == {"report.json", ACCELERATOR} | TABLES
    assert not (tmp_path / "baseline").exists()


def test_a_report_that_was_cut_off_is_written_again(run: Run, trace_file: Path, tmp_path: Path) -> None:
    """Killed between the tables and report.json, which goes first: what is left is still a report's folder."""
    common = ("simulate", trace_file, "--hardware", "edge-npu", "--out", tmp_path, "--no-figures")
    run(*common)
    (tmp_path / "report.json").unlink()
    assert run(*common).code == 0
    assert written(tmp_path) == {"report.json", ACCELERATOR} | TABLES


def test_json_is_alone_on_stdout(run: Run, trace_file: Path, tmp_path: Path) -> None:
    common = ("simulate", trace_file, "--hardware", "edge-npu", "--out", tmp_path, "--no-figures", "--json")
    ran = run(*common)
    assert ran.json["totals"] == load_report(tmp_path).totals
    assert "DRAM traffic" in ran.err
    pruned = run(*common, "--pruning", "dynamic").json
    assert pruned["baseline"]["totals"] == ran.json["totals"]
    assert pruned["pruning"]["kind"] == "dynamic"


def test_shapes_are_said_to_be_dense(run: Run, shapes_file: Path, tmp_path: Path) -> None:
    out = run("simulate", shapes_file, "--hardware", "edge-npu", "--out", tmp_path, "--no-figures").out
    assert "note: shapes only: dense" in out
    assert "tiny on edge-npu, one image" in out
    out = run(
        *("simulate", shapes_file, "--hardware", "edge-npu", "--out", tmp_path, "--no-figures"),
        *("--pruning", "dynamic", "--batch", "2"),
    ).out
    assert "so nothing is pruned" in " ".join(out.split())
    assert "a batch of 2 images" in out


def test_built_in_networks_and_topologies(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tiny_shapes().save(tmp_path / "shapes" / "tinynet")
    monkeypatch.setattr("simulator.trace.trace.shipped_folder", lambda _: tmp_path)
    ran = run("simulate", "tinynet", "--hardware", "edge-npu", "--out", tmp_path / "a", "--no-figures")
    assert "note: shapes only" in ran.out
    topology = tmp_path / "net.csv"
    topology.write_text("Layer,H,W,R,S,C,K,Strides,\nconv1,8,8,3,3,3,4,1,\n", encoding="utf-8")
    ran = run("simulate", topology, "--hardware", "scale-sim-32-ws", "--out", tmp_path / "b", "--no-figures")
    assert "net on scale-sim-32-ws" in ran.out


def recorded_with(tmp_path: Path, pruning: RecordedPruning) -> Path:
    trace = with_random_maps(tiny_shapes(), np.random.default_rng(1))
    return dataclasses.replace(trace, pruning=pruning).save(tmp_path / "recorded")


def test_epsilon_must_be_the_recordings(run: Run, tmp_path: Path) -> None:
    recorded = recorded_with(tmp_path, RecordedPruning(0.1))
    common = ("simulate", recorded, "--hardware", "edge-npu", "--no-figures", "--pruning", "dynamic")
    ran = run(*common, "--epsilon", "0.1", "--out", tmp_path / "out")
    assert "dynamic pruning with epsilon 0.1" in ran.out
    assert "note: the baseline is the same recording" in ran.out
    found = run(*common, "--epsilon", "0.2", "--out", tmp_path / "other").mistake()
    assert "recorded with epsilon 0.1, not epsilon 0.2" in found


def test_a_relative_epsilon_is_called_one(run: Run, tmp_path: Path) -> None:
    recorded = recorded_with(tmp_path, RecordedPruning(0.5, relative=True))
    common = ("simulate", recorded, "--hardware", "edge-npu", "--no-figures", "--pruning", "dynamic")
    words = "dynamic pruning with relative epsilon 0.5, per feature map (ofm side)"
    assert words in run(*common, "--epsilon", "0.5", "--out", tmp_path / "out").out
    compared = run("compare", tmp_path / "out" / "baseline", tmp_path / "out")
    assert words in " ".join(compared.out.split())
    assert run("report", tmp_path / "out").code == 0
    assert f'"pruning":"{words}"' in (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    found = run(*common, "--epsilon", "0.3", "--out", tmp_path / "other").mistake()
    assert "was recorded with relative epsilon 0.5, not relative epsilon 0.3: " in found
    assert found.endswith("record it again with `fmapsim extract ... --epsilon 0.3 --relative`")
    recorded = recorded_with(tmp_path, RecordedPruning({"conv2": 0.5}, relative=True))
    assert "with a relative epsilon per layer, per" in run(*common, "--out", tmp_path / "out").out


def test_what_does_not_fit_the_recording_is_said(run: Run, tmp_path: Path) -> None:
    recorded = recorded_with(tmp_path, RecordedPruning({"conv2": 0.1}, granularity="tile", tile=(2, 2)))
    common = ("simulate", recorded, "--hardware", "edge-npu", "--no-figures", "--out", tmp_path / "out")
    assert "recorded with pruning granularity tile" in run(*common, "--pruning", "dynamic").mistake()
    tiles = ("--set", "pruning.granularity=tile", "--set", "pruning.tile=[2, 2]")
    ran = run(*common, "--pruning", "dynamic", *tiles)
    assert "dynamic pruning with an epsilon per layer, per tile (ofm side)" in ran.out
    assert "the trace was recorded with pruning" in run(*common).out


def test_interrupting_leaves_nothing(
    run: Run, trace_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("simulator.api.simulate", interrupt)
    ran = run("simulate", trace_file, "--hardware", "edge-npu", "--out", tmp_path / "out")
    assert (ran.code, ran.err) == (130, "fmapsim: interrupted\n")
    assert list(tmp_path.iterdir()) == []


def test_the_summary_says_where_the_arrays_cycles_went(run: Run, trace_file: Path, tmp_path: Path) -> None:
    """One line with shares of the array's cycles, the largest first, and how far densities alone would be off."""
    ran = run("simulate", trace_file, "--hardware", "scnn", "--out", tmp_path, "--no-figures")
    totals = load_report(tmp_path).totals
    line = " ".join(ran.out.split("array cycles ")[1].split("\n\n")[0].split())
    on_array = totals["compute_cycles"] - totals["vector_cycles"]
    assert line.startswith(f"({100 * on_array / totals['cycles']:.1f} % of all): ")
    assert "zeros" not in line
    assert f"{100 * totals['array_imbalance_cycles'] / on_array:.1f} % imbalance" in line
    assert line.endswith(f"densities alone say {totals['statistical_error_percent']:+.1f} %"), line


@pytest.mark.parametrize(("zeros", "words"), [("gate", "zeros gated"), ("none", "zeros multiplied")])
def test_zeros_are_gated_where_the_array_gates_them(
    run: Run, trace_file: Path, tmp_path: Path, zeros: str, words: str
) -> None:
    both = f"array.zeros={{ifm: {zeros}, kernel: {zeros}}}"
    how = ("--hardware", "edge-npu", "--set", both, "--images", "0", "--no-figures")
    ran = run("simulate", trace_file, *how, "--out", tmp_path)
    assert words in " ".join(ran.out.split("array cycles")[1].split())
    assert array_parts([load_report(tmp_path)])[1].name == words


def test_a_timeline_is_of_the_first_batch_and_written_on_request(run: Run, trace_file: Path, tmp_path: Path) -> None:
    arguments = ("simulate", trace_file, "--hardware", "edge-npu", "--images", "1:3", "--no-figures")
    timeline = tmp_path / "deep" / "timeline.json"
    ran = run(*arguments, "--out", tmp_path / "out", "--timeline", timeline)
    assert f"Written to {timeline}: the timeline of image 1\n" in ran.out
    found = json.loads(timeline.read_text(encoding="utf-8"))
    assert found["otherData"]["images"] == [1]
    layers = [event for event in found["traceEvents"] if event["ph"] == "X" and "tiling" in event["args"]]
    first = load_report(tmp_path / "out").images.iloc[0]
    assert sum(event["args"]["cycles"] for event in layers) == first["cycles"]
    assert "cannot be written" in run(*arguments, "--out", tmp_path / "2", "--timeline", timeline / "x.json").mistake()
    assert not (tmp_path / "2").exists()
