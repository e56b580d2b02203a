"""Whole networks on the machine: totals add up, runs repeat, batches share kernels, every layer moves its bytes."""

import dataclasses
import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from builders import chain, small_accelerator, with_random_maps

import simulator
from simulator.errors import InputError
from simulator.hardware.load import load_accelerator, preset_names
from simulator.machine.pruning import DynamicPruning
from simulator.machine.workers import in_processes
from simulator.report.report import Report
from simulator.trace.records import Layer, RecordedPruning, Tensor
from simulator.trace.shapes import conv_layer, linear_layer
from simulator.trace.trace import Trace, load_trace


def residual_network(images: int = 2) -> Trace:
    layers = [
        Layer("stem", "conv", (3, 16, 16), (8, 16, 16), (8, 3, 3, 3), padding=(1, 1, 1, 1), inputs=(0,), output=1),
        Layer("expand", "conv", (8, 16, 16), (24, 16, 16), (24, 8, 1, 1), inputs=(1,), output=2),
        Layer(
            "depthwise",
            "conv",
            (24, 16, 16),
            (24, 16, 16),
            (24, 1, 3, 3),
            padding=(1, 1, 1, 1),
            groups=24,
            inputs=(2,),
            output=3,
        ),
        Layer("project", "conv", (24, 16, 16), (8, 16, 16), (8, 24, 1, 1), inputs=(3,), output=4),
        Layer("add", "add", (8, 16, 16), (8, 16, 16), inputs=(4, 1), output=5),
        Layer("pool", "max_pool", (8, 16, 16), (8, 8, 8), stride=(2, 2), window=(2, 2), inputs=(5,), output=6),
        Layer("fc", "linear", (512, 1, 1), (10, 1, 1), (10, 512, 1, 1), inputs=(6,), output=7),
    ]
    shapes = [(3, 16, 16), (8, 16, 16), (24, 16, 16), (24, 16, 16), (8, 16, 16), (8, 16, 16), (8, 8, 8), (10, 1, 1)]
    trace = Trace("residual", layers, [Tensor(shape) for shape in shapes])
    return with_random_maps(trace, np.random.default_rng(3), images=images, kernel_density=0.8)


def bytes_of(report: Report, layer: str, operand: str, level: str = "dram", direction: str | None = None) -> float:
    rows = report.traffic
    rows = rows[(rows["layer"] == layer) & (rows["operand"] == operand) & (rows["level"] == level)]
    if direction is not None:
        rows = rows[rows["direction"] == direction]
    return float(rows["bytes"].sum())


@pytest.mark.parametrize("preset", preset_names())
@pytest.mark.parametrize("pruning", [None, "dynamic"])
def test_counters_conserve_on_every_preset(preset: str, pruning: str | None) -> None:
    trace = residual_network()
    report = simulator.simulate(trace, preset, images=[0], pruning=pruning)
    layers = report.layers
    assert layers["layer"].tolist() == [layer.name for layer in trace.layers]
    assert (layers["macs_performed"] + layers["macs_gated"] + layers["macs_skipped"] == layers["macs_dense"]).all()
    assert (layers["macs_effectual"] <= layers["macs_performed"]).all()
    assert (layers["compute_cycles"] + layers["stall_cycles"] == layers["cycles"]).all()
    stalls = layers[
        [f"stall_{name}_cycles" for name in ("ifm", "kernel", "ofm", "psum", "drain")] + ["overhead_cycles"]
    ]
    assert (stalls.sum(axis=1) == layers["stall_cycles"]).all()
    assert (stalls >= 0).all().all()
    assert (layers["dram_busy_cycles"] <= layers["cycles"] + 1).all()
    assert layers["utilisation"].between(0, 1).all()
    per_layer = report.traffic[report.traffic["level"] == "dram"].groupby("layer")["bytes"].sum()
    per_layer = per_layer.reindex(layers["layer"], fill_value=0)  # layers done on the way out of another move nothing
    assert (per_layer.to_numpy() == layers["dram_bytes"].to_numpy()).all()
    assert report.totals["dram_bytes"] == layers["dram_bytes"].sum()
    assert report.energy["energy_pj"].sum() == pytest.approx(layers["energy_pj"].sum())
    dram = load_accelerator(preset).dram
    moved = (layers["row_hits"] + layers["row_misses"]) * dram.burst
    assert moved.sum() == layers["dram_bytes"].sum()
    assert dram.standard or (moved == layers["dram_bytes"]).all()  # controllers hold writes back beyond a layer's end


