"""Blocks of outputs: quantisation against a count of blocks, depthwise layers, Winograd; and what runs apart."""

import math
from dataclasses import replace

import numpy as np
import pytest
import yaml

import simulator
from simulator.errors import InputError
from simulator.hardware.load import load_accelerator
from simulator.mapping.dataflow import dataflow_of
from simulator.mapping.dataflow.base import TileSizes
from simulator.mapping.loop_nest import loop_nest
from simulator.trace.records import Layer
from simulator.trace.shapes import conv_layer, trace_from_layers
from simulator.trace.trace import network_trace
from simulator.trace.unfold import folded_names, unfolded


def tile(
    g: int = 1, k: int = 1, c: int = 1, n: int = 1, p: int = 1, q: int = 1, r: int = 1, winograd: bool = False
) -> TileSizes:
    sizes = {name: np.asarray([value]) for name, value in (("g", g), ("k", k), ("c", c), ("n", n), ("p", p), ("q", q))}
    zero = np.asarray([0])
    return TileSizes(**sizes, r=r, s=r, ifm_elements=zero, ifm_rows=zero, ofm_elements=zero, winograd=winograd)


def cycles(sizes: TileSizes, **changes: object) -> int:
    return int(
        dataflow_of(load_accelerator("nvidia-p100", {f"array.{key}": value for key, value in changes.items()})).cycles(
            sizes
        )[0]
    )


@pytest.mark.parametrize(("k", "positions"), [(1, 1), (32, 128), (33, 129), (64, 7168), (65, 7169), (200, 3136)])
def test_a_tile_takes_whole_blocks_in_whole_waves(k: int, positions: int) -> None:
    """The fastest of the preset's three sizes, counted one block after the other."""
    reduction, times = 64, []
    for outputs, height in ((128, 128), (64, 128), (32, 128)):
        blocks = sum(1 for _ in range(0, k, outputs) for _ in range(0, positions, height))
        times.append(math.ceil(blocks / 56) * outputs * height * reduction / 64)
    assert cycles(tile(k=k, c=reduction, q=positions), efficiency=1.0) == min(times)


def test_an_idle_core_costs_a_wave() -> None:
    full, one_more = (cycles(tile(k=128, c=64, q=128 * blocks)) for blocks in (56, 57))
    assert one_more > 1.2 * full


def test_efficiency_stretches_time_and_depthwise_has_its_own() -> None:
    dense, depthwise = tile(k=64, c=64, q=7168), tile(g=64, q=7168, r=3)
    assert cycles(dense, efficiency=0.5) == 2 * cycles(dense, efficiency=1.0)
    assert cycles(depthwise, depthwise_efficiency=0.1) == pytest.approx(
        10 * cycles(depthwise, depthwise_efficiency=1.0), abs=1
    )
    assert cycles(depthwise, depthwise_efficiency=1.0) == 64 * 7168 * 9 / (64 * 56)


