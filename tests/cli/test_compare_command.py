import dataclasses
from pathlib import Path

import numpy as np
import pytest
from builders import with_random_maps
from cli_inputs import Run, tiny_shapes

import simulator
from simulator.commands.compare import short_names
from simulator.errors import InputError
from simulator.report.bound import bounds
from simulator.report.save import load_report, save_report
from simulator.trace.records import Accuracy
from simulator.trace.shapes import conv_layer, trace_from_layers


@pytest.fixture
def reports(trace_file: Path, tmp_path: Path) -> list[Path]:
    """Reports of one trace on three accelerators."""
    trace = simulator.load_trace(trace_file)
    return [save_report(simulator.simulate(trace, name), tmp_path / name) for name in ("edge-npu", "scnn", "eyeriss")]


def test_two_reports_side_by_side(run: Run, reports: list[Path]) -> None:
    ran = run("compare", *reports[:2])
    assert (ran.code, ran.err) == (0, "")
    first, second = (load_report(folder).totals["cycles"] for folder in reports[:2])
    line = next(line for line in ran.out.splitlines() if line.startswith("cycles"))
    assert line.split()[1:3] == [f"{first:,.0f}", f"{second:,.0f}"]
    assert "edge-npu: tiny on edge-npu, no pruning" in ran.out


def test_three_reports_one_below_the_other(run: Run, reports: list[Path]) -> None:
    out = run("compare", *reports).out
    rows = [line.split()[0] for line in out.splitlines() if line[:1].isalpha() and ":" not in line]
    assert "MACs performed" in out
    assert rows == ["report", "edge-npu", "scnn", "eyeriss"]
    assert max(map(len, out.splitlines())) <= 80


def test_layers_with_the_largest_difference_come_first(run: Run, reports: list[Path]) -> None:
    ran = run("compare", *reports[:2], "--layers", "--quantity", "cycles", "--top", "2")
    first, second = (load_report(folder).layers.set_index("layer")["cycles"] for folder in reports[:2])
    order = list((second - first).abs().sort_values(ascending=False, kind="stable").index)
    table = ran.out.split("cycles by layer, change from edge-npu to scnn, largest differences first")[1]
    assert [line.split()[0] for line in table.splitlines()[3:5]] == order[:2]
    assert "and 1 more layers (--top 3 shows all)" in table


def test_what_changed_and_what_bounds_each_layer(run: Run, reports: list[Path]) -> None:
    ran = run("compare", *reports[:2], "--layers", "--top", "3")
    first, second = (load_report(folder).layers.set_index("layer") for folder in reports[:2])
    bound = dict(zip(first.index, zip(bounds(first), bounds(second), strict=True), strict=True))
    table = ran.out.split("dram_bytes by layer")[1].splitlines()[3:6]
    assert {line.split()[0] for line in table} == set(first.index)
    for line in table:
        before, after = bound[line.split()[0]]
        assert line.rstrip().endswith(after if before == after else f"{before} → {after}"), line


def test_changes_in_json_add_up(run: Run, reports: list[Path]) -> None:
    changes = run("compare", *reports, "--json", "--layers", "--quantity", "cycles").json["changes"]
    first, last = (load_report(folder).totals for folder in (reports[0], reports[-1]))
    for name in ("dram_bytes", "cycles", "energy_pj"):
        assert sum(change[name] for change in changes) == pytest.approx(last[name] - first[name]), name
    assert sum(change["share"] for change in changes) == pytest.approx(1)
    sizes = [abs(change["cycles"]) for change in changes]
    assert sizes == sorted(sizes, reverse=True)


def test_json(run: Run, reports: list[Path]) -> None:
    found = run("compare", *reports, "--json").json
    assert [entry["report"] for entry in found["totals"]] == ["edge-npu", "scnn", "eyeriss"]
    assert found["totals"][0]["cycles_change"] == 0
    assert "layers" not in found
    layers = run("compare", *reports, "--json", "--layers").json
    assert layers["quantity"] == "dram_bytes"
    assert {layer["layer"] for layer in layers["layers"]} == {"block[0]", "conv2", "fc"}


def test_a_report_without_accuracy_gives_null(run: Run, reports: list[Path], tmp_path: Path) -> None:
    shapes = save_report(simulator.simulate(tiny_shapes(), "edge-npu"), tmp_path / "shapes")
    accuracies = [entry["accuracy"] for entry in run("compare", reports[0], shapes, "--json").json["totals"]]
    assert accuracies == [pytest.approx(2 / 3), None]


def test_networks_without_a_common_layer_are_said(run: Run, reports: list[Path], tmp_path: Path) -> None:
    other = simulator.trace_from_layers("other", [simulator.linear_layer("out", 8, 8)])
    folder = save_report(simulator.simulate(other, "edge-npu"), tmp_path / "other")
    out = " ".join(run("compare", reports[0], folder).out.split())
    assert "different networks (tiny, other), with no layer in common: differences are theirs too" in out
    assert "different networks" not in run("compare", *reports).out


