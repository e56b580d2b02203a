"""A timeline is trace-event JSON whose sums are the report's, and whose slices do not get into each other's way."""

import json
from collections import defaultdict
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from builders import chain, small_accelerator, with_random_maps

import simulator
from simulator.hardware.accelerator import Accelerator
from simulator.report.report import Report
from simulator.report.timeline import events, save_timeline
from simulator.trace.records import Layer, Tensor
from simulator.trace.shapes import conv_layer, linear_layer
from simulator.trace.trace import Trace

OPERANDS = ("ifm", "kernel", "ofm", "psum", "metadata")
PS_PER_US = 1e6


def network() -> Trace:
    layers: list[Layer] = [
        conv_layer("a", (16, 12, 12), 24, (3, 3), padding=1),
        conv_layer("b", (24, 12, 12), 32, (1, 1)),
        linear_layer("fc", 32 * 144, 20),
    ]
    return with_random_maps(chain(*layers), np.random.default_rng(0), empty_maps=0.3)


CASES: dict[str, Any] = {
    "a plain bus": {},
    "psums that spill": {"mapping__layers": {"b": {"c": 8, "k": 8, "p": 4, "order": "CSK"}}},
    "several tiles asked for": {"dma": {"prefetch": 3}, "compression": {"feature_map": "bitmap", "kernel": "raw"}},
    "kernels that come early": {"dma": {"prefetch_kernels": True, "prefetch_layers": 2}},
    "buffers that hold up": {"buffers__ifm__read_bandwidth": "1 B/cycle", "layer_overhead": "2 us"},
    "frames together": {"fully_connected_batch": 3},
    "a memory system": {"dram": {"standard": "DDR4-2400"}},
}


def run(
    tmp_path: Path, accelerator: Accelerator, trace: Trace | None = None, pruning: str | None = "dynamic"
) -> tuple[Report, dict[str, Any]]:
    path = tmp_path / "timeline.json"
    report = simulator.simulate(trace or network(), accelerator, pruning=pruning, timeline=path)
    return report, json.loads(path.read_text(encoding="utf-8"), parse_constant=pytest.fail)


def complete(trace: dict[str, Any]) -> list[dict[str, Any]]:
    return [event for event in trace["traceEvents"] if event["ph"] == "X"]


def busy_ps(event: dict[str, Any]) -> int:
    return round(event["args"].get("busy_us", event["dur"]) * PS_PER_US)


def check_totals(report: Report, trace: dict[str, Any]) -> None:
    """Bytes by stream, cycles per layer, and what the array did and waited for, all in every layer."""
    cycle_ps = 1e12 / report.meta["clock_hz"]
    moved: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    spent: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    layers = {}
    for event in complete(trace):
        args = event["args"]
        if "tiling" in args:
            layers[event["name"]] = args
            continue
        spent[args["layer"]][event["name"]] += busy_ps(event)
        if "value_bytes" in args:
            operand = {"way out": "ifm"}.get(event["name"], event["name"].split(" ")[-1])
            moved[args["layer"]][operand] += args["value_bytes"]
            moved[args["layer"]]["metadata"] += args["metadata_bytes"]
    dram = report.traffic[report.traffic["level"] == "dram"]
    expected = dram.groupby(["layer", "operand"])["bytes"].sum()
    for row in report.layers.to_dict("records"):
        if not row["cycles"]:
            assert row["layer"] not in layers
            continue
        layer, frames = row["layer"], row["frames"]
        print(layer, dict(moved[layer]), dict(spent[layer]))
        for operand in OPERANDS:
            assert moved[layer][operand] == expected[(layer, operand)] * frames, (layer, operand)
        assert layers[layer]["cycles"] == row["cycles"] * frames
        steps = (row["compute_cycles"] + row["buffer_stall_cycles"]) * frames
        assert spent[layer]["tile"] == pytest.approx(steps * cycle_ps, abs=cycle_ps)
        assert spent[layer]["held up"] == pytest.approx(row["buffer_stall_cycles"] * frames * cycle_ps, abs=cycle_ps)
        for cause in ("ifm", "kernel", "ofm", "psum"):
            waited = row[f"stall_{cause}_cycles"] * frames * cycle_ps
            assert spent[layer][f"wait: {cause}"] == pytest.approx(waited, abs=1.5 * cycle_ps), cause
        assert spent[layer]["drain"] == pytest.approx(row["stall_drain_cycles"] * frames * cycle_ps, abs=1.5 * cycle_ps)


@pytest.mark.parametrize("case", CASES)
def test_the_sums_are_the_reports(case: str, tmp_path: Path) -> None:
    report, trace = run(tmp_path, small_accelerator(**CASES[case]))
    assert trace["otherData"]["tiles_share_slices"] is False
    if case == "psums that spill":
        assert report.totals["psum_bytes"] > 0
    if case == "buffers that hold up":
        assert report.totals["buffer_stall_cycles"] > 0
    check_totals(report, trace)


