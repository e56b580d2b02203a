"""Fully connected layers that several frames share, and a fixed time per layer; and everything at once."""

import numpy as np
import pytest
from builders import chain, small_accelerator, with_random_maps
from random_networks import random_network

import simulator
from simulator.report.report import Report
from simulator.trace.shapes import conv_layer, linear_layer
from simulator.trace.trace import Trace

WAITS = [f"stall_{name}_cycles" for name in ("ifm", "kernel", "ofm", "psum", "drain")]
WHOLE = {"layers": {"fc*": {"p": 1, "q": 1, "c": 32}}}
ROOMY = {operand: {"capacity": "16 KiB"} for operand in ("ifm", "kernel", "ofm")}


def moved(report: Report, layer: str, operand: str) -> float:
    rows = report.traffic.query("layer == @layer and operand == @operand and level == 'dram'")
    return float(rows["bytes"].sum())


def head() -> Trace:
    layers = [conv_layer("conv", (4, 6, 6), 8, (3, 3)), linear_layer("fc1", 128, 32), linear_layer("fc2", 32, 10)]
    return with_random_maps(chain(*layers), np.random.default_rng(0), images=2, kernel_density=0.5)


@pytest.mark.parametrize("frames", [4, 16])
def test_frames_share_the_kernels_of_fully_connected_layers(frames: int) -> None:
    one, many = (
        simulator.simulate(
            head(),
            small_accelerator(fully_connected_batch=count, buffers=ROOMY, mapping=WHOLE, **{"dram.burst": "1 B"}),
        )
        for count in (1, frames)
    )
    assert many.layers["frames"].tolist() == [1, frames, frames]
    for name, kernel in (("fc1", 2 * 128 * 32), ("fc2", 2 * 32 * 10)):
        assert moved(one, name, "kernel") == kernel
        assert moved(many, name, "kernel") == kernel / frames
        for operand in ("ifm", "ofm"):
            assert moved(many, name, operand) == moved(one, name, operand)
    rows = [report.layers.set_index("layer") for report in (one, many)]
    for column in ("macs_dense", "macs_effectual", "macs_performed", "macs_gated", "macs_skipped"):
        assert rows[1][column].tolist() == rows[0][column].tolist(), column
    unchanged = ["cycles", "dram_bytes", "energy_pj", "tiling"]
    assert rows[1].loc["conv", unchanged].tolist() == rows[0].loc["conv", unchanged].tolist()
    assert many.totals["cycles"] < one.totals["cycles"]
    assert many.totals["energy_pj"] < one.totals["energy_pj"]


def test_maps_stay_on_chip_between_layers_that_run_for_as_many_frames() -> None:
    on_chip = {"feature_maps": True, "capacity": "64 KiB"}
    report = simulator.simulate(head(), small_accelerator(fully_connected_batch=4, on_chip=on_chip, buffers=ROOMY))
    assert report.layers["ofm_on_chip"].tolist() == [0, 1, 0], "conv runs for a frame, fc1 for four"
    assert report.layers["on_chip_bytes"].tolist() == [0, 4 * 2 * 32, 4 * 2 * 32]


def test_every_layer_that_moves_data_waits_for_its_launch() -> None:
    plain, late = (
        simulator.simulate(head(), small_accelerator(layer_overhead=time)).layers for time in ("0 ps", "2 us")
    )
    assert plain["overhead_cycles"].tolist() == [0, 0, 0]
    assert late["overhead_cycles"].tolist() == [2000] * 3
    assert (late["cycles"] - plain["cycles"]).tolist() == [2000] * 3
    assert (late["stall_cycles"] - plain["stall_cycles"]).tolist() == [2000] * 3
    assert late["dram_bytes"].tolist() == plain["dram_bytes"].tolist()
    shared = simulator.simulate(head(), small_accelerator(layer_overhead="2 us", fully_connected_batch=16)).layers
    assert shared["overhead_cycles"].tolist() == [2000, 125, 125]


EVERYTHING: dict[str, object] = {
    "post_processing.fused": ["activation", "pooling", "add", "multiply"],
    "post_processing.operations": {"softmax": 5, "pooling": 2, "relu": 2},
    "dma.prefetch_kernels": True,
    "fully_connected_batch": 4,
    "layer_overhead": "20 ns",
    "pruning": {"granularity": "feature_map", "side": "ofm"},
}


@pytest.mark.parametrize("pruning", [None, "dynamic"])
@pytest.mark.parametrize("layout", ["NCHW", "NHWC", "NCHW4"])
@pytest.mark.parametrize("codec", ["raw", "bitmap"])
@pytest.mark.parametrize("seed", range(4))
def test_everything_at_once(seed: int, codec: str, layout: str, pruning: str | None) -> None:
    trace = random_network(seed)
    memory = {"feature_maps": True} if seed % 2 else {"feature_maps": True, "capacity": "2 KiB"}
    overrides = {**EVERYTHING, "on_chip": memory, "layout": layout, "compression": {"feature_map": codec}}
    reports = [simulator.simulate(trace, small_accelerator(**overrides), batch=2, pruning=pruning) for _ in range(2)]
    for table in ("layers", "traffic", "energy"):
        assert getattr(reports[0], table).equals(getattr(reports[1], table)), table
    rows = reports[0].layers
    parts = rows[[*WAITS, "buffer_stall_cycles", "overhead_cycles"]].sum(axis=1)
    assert np.allclose(rows["stall_cycles"], parts)
    assert np.allclose(rows["cycles"], rows["compute_cycles"] + rows["stall_cycles"])
    macs = rows[["macs_performed", "macs_gated", "macs_skipped"]].sum(axis=1)
    assert np.allclose(rows["macs_dense"], macs)
    dense = [2 * layer.macs for layer in trace.layers]
    assert rows["macs_dense"].tolist() == dense
    by_layer = reports[0].traffic.query("level == 'dram'").groupby("layer")["bytes"].sum()
    for row in rows.itertuples():
        assert row.dram_bytes == pytest.approx(by_layer.get(row.layer, 0))
        assert (row.cycles == 0) == (bool(row.fused_into) or (row.operator == "concat" and row.tiles == 0)), row
    plain = simulator.simulate(
        trace,
        small_accelerator(layout=layout, compression={"feature_map": codec}, pruning=EVERYTHING["pruning"]),
        batch=2,
        pruning=pruning,
    )
    assert reports[0].totals["dram_bytes"] < plain.totals["dram_bytes"]


@pytest.mark.parametrize("preset", ["edge-npu", "eyeriss", "nvdla-2048", "scnn", "systolic-256"])
def test_presets_run_with_everything(preset: str) -> None:
    overrides = {**EVERYTHING, "on_chip": {"feature_maps": True}}
    report = simulator.simulate(random_network(5), preset, overrides=overrides, batch=2, pruning="dynamic")
    plain = simulator.simulate(random_network(5), preset, batch=2, pruning="dynamic")
    assert report.totals["dram_bytes"] < plain.totals["dram_bytes"]
    assert report.totals["macs_dense"] == plain.totals["macs_dense"]
