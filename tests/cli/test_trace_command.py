"""`fmapsim networks`, `fmapsim trace list` and `fmapsim trace show`."""

from pathlib import Path

import numpy as np
import pytest
from cli_inputs import Run, tiny_shapes, tiny_trace

from simulator.commands.trace import zero_shares
from simulator.trace.trace import load_trace


@pytest.fixture
def shipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of traces in place of the one that ships: one recorded trace, one network's shapes."""
    tiny_trace().save(tmp_path / "tiny")
    tiny_shapes().save(tmp_path / "shapes" / "paper" / "tiny")
    monkeypatch.setattr("simulator.trace.trace.shipped_folder", lambda _: tmp_path)
    return tmp_path


def test_networks(run: Run, shipped: Path) -> None:
    out = run("networks").out
    rows = [line.split() for line in out.splitlines()]
    assert ["paper/tiny", "3×8×8", "3", "10.2", "kMAC", "1.12", "k"] in rows  # 6,912 + 2,592 + 720; 108 + 288 + 720
    assert ["tiny", "3", "3", "10.2", "kMAC", "0", "66.7", "%"] in rows


def test_networks_as_json(run: Run, shipped: Path) -> None:
    found = run("networks", "--json").json
    assert found["networks"] == [
        {"name": "paper/tiny", "input": [3, 8, 8], "layers": 3, "macs": 10224, "weights": 1116}
    ]
    assert [(entry["name"], entry["images"]) for entry in found["traces"]] == [("tiny", 3)]


def test_nothing_shipped_is_said(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("simulator.trace.trace.shipped_folder", lambda _: tmp_path)
    out = run("networks").out
    assert "No built-in networks" in out
    assert "No recorded traces" in out
    assert run("networks", "--json").json == {"networks": [], "traces": []}


def test_the_shipped_networks_are_listed(run: Run) -> None:
    ran = run("networks")
    assert ran.code == 0
    assert max(map(len, ran.out.splitlines())) <= 80


def test_trace_list(run: Run, shipped: Path) -> None:
    assert "66.7 %" in run("trace", "list").out
    assert run("trace", "list", "--json").json[0]["accuracy"]["top1"] == pytest.approx(2 / 3)


def test_show_says_where_a_trace_comes_from(run: Run, trace_file: Path) -> None:
    out = run("trace", "show", trace_file).out
    assert "top-1 66.7 %, top-5 100.0 % of 3 images" in out
    assert "fmapsim extract tiny" in out
    assert "conv2" not in out


def test_show_says_that_shapes_are_no_recording(run: Run, shapes_file: Path) -> None:
    out = run("trace", "show", shapes_file, "--layers").out
    assert "shapes only" in out
    assert "zeros" not in out


def test_zero_shares_are_those_of_the_unpacked_maps(trace_file: Path) -> None:
    trace = load_trace(trace_file)
    for layer, (elements, maps) in zip(trace.layers, zero_shares(trace), strict=True):
        nonzero = np.stack([trace.nonzero(layer.inputs[0], image) for image in range(3)])
        assert elements == pytest.approx(1 - nonzero.mean())
        assert maps == pytest.approx(1 - nonzero.any(axis=(2, 3)).mean())


def test_layers_at_80_and_120_columns(run: Run, trace_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    narrow = run("trace", "show", trace_file, "--layers").out
    monkeypatch.setenv("COLUMNS", "120")
    wide = run("trace", "show", trace_file, "--layers").out
    assert max(map(len, narrow.splitlines())) <= 80
    first = next(line.split() for line in wide.splitlines() if line.startswith("block[0]"))
    assert first[:6] == ["block[0]", "conv", "3×8×8", "4×8×8", "4×3×3×3", "6.91"]
    lines = narrow.splitlines()
    at = next(index for index, line in enumerate(lines) if line.startswith("block[0]"))
    assert (lines[at].split()[1], lines[at + 1].split()) == ("3×8×8", ["conv", "4×8×8"])


def test_show_as_json(run: Run, trace_file: Path, shapes_file: Path) -> None:
    shown = run("trace", "show", trace_file, "--json").json
    assert shown["images"] == 3
    assert [layer["name"] for layer in shown["layers"]] == ["block[0]", "conv2", "fc"]
    assert 0 < shown["layers"][1]["ifm_zero_map_share"] <= 1
    assert run("trace", "show", shapes_file, "--json").json["layers"][1]["ifm_zero_map_share"] is None


def test_show_knows_networks_and_topologies(run: Run, shipped: Path, tmp_path: Path) -> None:
    assert "shapes only" in run("trace", "show", "paper/tiny").out
    topology = tmp_path / "net.csv"
    topology.write_text("Layer,H,W,R,S,C,K,Strides,\nconv1,8,8,3,3,3,4,1,\n", encoding="utf-8")
    assert run("trace", "show", topology, "--json").json["layers"][0]["name"] == "conv1"


def test_hostile_names_do_not_reach_the_terminal(run: Run, tmp_path: Path) -> None:
    import dataclasses

    trace = dataclasses.replace(tiny_shapes(), name="evil\x1b[31m\nname", provenance={"x\x1b": "y\x1b"})
    path = trace.save(tmp_path / "evil")
    assert "\x1b" not in run("trace", "show", path, "--layers").out