def test_winograd_saves_products() -> None:
    direct, blocked = (cycles(tile(k=128, c=64, p=64, q=448, r=3, winograd=winograd)) for winograd in (False, True))
    assert direct / blocked == pytest.approx(36 / 16, rel=0.01)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"array.blocks": []}, "'blocks' belongs to dataflow: output_blocks"),
        ({"array.efficiency": 1.5}, "efficiency"),
        ({"array.timing": "strict", "array.count": 1}, "timing: strict belongs to the systolic dataflows"),
    ],
)
def test_impossible_arrays_are_refused(changes: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        load_accelerator("nvidia-p100", changes)
    with pytest.raises(InputError, match="efficiency belongs to dataflow: output_blocks"):
        load_accelerator("systolic-256", {"array.efficiency": 0.5})


def test_what_was_folded_runs_apart() -> None:
    trace = simulator.network_trace("tinynet")
    apart = unfolded(trace)
    assert sum(layer.macs for layer in apart.layers) == sum(layer.macs for layer in trace.layers)
    first = next(layer for layer in trace.layers if layer.fused)
    behind = apart.layers[apart.layer_index(first.name) + 1]
    assert behind.name == f"{first.name}/{first.fused[0]}"
    assert behind.inputs == (apart.layer(first.name).output,)
    assert folded_names("a", ["relu", "scale", "relu"]) == ["a/relu", "a/scale", "a/relu#2"]
    assert unfolded(apart) is apart or [layer.name for layer in unfolded(apart).layers] == [
        layer.name for layer in apart.layers
    ]


def test_recorded_zeros_are_those_of_the_folded_trace() -> None:
    trace = simulator.load_trace("tinynet")
    apart = unfolded(trace)
    for layer in trace.layers:
        last = next(each.name for each in apart.layers if each.output == layer.output)
        np.testing.assert_array_equal(apart.zeros(last, 0, "ofm"), trace.zeros(layer.name, 0, "ofm"))
        if layer.kernel is not None:
            np.testing.assert_array_equal(apart.zeros(layer.name, 0, "kernel"), trace.zeros(layer.name, 0, "kernel"))
    report = simulator.simulate(trace, "cpu-avx512", images=[0])
    assert len(report.layers) == len(apart.layers)


def test_launches_and_rearranging_come_before_the_work() -> None:
    trace = trace_from_layers("x", [conv_layer("conv", (16, 8, 8), 32, (3, 3), padding=1)])
    changes: dict[str, object] = {"layer_overhead": "10 us", "rearranging.bandwidth": "1 GB/s"}
    layer = simulator.simulate(trace, "cpu-avx512", overrides=changes, batch=2).layers.iloc[0]
    moved = 4 * (32 * 16 * 9 + 2 * (16 + 32) * 64)
    assert layer["overhead_cycles"] == pytest.approx((10e3 + moved) * 2.5, abs=1)


@pytest.mark.parametrize(
    ("kernel", "stride", "batch", "moved"),
    [
        ((1, 1), 1, 2, 32 * 16 + 2 * 16 * 64),  # a matrix product: results stay
        ((1, 1), 2, 2, 32 * 16 + 2 * (16 * 64 + 32 * 16)),
    ],
)
def test_results_of_matrix_products_are_not_rearranged(
    kernel: tuple[int, int], stride: int, batch: int, moved: int
) -> None:
    trace = trace_from_layers("x", [conv_layer("conv", (16, 8, 8), 32, kernel, stride=stride)])
    changes: dict[str, object] = {"layer_overhead": "10 us", "rearranging.bandwidth": "1 GB/s"}
    layer = simulator.simulate(trace, "cpu-avx512", overrides=changes, batch=batch).layers.iloc[0]
    assert layer["overhead_cycles"] == pytest.approx((10e3 + 4 * moved) * 2.5, abs=1)


def test_presets_state_what_libraries_do() -> None:
    for name in ("nvidia-p100", "nvidia-h200", "cpu-avx512"):
        settings = yaml.safe_load((simulator.resources.shipped_folder("hwconfigs") / f"{name}.yaml").read_text())
        assert settings["post_processing"]["apart"] is True
        assert settings["array"]["dataflow"] == "output_blocks"


def test_buffers_of_a_width_feed_blocks_in_the_order_in_which_they_lie() -> None:
    """A port of a byte a cycle: what the array reads of the IFM takes no less; wide ports cost nothing."""
    trace = trace_from_layers("one", [conv_layer("c", (64, 16, 16), 64, (3, 3), padding=1)])
    narrow, wide = (
        simulator.simulate(trace, "nvidia-p100", overrides={"buffers.ifm.width": width, "buffers.ifm.banks": banks})
        for width, banks in (("8 bit", 1), ("1024 bit", 1024))
    )
    free = simulator.simulate(trace, "nvidia-p100")
    read = narrow.traffic.query("operand == 'ifm' and level == 'buffer' and direction == 'read'")["bytes"].sum()
    spent = narrow.totals["compute_cycles"] + narrow.totals["buffer_stall_cycles"]
    assert spent >= read > free.totals["compute_cycles"]
    assert wide.totals["cycles"] == free.totals["cycles"]


def overhead_us(layer: Layer, batch: int = 1, **changes: object) -> float:
    """Microseconds before the work of a layer, on a core at 2.5 GHz with launches of 10 µs."""
    settings = {"layer_overhead": "10 us", **{key.replace("__", "."): value for key, value in changes.items()}}
    report = simulator.simulate(trace_from_layers("x", [layer]), "cpu-avx512", overrides=settings, batch=batch)
    return float(report.layers["overhead_cycles"].iloc[0]) / 2500


def test_rearranging_takes_launches_of_its_own() -> None:
    layer = conv_layer("conv", (16, 8, 8), 32, (3, 3), padding=1)
    one, three = (overhead_us(layer, rearranging__overhead=f"{time} us") for time in (0, 3))
    assert three == pytest.approx(one + 3)


@pytest.mark.parametrize(("side", "in_place"), [(8, True), (7, False), (4, True), (6, True), (5, False)])
def test_products_whose_planes_fill_vectors_are_taken_as_they_lie(side: int, in_place: bool) -> None:
    """FP32, vectors of 16 bytes: planes of whole multiples of four positions."""
    layer = conv_layer("conv", (16, side, side), 32, (1, 1))
    moved = 0 if in_place else 4 * (32 * 16 + 2 * (16 + 32) * side * side)
    found = overhead_us(layer, 2, rearranging__bandwidth="1 GB/s", rearranging__vector="16 B")
    assert found == pytest.approx(10 + moved / 1000, abs=0.001)


def test_depthwise_layers_may_have_kernels_that_need_no_rearranging() -> None:
    layer = conv_layer("conv", (16, 8, 8), 16, (3, 3), padding=1, groups=16)
    assert overhead_us(layer, rearranging__depthwise=False) == pytest.approx(10, abs=0.001)
    assert overhead_us(layer, rearranging__depthwise=True) > 10.001


def test_an_operator_may_be_several_kernels() -> None:
    trace = network_trace("cifar_resnet20")
    changes = {"post_processing.overhead": "2 us", "post_processing.launches": {"batch_norm": 3}}
    layers = simulator.simulate(trace, "cpu-avx512", overrides=changes).layers
    for operator, launches in (("batch_norm", 3), ("activation", 1)):
        cycles = layers.loc[layers["operator"] == operator, "overhead_cycles"]
        assert len(cycles)
        assert (cycles == launches * 2 * 2500).all()


@pytest.mark.parametrize(("side", "blocks"), [(4, 1), (16, 1), (20, 2)])
def test_planes_take_whole_blocks_of_an_operator(side: int, blocks: int) -> None:
    """Planes of 16, 256 and 400 elements, blocks of 256, one lane: 256 cycles for each block of 8 channels."""
    layer = replace(conv_layer("conv", (8, side, side), 8, (1, 1)), fused=("batch_norm",))
    changes: dict[str, object] = {
        "post_processing.lanes": 1,
        "post_processing.efficiency": 1,
        "post_processing.blocks": {"batch_norm": 256},
    }
    report = simulator.simulate(trace_from_layers("x", [layer]), "cpu-avx512", overrides=changes)
    norm = report.layers[report.layers["operator"] == "batch_norm"].iloc[0]
    assert norm["compute_cycles"] == pytest.approx(8 * 256 * blocks, abs=float(norm["tiles"]))


def layer_cycles(layer: Layer, sizes: TileSizes, batch: int = 1, **changes: object) -> int:
    """Cycles of a tile of the layer on the P100's cores."""
    settings = {key.replace("__", "."): value for key, value in changes.items()}
    nest = loop_nest(trace_from_layers("x", [layer]), layer, batch)
    return int(dataflow_of(load_accelerator("nvidia-p100", settings), nest).cycles(sizes)[0])


@pytest.mark.parametrize(
    ("channels", "bits", "share"), [(64, 16, 1), (62, 16, 1 / 4), (31, 16, 1 / 8), (62, 32, 1 / 2), (3, 32, 1 / 4)]
)
def test_channels_that_do_not_fill_vectors_are_loaded_in_smaller_pieces(channels: int, bits: int, share: float) -> None:
    precision = {f"precision__{operand}": f"{bits} bit" for operand in ("ifm", "kernel", "ofm")}
    layer, sizes = conv_layer("conv", (channels, 32, 32), 64, (3, 3), padding=1), tile(k=64, c=16, p=32, q=32, r=3)
    full, loaded = (layer_cycles(layer, sizes, **precision, **changes) for changes in ({}, {"array__vector": "16 B"}))
    assert full == pytest.approx(share * loaded, abs=1)


def test_products_of_a_vector_have_blocks_of_their_own() -> None:
    blocks = [{"outputs": 128, "positions": 128}, {"outputs": 16, "positions": 1, "most_positions": 1}]
    layer = conv_layer("conv", (512, 1, 1), 1024, (1, 1))
    alone, pair = (layer_cycles(layer, tile(k=1024, c=512, n=n), n, array__blocks=blocks) for n in (1, 2))
    assert alone == math.ceil(math.ceil(64 / 56) * 16 * 512 / 64 / 0.85)
    assert pair == math.ceil(128 * 128 * 512 / 64 / 0.85)


def test_a_library_needs_blocks_for_layers_of_any_size() -> None:
    with pytest.raises(InputError, match="expected a size without most_positions"):
        load_accelerator("nvidia-p100", {"array.blocks": [{"outputs": 16, "positions": 1, "most_positions": 1}]})


def test_a_bias_may_take_a_kernel_of_its_own() -> None:
    """Of convolutions without a batch norm behind them: a launch, and reading and writing the OFM."""
    convolution = conv_layer("conv", (16, 8, 8), 32, (3, 3), padding=1)
    changes = {"post_processing__overhead": "2 us", "dram__bandwidth": "1 GB/s"}
    for fused, added in ((("relu",), 2 + 2 * 4 * 32 * 64 / 1000), (("batch_norm", "relu"), 0)):
        layer = replace(convolution, fused=fused)
        free, paid = (overhead_us(layer, post_processing__bias=bias, **changes) for bias in ("free", "pass"))
        assert paid - free == pytest.approx(added, abs=0.002)
