"""Encoders and decoders at work: how fast they are, what they take; kernels under every codec of zeros."""

from typing import Any

import numpy as np
import pytest
from builders import chain, small_accelerator, with_random_maps

from simulator.api import simulate
from simulator.compression import codec_names, codec_of, compressed_bits
from simulator.machine.batch import Batch
from simulator.machine.kernels import kernel_requests
from simulator.mapping.loop_nest import loop_nest
from simulator.mapping.schedule import LayerSchedule, Tiling, changes
from simulator.report.report import Report
from simulator.trace.shapes import conv_layer
from simulator.trace.trace import Trace

FAST = {"dram__bandwidth": "1000 GB/s", "dram__row_miss": "0 ps"}


def network() -> Trace:
    shapes = chain(
        conv_layer("a", (3, 16, 16), 8, (3, 3), padding=1),
        conv_layer("b", (8, 16, 16), 8, (3, 3), padding=1),
    )
    return with_random_maps(shapes, np.random.default_rng(4), density=0.3, kernel_density=0.4)


def run(feature_map: object, kernel: object = "raw", **more: Any) -> Report:
    return simulate(network(), small_accelerator(compression={"feature_map": feature_map, "kernel": kernel}, **more))


@pytest.mark.parametrize("prefetch", [1, 3])
def test_a_slow_decoder_is_as_long_as_its_elements(prefetch: int) -> None:
    """DRAM and array take next to no time: the layer lasts as long as its decoder, and the array waits for the IFM."""
    rate = 0.01
    more = {**FAST, "dma": {"prefetch": prefetch}}
    fast, slow = (run({"codec": "bitmap", **how}, **more) for how in ({}, {"decoder_rate": rate}))
    layer = slow.layers.set_index("layer").loc["b"]
    loaded = slow.traffic[(slow.traffic["level"] == "buffer") & (slow.traffic["direction"] == "write")]
    decoded = loaded.set_index(["layer", "operand"])["bytes"]["b", "ifm"] / 2
    assert layer["cycles"] >= decoded / rate
    assert layer["cycles"] == pytest.approx(decoded / rate, rel=0.1)
    assert layer["stall_ifm_cycles"] == pytest.approx(layer["cycles"] - layer["compute_cycles"], rel=0.1)
    assert slow.totals["dram_bytes"] == fast.totals["dram_bytes"]
    assert slow.totals["compute_cycles"] == fast.totals["compute_cycles"]
    # The network's input is raw, so nothing is decoded in the first layer.
    assert slow.layers["cycles"][0] == fast.layers["cycles"][0]


def test_a_decoder_as_fast_as_dram_costs_nothing() -> None:
    """Decoding overlaps with the transfer: 1 GB/s brings 0.5 elements a cycle."""
    slow_dram = {"dram__bandwidth": "1 GB/s", "dram__row_miss": "0 ps", "dram__burst": "2 B"}
    plain = run({"codec": "n_m"}, **slow_dram)
    decoding = run({"codec": "n_m", "decoder_rate": 4}, **slow_dram)
    assert decoding.totals["cycles"] == plain.totals["cycles"]


def test_a_slow_encoder_holds_up_stores() -> None:
    fast, slow = (run({"codec": "bitmap", **how}, **FAST) for how in ({}, {"encoder_rate": 0.02}))
    for layer in (0, 1):
        assert slow.layers["cycles"][layer] >= 8 * 16 * 16 / 0.02
    assert slow.totals["cycles"] > 2 * fast.totals["cycles"]


def test_a_slow_kernel_decoder_makes_the_array_wait_for_kernels() -> None:
    fast, slow = (run("raw", {"codec": "csc", **how}, **FAST) for how in ({}, {"decoder_rate": 0.01}))
    assert slow.layers["stall_kernel_cycles"].sum() > 8 * 8 * 9 / 0.02
    assert slow.totals["dram_bytes"] == fast.totals["dram_bytes"]