def test_two_runs_are_equal() -> None:
    trace = residual_network()
    first, second = (simulator.simulate(trace, "edge-npu", pruning="dynamic") for _ in range(2))
    pd.testing.assert_frame_equal(first.layers, second.layers)
    pd.testing.assert_frame_equal(first.traffic, second.traffic)


def test_several_images_are_averaged() -> None:
    trace = residual_network()
    both = simulator.simulate(trace, "edge-npu", pruning="dynamic")
    singles = [simulator.simulate(trace, "edge-npu", images=[image], pruning="dynamic") for image in (0, 1)]
    for key in ("dram_bytes", "cycles", "energy_pj", "macs_effectual"):
        assert both.totals[key] == pytest.approx(sum(single.totals[key] for single in singles) / 2)
        assert both.images[key].tolist() == pytest.approx([single.totals[key] for single in singles])


def test_a_batch_reads_its_kernels_once_where_they_fit() -> None:
    trace = chain(linear_layer("fc", 512, 256))
    buffers = {operand: {"capacity": "1 MiB"} for operand in ("ifm", "kernel", "ofm")}
    one, four = (simulator.simulate(trace, small_accelerator(buffers=buffers), batch=batch) for batch in (1, 4))
    assert bytes_of(four, "fc", "kernel") == bytes_of(one, "fc", "kernel") == 2 * 512 * 256
    assert bytes_of(four, "fc", "ifm") >= 4 * 2 * 512
    assert four.totals["macs_dense"] == 4 * one.totals["macs_dense"]


def test_a_batch_of_recorded_images_counts_each_of_them() -> None:
    trace = residual_network(images=4)
    together = simulator.simulate(trace, "edge-npu", batch=4)
    apart = simulator.simulate(trace, "edge-npu", batch=1)
    assert together.totals["macs_effectual"] == pytest.approx(4 * apart.totals["macs_effectual"])
    assert together.totals["kernel_bytes"] <= 4 * apart.totals["kernel_bytes"]


def test_adds_read_both_operands_and_pools_their_ifm() -> None:
    report = simulator.simulate(residual_network(), small_accelerator(), images=[0])
    assert bytes_of(report, "add", "ifm") == 2 * 2 * 8 * 256
    assert bytes_of(report, "add", "ofm") == 2 * 8 * 256
    assert bytes_of(report, "pool", "ifm") == 2 * 8 * 256
    assert bytes_of(report, "pool", "ofm") == 2 * 8 * 64
    assert bytes_of(report, "add", "kernel") == 0


def test_an_add_saves_the_loads_of_flagged_maps_of_both_operands() -> None:
    trace = residual_network()
    accelerator = small_accelerator()
    pruned = simulator.simulate(trace, accelerator, images=[0], pruning="dynamic")
    flagged = sum(int((trace.nonzeros_per_channel(tensor, 0) == 0).sum()) for tensor in (4, 1))
    assert flagged > 0
    dense = simulator.simulate(trace, accelerator, images=[0])
    assert bytes_of(dense, "add", "ifm") - bytes_of(pruned, "add", "ifm") == flagged * 2 * 256


def test_the_networks_own_input_has_no_flags() -> None:
    trace = residual_network()
    pruned = simulator.simulate(trace, small_accelerator(), images=[0], pruning="dynamic")
    dense = simulator.simulate(trace, small_accelerator(), images=[0])
    assert bytes_of(pruned, "stem", "ifm") == bytes_of(dense, "stem", "ifm")
    assert bytes_of(pruned, "stem", "metadata", direction="read") == 0


def test_gating_changes_energy_and_not_cycles() -> None:
    trace = residual_network()
    array = {"rows": 4, "columns": 4, "dataflow": "spatial", "unroll": {"rows": ["K"], "columns": ["C"]}}
    plain = simulator.simulate(trace, small_accelerator(array=array))
    gated = simulator.simulate(trace, small_accelerator(array={**array, "zeros": {"ifm": "gate"}}))
    assert gated.totals["cycles"] == plain.totals["cycles"]
    assert gated.totals["energy_pj"] < plain.totals["energy_pj"]
    assert gated.totals["macs_performed"] < plain.totals["macs_performed"]


