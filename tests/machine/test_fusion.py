"""Layers that are done to an OFM on its way out: what moves, what it costs, and which layers may join."""

import numpy as np
import pytest
from builders import chain, small_accelerator, with_random_maps
from random_networks import random_network

import simulator
from simulator.errors import InputError
from simulator.mapping.fusion import fused_stages
from simulator.report.report import Report
from simulator.trace.records import Layer, Tensor
from simulator.trace.shapes import conv_layer
from simulator.trace.trace import Trace

ALL = ["activation", "pooling", "add", "multiply"]
SMALL = {"dram.burst": "1 B"}


def fusing(*operators: str, **overrides: object) -> simulator.Accelerator:
    return small_accelerator(**{**SMALL, "post_processing.fused": list(operators) or ALL, **overrides})


def moved(report: Report, layer: str, operand: str, direction: str = "read", level: str = "dram") -> int:
    rows = report.traffic.query(
        "layer == @layer and operand == @operand and level == @level and direction == @direction"
    )
    return int(rows["bytes"].sum())


def residual(*, extra_reader: bool = False) -> Trace:
    """A stem, two branches of one convolution each, their sum, and a pooling of it."""
    conv = [
        Layer("stem", "conv", (4, 8, 8), (8, 8, 8), (8, 4, 1, 1), inputs=(0,), output=1),
        Layer("left", "conv", (8, 8, 8), (8, 8, 8), (8, 8, 1, 1), inputs=(1,), output=2),
        Layer("right", "conv", (8, 8, 8), (8, 8, 8), (8, 8, 3, 3), padding=(1, 1, 1, 1), inputs=(1,), output=3),
        Layer("sum", "add", (8, 8, 8), (8, 8, 8), inputs=(2, 3), output=4, fused=("relu",)),
        Layer("pool", "max_pool", (8, 8, 8), (8, 4, 4), stride=(2, 2), window=(2, 2), inputs=(4,), output=5),
    ]
    tensors = [Tensor((4, 8, 8)), *(Tensor((8, 8, 8)) for _ in range(4)), Tensor((8, 4, 4))]
    if extra_reader:
        conv.append(Layer("other", "conv", (8, 8, 8), (2, 8, 8), (2, 8, 1, 1), inputs=(3,), output=6))
        tensors.append(Tensor((2, 8, 8)))
    return Trace("residual", conv, tensors)


def test_the_later_branch_takes_the_add_and_what_follows_it() -> None:
    stages = fused_stages(residual(), fusing())
    assert {host: [stage.layer for stage in behind] for host, behind in stages.items()} == {2: [3, 4]}


def test_a_map_that_another_layer_reads_is_stored() -> None:
    stages = fused_stages(residual(extra_reader=True), fusing())
    assert stages == {}, "left comes before right, so it cannot wait for the sum; right is read by another layer"


def test_only_listed_operators_join() -> None:
    assert [stage.layer for stage in fused_stages(residual(), fusing("add"))[2]] == [3]
    assert fused_stages(residual(), fusing("pooling")) == {}
    with pytest.raises(InputError, match=r"post_processing\.fused"):
        small_accelerator(**{"post_processing.fused": ["softmax"]})


def test_the_traffic_of_fused_layers_is_the_ends_and_the_other_operand() -> None:
    trace = residual()
    apart, together = (simulator.simulate(trace, a) for a in (small_accelerator(**SMALL), fusing()))
    full, pooled = 2 * 8 * 64, 2 * 8 * 16
    assert moved(together, "right", "ofm", "write") == pooled
    assert moved(together, "right", "ifm") == moved(apart, "right", "ifm") + full
    assert moved(together, "right", "kernel") == moved(apart, "right", "kernel")
    rows = together.layers.set_index("layer")
    for name in ("sum", "pool"):
        assert together.traffic[together.traffic["layer"] == name]["bytes"].sum() == 0
        assert (rows.loc[name, "fused_into"], rows.loc[name, "cycles"], rows.loc[name, "energy_pj"]) == ("right", 0, 0)
    saved = apart.totals["dram_bytes"] - together.totals["dram_bytes"]
    assert saved == 2 * full + 2 * full, "right's OFM and the sum, each stored and loaded once"