@pytest.mark.parametrize("case", CASES)
def test_slices_of_a_track_follow_each_other(case: str, tmp_path: Path) -> None:
    """Viewers nest slices of a track, so none may reach into the next; and the array does one thing at a time."""
    _, trace = run(tmp_path, small_accelerator(**CASES[case]))
    tracks = defaultdict(list)
    names = {event["tid"]: event["args"]["name"] for event in trace["traceEvents"] if event["name"] == "thread_name"}
    for event in complete(trace):
        start = round(event["ts"] * PS_PER_US)
        end = start + round(event["dur"] * PS_PER_US)
        name = names[event["tid"]]
        array = name == "tile steps" or name.startswith("waits") or name in ("drain", "before the layer")
        for track in (name, "array") if array else (name,):
            tracks[track].append((start, end, event["name"]))
    for name, slices in tracks.items():
        ordered = sorted(slices, key=lambda of: of[:2])
        for (_, end, before), (start, _, after) in pairwise(ordered):
            assert end <= start, (name, before, after, end, start)
    array = sorted(tracks["array"])
    assert sum(end - start for start, end, _ in array) == max(end for _, end, _ in tracks["layers"])


def test_buffers_peak_as_the_report_says(tmp_path: Path) -> None:
    report, trace = run(tmp_path, small_accelerator())
    peaks: dict[str, int] = defaultdict(int)
    for event in trace["traceEvents"]:
        if event["ph"] == "C" and event["name"].endswith("buffer, bytes"):
            peaks[event["name"].split(" ")[0]] = max(peaks[event["name"].split(" ")[0]], event["args"]["value"])
    assert peaks == {name: report.totals[f"{name}_buffer_peak_bytes"] for name in ("ifm", "kernel", "ofm")}
    under_way = [event for event in trace["traceEvents"] if event["name"] == "ifm requests under way"]
    assert under_way[-1]["args"]["value"] == 0
    assert min(event["args"]["value"] for event in under_way) == 0


def test_long_runs_share_slices_and_keep_their_sums(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    report, whole = run(tmp_path, small_accelerator())
    monkeypatch.setattr(events, "MOST_EVENTS", 200)
    _, short = run(tmp_path, small_accelerator())
    assert short["otherData"]["tiles_share_slices"] is True
    assert len(short["traceEvents"]) < 300 < len(whole["traceEvents"])
    check_totals(report, short)


def test_watching_changes_nothing(tmp_path: Path) -> None:
    watched, _ = run(tmp_path, small_accelerator(**CASES["kernels that come early"]))
    alone = simulator.simulate(network(), small_accelerator(**CASES["kernels that come early"]), pruning="dynamic")
    assert watched.layers.equals(alone.layers)


def test_what_is_read_on_the_way_out_is_a_stream_too(tmp_path: Path) -> None:
    """A residual add that is done on the way out of one branch reads the other one while tiles leave."""
    layers = [
        Layer("stem", "conv", (4, 8, 8), (8, 8, 8), (8, 4, 1, 1), inputs=(0,), output=1),
        Layer("branch", "conv", (8, 8, 8), (8, 8, 8), (8, 8, 3, 3), padding=(1, 1, 1, 1), inputs=(1,), output=2),
        Layer("sum", "add", (8, 8, 8), (8, 8, 8), inputs=(1, 2), output=3),
    ]
    trace = Trace("residual", layers, [Tensor((4, 8, 8)), *(Tensor((8, 8, 8)) for _ in range(3))])
    report, found = run(tmp_path, small_accelerator(post_processing__fused=["add"]), trace, pruning=None)
    assert any(event["name"] == "way out" for event in complete(found))
    check_totals(report, found)


def test_the_timeline_of_mobilenet_has_the_totals_of_its_report(mobilenet: dict[str, Report], tmp_path: Path) -> None:
    path = tmp_path / "mobilenet.json"
    trace = simulator.load_trace("mobilenet_v2")
    report = simulator.simulate(trace, "eyeriss", images=[0], pruning="dynamic", timeline=path)
    assert report.totals == mobilenet["pruned"].totals
    assert path.stat().st_size < 25e6
    found = json.loads(path.read_text(encoding="utf-8"))
    check_totals(report, found)
    assert {event["ph"] for event in found["traceEvents"]} == {"X", "C", "M"}


def test_a_place_that_cannot_be_written_is_one_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(simulator.InputError, match="cannot be written"):
        save_timeline(
            [],
            [],
            dict.fromkeys(("fmapsim", "trace", "accelerator", "overrides", "batch", "pruning", "clock_hz")),
            tmp_path / "file" / "a.json",
        )