def test_a_slow_comparator_holds_up_the_stores() -> None:
    trace = residual_network()
    fast = simulator.simulate(trace, small_accelerator(pruning={"comparators": 64}), pruning="dynamic")
    slow = simulator.simulate(trace, small_accelerator(**{"pruning.comparators": 1}), pruning="dynamic")
    crawling = small_accelerator(**{"pruning.comparators": 1, "dram.bandwidth": "1000 GB/s", "dram.row_miss": "0 ns"})
    assert slow.totals["cycles"] >= fast.totals["cycles"]
    hurried = small_accelerator(**{"dram.bandwidth": "1000 GB/s", "dram.row_miss": "0 ns"})
    assert (
        simulator.simulate(trace, crawling, pruning="dynamic").totals["cycles"]
        > simulator.simulate(trace, hurried, pruning="dynamic").totals["cycles"]
    )


def test_infinite_bandwidth_leaves_compute_and_infinite_compute_leaves_dram() -> None:
    trace = residual_network()
    fast_memory = small_accelerator(**{"dram.bandwidth": "1000 TB/s", "dram.row_miss": "0 ps"})
    report = simulator.simulate(trace, fast_memory, images=[0])
    assert report.totals["stall_cycles"] <= 0.01 * report.totals["cycles"]
    fast_array = small_accelerator(clock="1000 GHz")
    bound = simulator.simulate(trace, fast_array, images=[0])
    seconds = bound.totals["seconds"]
    busy = bound.layers["dram_busy_cycles"].sum() / 1e12
    assert busy == pytest.approx(seconds, rel=0.02)


def test_two_activations_are_read_from_memory() -> None:
    layers = [
        Layer("q", "linear", (16, 10, 1), (16, 10, 1), (16, 16, 1, 1), inputs=(0,), output=1),
        Layer("k", "linear", (16, 10, 1), (16, 10, 1), (16, 16, 1, 1), inputs=(0,), output=2),
        Layer("qk", "matmul", (16, 10, 1), (20, 10, 1), (20, 8, 1, 1), groups=2, inputs=(1, 3), output=4),
    ]
    tensors = [
        Tensor((16, 10, 1)),
        Tensor((16, 10, 1)),
        Tensor((16, 10, 1)),
        Tensor((20, 8, 1), source=2),
        Tensor((20, 10, 1)),
    ]
    trace = with_random_maps(Trace("attention", layers, tensors), np.random.default_rng(5), images=2)
    report = simulator.simulate(trace, small_accelerator(), batch=2, pruning="dynamic")
    row = report.layers.set_index("layer").loc["qk"]
    assert row["macs_dense"] == 2 * 20 * 8 * 10
    left, right = (~trace.zeros("qk", 0)).reshape(2, 8, 10), (~trace.zeros("qk", 0, "kernel")).reshape(2, 10, 8)
    single = simulator.simulate(trace, small_accelerator(), images=[0]).layers.set_index("layer").loc["qk"]
    assert single["macs_effectual"] == int(np.einsum("hkm,hnk->", left.astype(int), right.astype(int)))


def test_shapes_only_run_dense_and_say_so() -> None:
    trace = chain(conv_layer("conv", (8, 16, 16), 8, (3, 3), padding=1))
    report = simulator.simulate(trace, "eyeriss", pruning="dynamic")
    assert report.meta["trace_has_maps"] is False
    assert report.totals["macs_skipped"] == 0
    with pytest.raises(InputError, match="holds shapes only"):
        simulator.simulate(trace, "eyeriss", images=[0])