def test_global_average_pooling_stores_one_value_per_channel() -> None:
    pool = Layer("mean", "global_average_pool", (8, 6, 6), (8, 1, 1), stride=(6, 6), window=(6, 6))
    report = simulator.simulate(chain(conv_layer("conv", (4, 8, 8), 8, (3, 3)), pool), fusing())
    assert moved(report, "conv", "ofm", "write") == 2 * 8


def test_a_fused_operator_keeps_the_lanes_busy_and_takes_energy() -> None:
    trace = residual()
    array = {"rows": 8, "columns": 8, "dataflow": "spatial", "unroll": {"rows": ["K"], "columns": ["C"]}}
    fast_memory = {"array": array, "dram.bandwidth": "1000 GB/s", "dram.row_miss": "0 ps"}
    cycles = [
        simulator.simulate(trace, fusing(**fast_memory, **{"post_processing.lanes": lanes})).layers.set_index("layer")
        for lanes in (64, 1)
    ]
    reads = 2 * 8 * 64 + 8 * 64  # the sum reads two maps, the pooling one; the array takes 9 * 64 cycles
    fast, slow = (int(rows.loc["right", "cycles"]) for rows in cycles)
    assert fast < 9 * 64 + 64 < reads <= slow < reads + 64, (fast, slow)
    energy = {"mac": "0 pJ", "post_processing": "1 pJ"}
    apart = simulator.simulate(trace, small_accelerator(**SMALL, energy=energy)).energy_by_component()
    together = simulator.simulate(trace, fusing(energy=energy)).energy_by_component()
    assert together["post_processing"] == apart["post_processing"]


def test_the_fused_ofm_carries_the_flags() -> None:
    trace = with_random_maps(residual(), np.random.default_rng(3), empty_maps=0.5)
    pruned = simulator.simulate(trace, fusing("add"), pruning="dynamic")
    empty = {tensor: int((trace.nonzeros_per_channel(tensor, 0) == 0).sum()) for tensor in (2, 4)}
    assert all(empty.values())
    assert moved(pruned, "right", "ofm", "write") == 2 * (8 - empty[4]) * 64
    plain = simulator.simulate(trace, fusing("add"))
    flagged_of_left = empty[2] * 2 * 64
    flagged_of_stem = moved(plain, "left", "ifm") - moved(pruned, "left", "ifm")
    assert moved(plain, "right", "ifm") - moved(pruned, "right", "ifm") >= flagged_of_left
    assert flagged_of_stem >= 0
    assert moved(pruned, "right", "metadata", "write") == 1


@pytest.mark.parametrize("seed", range(12))
def test_bytes_of_random_networks_are_conserved(seed: int) -> None:
    trace = random_network(seed)
    apart, together = (simulator.simulate(trace, a, batch=2) for a in (small_accelerator(**SMALL), fusing()))
    stages = fused_stages(trace, fusing())
    fused = {stage.layer for behind in stages.values() for stage in behind}
    for index, layer in enumerate(trace.layers):
        if index in fused:
            continue
        behind = stages.get(index, ())
        stored = trace.layers[behind[-1].layer] if behind else layer
        others = [tensor for stage in behind for tensor in stage.others(trace.layers[stage.layer])]
        extra = sum(2 * 2 * trace.tensors[tensor].elements for tensor in others)
        assert moved(together, layer.name, "ifm") == moved(apart, layer.name, "ifm") + extra, layer
        assert moved(together, layer.name, "kernel") == moved(apart, layer.name, "kernel"), layer
        if moved(apart, layer.name, "ofm", "write") or behind:
            assert moved(together, layer.name, "ofm", "write") == 2 * 2 * stored.ofm_elements, (layer, stored)
    rows = together.layers
    parts = rows[[f"stall_{name}_cycles" for name in ("ifm", "kernel", "ofm", "psum", "drain")]].sum(axis=1)
    assert (rows["stall_cycles"] == rows["buffer_stall_cycles"] + parts).all()
    assert together.layers.equals(simulator.simulate(trace, fusing(), batch=2).layers)