def test_what_else_differs_is_said(run: Run, reports: list[Path], trace_file: Path, tmp_path: Path) -> None:
    """Networks of which only sizes differ, recordings of one name, accelerators, and settings of one accelerator."""
    assert "different accelerators (edge-npu, scnn)" in run("compare", *reports[:2]).out
    wider = trace_from_layers("tiny", [conv_layer("conv2", (4, 8, 8), 16, (3, 3))])
    folder = save_report(simulator.simulate(wider, "edge-npu"), tmp_path / "wider")
    out = run("compare", reports[0], folder).out
    assert "different networks: differences" in out
    other = with_random_maps(tiny_shapes(), np.random.default_rng(7), images=3).save(tmp_path / "other.trace")
    for name, trace, more in (("a", trace_file, ()), ("b", other, ()), ("c", other, ("--set", "clock=1 MHz"))):
        run("simulate", trace, "--hardware", "edge-npu", *more, "--no-figures", "--out", tmp_path / name)
    out = run("compare", tmp_path / "a", tmp_path / "b").out
    assert f"different traces of a network ({trace_file}, {other})" in out.replace("\n", "").replace("  ", " ")
    out = run("compare", tmp_path / "b", tmp_path / "c").out
    assert "different traces" not in out
    assert "note: the settings of edge-npu differ" in out


def test_names_break_at_separators_and_no_layer_stands_twice(run: Run, tmp_path: Path) -> None:
    name = "features.inverted_residual.global_average_pool"
    trace = trace_from_layers("long", [conv_layer(name, (4, 8, 8), 16, (3, 3))])
    folders = [save_report(simulator.simulate(trace, on), tmp_path / on) for on in ("edge-npu", "scnn")]
    out = run("compare", *folders, "--layers").out
    lines = [line.split()[0] for line in out.split("by layer")[1].splitlines()[3:]]
    print(lines)
    assert len(lines) > 2
    assert "".join(lines) == name
    assert all(line.endswith((".", "_")) for line in lines[:-1])


def test_accuracy_stands_beside_the_savings(run: Run, reports: list[Path], trace_file: Path, tmp_path: Path) -> None:
    trace = simulator.load_trace(trace_file)
    worse = dataclasses.replace(trace, accuracy=Accuracy(3, top1=1 / 3, agreement=0.5))
    folder = save_report(simulator.simulate(worse, "edge-npu"), tmp_path / "worse")
    rows = [line.split() for line in run("compare", reports[0], folder).out.splitlines()]
    assert ["top-1", "66.7", "%", "33.3", "%", "-33.3", "pp"] in rows
    assert ["as", "unpruned", "-", "50.0", "%"] in rows


def test_reports_that_cannot_be_compared_one_to_one_are_noted(
    run: Run, reports: list[Path], trace_file: Path, tmp_path: Path
) -> None:
    trace = simulator.load_trace(trace_file)
    first = save_report(simulator.simulate(trace, "edge-npu", images=[0]), tmp_path / "first")
    batch = save_report(simulator.simulate(trace, "edge-npu", images=[0, 1], batch=2), tmp_path / "batch")
    assert "different images" in run("compare", reports[0], first).out
    assert "the batches differ in size" in run("compare", reports[0], batch).out


def test_figures(run: Run, reports: list[Path], tmp_path: Path) -> None:
    ran = run("compare", *reports[:2], "--figures", tmp_path / "figures")
    drawn = list((tmp_path / "figures").iterdir())
    assert f"{len(drawn)} figures written to" in ran.out
    assert {path.suffix for path in drawn} == {".png", ".svg"}


def test_figures_for_print(run: Run, reports: list[Path], tmp_path: Path) -> None:
    run("compare", *reports[:2], "--figures", tmp_path / "figures", "--formats", "pdf")
    drawn = list((tmp_path / "figures").iterdir())
    assert {path.suffix for path in drawn} == {".pdf"}
    assert all(path.read_bytes().startswith(b"%PDF") for path in drawn)
    wrong = run("compare", *reports[:2], "--figures", tmp_path / "wrong", "--formats", "pdf,gif")
    assert "figure format 'gif': expected one of png, svg, pdf" in wrong.mistake()


def test_names_are_as_long_as_it_takes() -> None:
    folders = [Path("a/eyeriss"), Path("a/eyeriss/baseline"), Path("b/baseline"), Path("b/npu")]
    assert short_names(folders) == ["eyeriss", "eyeriss/baseline", "b/baseline", "npu"]
    assert short_names([Path("b"), Path("a/b")])[1] == "a/b"
    with pytest.raises(InputError, match="b: given twice"):
        short_names([Path("a"), Path("b"), Path("./b")])