def test_wrong_requests_are_one_clear_error() -> None:
    trace = residual_network()
    with pytest.raises(InputError, match="no image 7; it holds 2"):
        simulator.simulate(trace, "eyeriss", images=[7])
    with pytest.raises(InputError, match="do not divide into batches of 3"):
        simulator.simulate(trace, "eyeriss", batch=3)
    with pytest.raises(InputError, match="expected 1 or more"):
        simulator.simulate(trace, "eyeriss", batch=0)
    with pytest.raises(InputError, match="no image selected"):
        simulator.simulate(trace, "eyeriss", images=[])
    with pytest.raises(InputError, match="expected 'none', 'dynamic'"):
        simulator.simulate(trace, "eyeriss", pruning="sometimes")
    with pytest.raises(InputError, match=r"recorded with epsilon 0, not epsilon 0\.1"):
        simulator.simulate(trace, "eyeriss", pruning=DynamicPruning(0.1))
    recorded = dataclasses.replace(trace, pruning=RecordedPruning(0.1, side="ifm"))
    with pytest.raises(InputError, match=r"pruning side ifm, but the accelerator's pruning\.side is ofm"):
        simulator.simulate(recorded, "eyeriss", pruning=DynamicPruning(0.1))


def flatten_network(density: float = 0.5) -> Trace:
    layers = [
        Layer("conv", "conv", (4, 7, 7), (64, 7, 7), (64, 4, 1, 1), inputs=(0,), output=1),
        Layer("fc", "linear", (3136, 1, 1), (16, 1, 1), (16, 3136, 1, 1), inputs=(1,), output=2),
    ]
    trace = Trace("flatten", layers, [Tensor((4, 7, 7)), Tensor((64, 7, 7)), Tensor((16, 1, 1))])
    return with_random_maps(trace, np.random.default_rng(1), density=density, empty_maps=0.0)


LARGE = {operand: {"capacity": "1 MiB"} for operand in ("ifm", "kernel", "ofm")}