def test_random_networks_fuse_something() -> None:
    found = {seed: len(fused_stages(random_network(seed), fusing())) for seed in range(12)}
    assert sum(map(bool, found.values())) > 6, found


def test_operators_that_pass_several_times_take_as_many_cycles() -> None:
    layers = [
        Layer("softmax", "softmax", (8, 16, 1), (8, 16, 1), inputs=(0,), output=1),
        Layer("act", "activation", (8, 16, 1), (8, 16, 1), inputs=(1,), output=2, fused=("gelu",)),
    ]
    trace = Trace("vector", layers, [Tensor((8, 16, 1)) for _ in range(3)])
    passes = {"softmax": 5, "gelu": 3}
    accelerator = small_accelerator(**{"post_processing.operations": passes, "post_processing.lanes": 4})
    once = simulator.simulate(trace, small_accelerator(**{"post_processing.lanes": 4})).layers
    often = simulator.simulate(trace, accelerator).layers
    assert once["compute_cycles"].tolist() == [32, 32]
    assert often["compute_cycles"].tolist() == [160, 96]
    assert often["dram_bytes"].tolist() == once["dram_bytes"].tolist()


def test_a_product_of_two_activations_takes_what_follows_it() -> None:
    layers = [
        Layer("q", "linear", (8, 6, 1), (8, 6, 1), (8, 8, 1, 1), inputs=(0,), output=2),
        Layer("k", "linear", (8, 6, 1), (8, 6, 1), (8, 8, 1, 1), inputs=(0,), output=3),
        Layer("qk", "matmul", (8, 6, 1), (12, 6, 1), (12, 4, 1, 1), groups=2, inputs=(2, 4), output=5),
        Layer("mask", "add", (12, 6, 1), (12, 6, 1), inputs=(5, 1), output=6),
    ]
    shapes = [(8, 6, 1), (12, 6, 1), (8, 6, 1), (8, 6, 1)]
    tensors = [*map(Tensor, shapes), Tensor((12, 4, 1), source=3), Tensor((12, 6, 1)), Tensor((12, 6, 1))]
    trace = Trace("masked", layers, tensors)
    apart, together = (simulator.simulate(trace, a, batch=3) for a in (small_accelerator(**SMALL), fusing()))
    mask = 3 * 2 * 12 * 6
    assert together.layers["fused_into"].tolist() == ["", "", "", "qk"]
    assert moved(together, "qk", "ofm", "write") == mask
    assert moved(together, "qk", "ifm") == moved(apart, "qk", "ifm") + mask
    assert moved(together, "qk", "kernel") == moved(apart, "qk", "kernel")


@pytest.mark.parametrize("operand", [(8, 1, 1), (1, 8, 8), (8, 8, 1)])
def test_an_operand_that_is_spread_over_the_ofm_is_read_once(operand: tuple[int, int, int]) -> None:
    layers = [
        Layer("conv", "conv", (4, 8, 8), (8, 8, 8), (8, 4, 3, 3), padding=(1, 1, 1, 1), inputs=(0,), output=2),
        Layer("scale", "multiply", (8, 8, 8), (8, 8, 8), inputs=(2, 1), output=3),
    ]
    trace = Trace("scaled", layers, [Tensor((4, 8, 8)), Tensor(operand), Tensor((8, 8, 8)), Tensor((8, 8, 8))])
    roomy = {"buffers": {name: {"capacity": "64 KiB"} for name in ("ifm", "kernel", "ofm")}}
    apart = simulator.simulate(trace, small_accelerator(**SMALL, **roomy))
    together = simulator.simulate(trace, fusing(**roomy))
    read = moved(together, "conv", "ifm") - moved(apart, "conv", "ifm")
    assert read == 2 * operand[0] * operand[1] * operand[2]