def test_energy_is_elements_times_the_file() -> None:
    """Layer a encodes its OFM; layer b decodes it, once for each load; both decode their kernels."""
    feature_map = {"codec": "bitmap", "encode_energy": "2 pJ", "decode_energy": "3 pJ"}
    report = run(feature_map, {"codec": "csc", "decode_energy": "5 pJ"})
    energy = report.energy[report.energy["component"] == "codec"].set_index("layer")["energy_pj"]
    moved = report.traffic[(report.traffic["level"] == "buffer") & (report.traffic["direction"] == "write")]
    elements = moved.set_index(["layer", "operand"])["bytes"] / 2
    outputs = 8 * 16 * 16
    # No tile of this network takes part of a row, so what is decoded is what is loaded.
    assert energy["a"] == 2 * outputs + 5 * elements["a", "kernel"]
    assert energy["b"] == 2 * outputs + 3 * elements["b", "ifm"] + 5 * elements["b", "kernel"]
    assert report.totals["energy_pj"] == pytest.approx(report.energy["energy_pj"].sum())
    assert run("raw").energy_by_component()["codec"] == 0


@pytest.mark.parametrize("codec", [name for name in codec_names() if name != "raw" and not codec_of(name).needs_values])
@pytest.mark.parametrize("groups", [1, 2])
def test_each_kernel_tile_is_coded_on_its_own(codec: str, groups: int) -> None:
    """Tile by tile against the map cut by hand: a tile is as long as its code, or raw where that is not longer."""
    layer = conv_layer("a", (10, 8, 8), 14, (3, 2), groups=groups)
    trace = with_random_maps(chain(layer), np.random.default_rng(1), kernel_density=0.3)
    nest = loop_nest(trace, trace.layers[0], 1)
    k, c = (3, 4) if groups == 1 else (nest.k, nest.c)
    schedule = LayerSchedule(nest, Tiling(g=1, k=k, c=c, n=1, p=nest.p, q=nest.q, m=k, order="SKC"), 0)
    accelerator = small_accelerator(compression={"feature_map": "raw", "kernel": codec})
    kernel = Batch(trace, accelerator, [0], 1, pruned=False).kernel(0)
    assert kernel is not None
    steps = schedule.steps
    tiles, _ = kernel_requests(schedule, accelerator, kernel, None, changes(steps.g, steps.k, steps.c))
    by_group = kernel.reshape(groups, nest.k, nest.c, 3, 2)
    expected = []
    for g in range(groups):
        for first_k in range(0, nest.k, k):
            for first_c in range(0, nest.c, c):
                tile = by_group[g, first_k : first_k + k, first_c : first_c + c]
                order = (0, 2, 3, 1) if codec == "n_m" else (1, 0, 2, 3)
                bits = compressed_bits(codec, tile.transpose(order), 16)
                expected.append(-(-min(bits, tile.size * 16) // 8))
    if codec != "entropy":  # its bound is shared by tiles of a size
        assert tiles.runs.length.tolist() == expected
    assert (tiles.runs.start % accelerator.dram.burst == 0).all()
    assert (np.diff(tiles.runs.start) >= tiles.runs.length[:-1]).all()


def test_two_of_four_kernels_take_half_and_an_index() -> None:
    layer = conv_layer("a", (64, 8, 8), 64, (1, 1))
    trace = with_random_maps(chain(layer), np.random.default_rng(1), kernel_density=1.0)
    kernel = np.tile([True, False, True, False], (64, 16))
    trace.arrays.read_all("kernel/0")[:] = np.packbits(kernel, axis=-1)
    moved = {}
    for codec in ("raw", "n_m"):
        accelerator = small_accelerator(compression={"feature_map": "raw", "kernel": codec}, dram__burst="2 B")
        totals = simulate(trace, accelerator).totals
        moved[codec] = totals["kernel_bytes"], totals["metadata_bytes"]
    assert moved["n_m"] == (moved["raw"][0] / 2, moved["raw"][0] / 16)