@pytest.mark.parametrize("codec", ["raw", "bitmap"])
@pytest.mark.parametrize("bits", [4, 8, 16])
def test_a_flattened_map_is_read_as_it_was_written(codec: str, bits: int) -> None:
    precision = {"ifm": f"{bits} bit", "kernel": "8 bit", "ofm": f"{bits} bit", "psum": "32 bit"}
    accelerator = small_accelerator(
        **{"dram.burst": "1 B"},
        buffers=LARGE,
        precision=precision,
        compression={"feature_map": codec},
        mapping={"layers": {"conv": {"k": 64, "p": 7, "q": 7}}},  # tiles may share bytes with their neighbours
    )
    report = simulator.simulate(flatten_network(), accelerator)
    written = bytes_of(report, "conv", "ofm") + bytes_of(report, "conv", "metadata", direction="write")
    read = bytes_of(report, "fc", "ifm") + bytes_of(report, "fc", "metadata", direction="read")
    tiles = report.layers.set_index("layer").loc["fc", "tiles"]
    row_bytes = -(-7 * (bits + 1) // 8) + 2
    assert written <= read <= written + 2 * tiles * row_bytes  # a cut between two tiles may split a row or a byte


def test_a_flagged_map_takes_its_whole_share_of_a_flattened_kernel_along() -> None:
    layers = flatten_network().layers
    shapes = flatten_network().tensors
    trace = with_random_maps(Trace("flatten", layers, shapes), np.random.default_rng(2), density=0.9, empty_maps=0.5)
    empty = int((trace.nonzeros_per_channel(1, 0) == 0).sum())
    accelerator = small_accelerator(**{"dram.burst": "1 B"}, buffers=LARGE)
    dense, pruned = (simulator.simulate(trace, accelerator, pruning=pruning) for pruning in (None, "dynamic"))
    assert bytes_of(dense, "fc", "kernel") - bytes_of(pruned, "fc", "kernel") == 2 * empty * 49 * 16
    saved = bytes_of(dense, "fc", "ifm") - bytes_of(pruned, "fc", "ifm")
    cut_rows = 2 * 7 * dense.layers.set_index("layer").loc["fc", "tiles"]  # tiles take whole rows
    assert 2 * empty * 49 <= saved <= 2 * empty * 49 + cut_rows


def test_the_right_operand_of_a_product_is_stored_like_any_feature_map() -> None:
    layers = [
        Layer("a", "linear", (16, 8, 1), (16, 8, 1), (16, 16, 1, 1), inputs=(0,), output=1),
        Layer("b", "linear", (16, 8, 1), (16, 8, 1), (16, 16, 1, 1), inputs=(0,), output=2),
        Layer("product", "matmul", (8, 16, 1), (16, 16, 1), (16, 8, 1, 1), inputs=(3, 2), output=4),
    ]
    tensors = [Tensor((16, 8, 1)), Tensor((16, 8, 1)), Tensor((16, 8, 1)), Tensor((8, 16, 1), source=1)]
    tensors.append(Tensor((16, 16, 1)))
    trace = with_random_maps(Trace("product", layers, tensors), np.random.default_rng(2), empty_maps=0.5)
    precision = {"ifm": "16 bit", "kernel": "4 bit", "ofm": "16 bit", "psum": "32 bit"}
    accelerator = small_accelerator(**{"dram.burst": "1 B"}, buffers=LARGE, precision=precision)
    dense, pruned = (simulator.simulate(trace, accelerator, pruning=pruning) for pruning in (None, "dynamic"))
    assert bytes_of(dense, "product", "kernel") == 2 * 16 * 8  # an activation: 16 bit, not 4
    assert bytes_of(pruned, "product", "kernel") == bytes_of(pruned, "b", "ofm")  # nothing is read that was not written


def test_psums_are_read_back_for_every_further_tile_of_channels() -> None:
    trace = chain(conv_layer("conv", (64, 8, 8), 4, (1, 1)))
    report = simulator.simulate(trace, small_accelerator())
    writes, reads = (bytes_of(report, "conv", "psum", "buffer", direction) for direction in ("write", "read"))
    outputs = 4 * 4 * 64
    assert writes > outputs
    assert reads == writes - outputs


def test_concatenating_a_map_with_itself_is_a_copy() -> None:
    layers = [
        Layer("a", "conv", (4, 8, 8), (8, 8, 8), (8, 4, 1, 1), inputs=(0,), output=1),
        Layer("twice", "concat", (8, 8, 8), (16, 8, 8), inputs=(1, 1), output=2),
    ]
    trace = Trace("twice", layers, [Tensor((4, 8, 8)), Tensor((8, 8, 8)), Tensor((16, 8, 8), parts=(1, 1))])
    assert simulator.simulate(trace, small_accelerator()).layers.set_index("layer").loc["twice", "dram_bytes"] > 0


def test_compressed_tiles_lose_at_least_their_empty_maps() -> None:
    trace = with_random_maps(
        chain(conv_layer("a", (8, 16, 16), 8, (1, 1)), conv_layer("b", (8, 16, 16), 8, (1, 1))),
        np.random.default_rng(0),
        empty_maps=0.7,
    )
    compression = {"feature_map": "bitmap", "kernel": "raw"}
    results = {}
    for granularity in ({"granularity": "feature_map"}, {"granularity": "tile", "tile": [8, 8]}):
        accelerator = small_accelerator(buffers=LARGE, compression=compression, pruning=granularity)
        results[granularity["granularity"]] = simulator.simulate(trace, accelerator, pruning="dynamic")
    saved = bytes_of(results["feature_map"], "b", "ifm") - bytes_of(results["tile"], "b", "ifm")
    assert saved == 0


def test_lanes_that_run_beside_a_kept_channel_perform_their_macs() -> None:
    trace = chain(conv_layer("a", (4, 8, 8), 16, (1, 1)), conv_layer("b", (16, 8, 8), 16, (1, 1)))
    trace = with_random_maps(trace, np.random.default_rng(0), density=1.0, empty_maps=0.0)
    every_second = np.zeros((1, 16, 8, 8), np.bool_)
    every_second[:, ::2] = True
    from simulator.trace import zero_map

    packed = zero_map.pack(every_second)
    trace.arrays._arrays["map/1"] = packed  # type: ignore[attr-defined]
    trace.arrays._arrays["nonzero/1"] = zero_map.nonzeros(packed).astype(np.uint32)  # type: ignore[attr-defined]
    skipped = {}
    for lanes in ("compact", "aligned"):
        accelerator = small_accelerator(buffers=LARGE, pruning={"unrolled_channels": lanes})
        report = simulator.simulate(trace, accelerator, pruning="dynamic")
        skipped[lanes] = report.layers.set_index("layer").loc["b", "macs_skipped"]
    assert skipped == {"compact": 8 * 16 * 64, "aligned": 0}


def test_a_fused_activation_takes_energy() -> None:
    plain = chain(conv_layer("conv", (4, 8, 8), 8, (1, 1)))
    fused = dataclasses.replace(plain, layers=[dataclasses.replace(plain.layers[0], fused=("batch_norm", "relu"))])
    energy = {"mac": "1 pJ", "post_processing": "2 pJ"}
    costs = [
        simulator.simulate(trace, small_accelerator(energy=energy)).totals["energy_pj"] for trace in (plain, fused)
    ]
    assert costs[1] - costs[0] == pytest.approx(2 * 8 * 64)


@pytest.mark.parametrize("preset", ["edge-npu", "nvdla-2048", "systolic-256", "scnn"])
def test_the_plan_foresees_what_the_machine_moves(preset: str) -> None:
    """Uncompressed and dense, the planner's estimate is within 5 % of the simulated traffic of a whole network."""
    from simulator.mapping.plan import plan

    trace = simulator.network_trace("mobilenet_v2")
    plain = {"compression": {"feature_map": "raw", "kernel": "raw"}, "post_processing.fused": []}
    accelerator = simulator.load_accelerator(preset, {**plain, "fully_connected_batch": 1})
    planned = sum(layer.dram_bytes for layer in plan(trace, accelerator).layers if layer is not None)
    moved = simulator.simulate(trace, accelerator).totals["dram_bytes"]
    assert moved == pytest.approx(planned, rel=0.05)


def test_worker_processes_find_the_same(tmp_path: Path) -> None:
    trace = with_random_maps(chain(conv_layer("a", (4, 8, 8), 8, (3, 3))), np.random.default_rng(3), images=5)
    trace.save(tmp_path / "five")
    trace = load_trace(tmp_path / "five.trace.safetensors")
    seen: list[tuple[int, int]] = []
    together = simulator.simulate(trace, small_accelerator(), workers=2, progress=lambda *at: seen.append(at))
    alone = simulator.simulate(trace, small_accelerator())
    for table in ("layers", "traffic", "energy", "images", "spread"):
        pd.testing.assert_frame_equal(getattr(together, table), getattr(alone, table))
    assert seen == [(done, 5) for done in range(1, 6)]


def test_an_error_in_a_worker_is_the_same_error() -> None:
    with pytest.raises(InputError, match="no quotient of 0"):
        list(in_processes(_quotient, [4, 0], 2))
    with pytest.raises(InputError, match="a worker process ended"):
        list(in_processes(_die, [1, 2], 2))
    with pytest.raises(InputError, match="workers: found 0"):
        simulator.simulate(chain(conv_layer("a", (4, 8, 8), 8, (3, 3))), small_accelerator(), workers=0)


def _quotient(number: int) -> int:
    if not number:
        raise InputError("no quotient of 0")
    return 4 // number


def _die(number: int) -> None:
    os._exit(number)


@pytest.mark.parametrize("handling", ["gate", "skip"])
@pytest.mark.parametrize(
    "layer",
    [
        conv_layer("padded", (5, 9, 9), 6, (3, 3), padding=1),
        conv_layer("strided", (4, 11, 9), 6, (3, 3), stride=2, padding=1),
        conv_layer("depthwise", (6, 9, 9), 6, (3, 3), padding=1, groups=6),
    ],
    ids=lambda layer: layer.name,
)
def test_shapes_cost_what_maps_without_zeros_do(layer: Layer, handling: str) -> None:
    """Kernels have no zeros; padding counts as zero in both."""
    shapes = chain(layer)
    full = with_random_maps(shapes, np.random.default_rng(0), images=2, density=1.0, empty_maps=0.0, kernel_density=1.0)
    array = {"rows": 2, "columns": 3, "dataflow": "spatial", "unroll": {"rows": ["K"], "columns": ["C"]}}
    accelerator = small_accelerator(array=array | {"zeros": {"ifm": handling, "kernel": "none"}})
    found = [simulator.simulate(trace, accelerator, batch=2).totals for trace in (shapes, full)]
    assert found[0] == found[1]
    assert found[0]["macs_effectual"] < found[0]["macs_dense"]
