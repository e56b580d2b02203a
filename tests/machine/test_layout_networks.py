"""Whole networks in every layout: bytes are conserved, concatenations find their place, losses are reported."""

import dataclasses
import itertools
from typing import Any

import numpy as np
import pytest
from builders import chain, small_accelerator, with_random_maps
from hypothesis import given
from hypothesis import strategies as st
from machine.test_brute_force import RELAXED, Loops, layers_with_maps, moved, prepare
from machine.test_simulate import LARGE, bytes_of, flatten_network, residual_network

import simulator
from simulator.errors import InputError
from simulator.hardware.layout import LAYOUT_NAMES
from simulator.machine.batch import Batch
from simulator.machine.feature_map import Boxes, stored_tiles
from simulator.machine.simulate import run
from simulator.mapping.memory import Place, in_place_concatenations, places
from simulator.mapping.plan import plan
from simulator.mapping.schedule import LayerSchedule, Tiling
from simulator.trace import zero_map
from simulator.trace.records import Layer, Tensor
from simulator.trace.shapes import conv_layer
from simulator.trace.trace import Trace

ONE_BYTE = {"dram.burst": "1 B"}


def pattern_network(kept: np.ndarray) -> Trace:
    """Two layers with the feature maps in between flagged where `kept` is false, 16 x 16 positions."""
    trace = chain(conv_layer("a", (4, 16, 16), len(kept), (1, 1)), conv_layer("b", (len(kept), 16, 16), 16, (1, 1)))
    trace = with_random_maps(trace, np.random.default_rng(0), density=1.0, empty_maps=0.0)
    packed = zero_map.pack(np.broadcast_to(kept[:, None, None], (1, len(kept), 16, 16)))
    trace.arrays._arrays["map/1"] = packed  # type: ignore[attr-defined]
    trace.arrays._arrays["nonzero/1"] = zero_map.nonzeros(packed).astype(np.uint32)  # type: ignore[attr-defined]
    return trace


@pytest.mark.parametrize("pruned", [False, True])
@pytest.mark.parametrize("layout", LAYOUT_NAMES)
def test_with_bursts_of_a_byte_a_schedule_moves_the_same_bytes_in_every_layout(layout: str, pruned: bool) -> None:
    trace = residual_network()
    trace = dataclasses.replace(trace, layers=trace.layers[:6], tensors=trace.tensors[:7])  # a flatten takes whole rows
    schedule = plan(trace, small_accelerator(**ONE_BYTE), batch=2)
    expected, found = (
        run(trace, small_accelerator(**ONE_BYTE, layout=name), schedule, [0, 1], pruned=pruned).layers
        for name in ("NCHW", layout)
    )
    for before, after in zip(expected, found, strict=True):
        assert after.traffic == before.traffic, after.name
        assert (after.skippable_bytes, after.skipped_bytes) == (before.skippable_bytes, before.skipped_bytes)
        assert after.skippable_bytes == after.skipped_bytes


@pytest.mark.parametrize("codec", ["raw", "bitmap"])
@pytest.mark.parametrize("pruning", [None, "dynamic"])
@pytest.mark.parametrize("layout", LAYOUT_NAMES)
def test_counters_conserve_in_every_layout(layout: str, pruning: str | None, codec: str) -> None:
    accelerator = small_accelerator(layout=layout, compression={"feature_map": codec, "kernel": "raw"})
    report = simulator.simulate(residual_network(), accelerator, batch=2, pruning=pruning)
    layers = report.layers
    per_layer = report.traffic[report.traffic["level"] == "dram"].groupby("layer")["bytes"].sum()
    assert (per_layer.loc[layers["layer"]].to_numpy() == layers["dram_bytes"].to_numpy()).all()
    assert ((layers["row_hits"] + layers["row_misses"]) * accelerator.dram.burst == layers["dram_bytes"]).all()
    assert (layers["macs_performed"] + layers["macs_gated"] + layers["macs_skipped"] == layers["macs_dense"]).all()
    assert (layers["skipped_bytes"] >= 0).all()
    assert layers["skip_lost_percent"].between(0, 100).all()
    if pruning is None:
        assert not layers[["skippable_bytes", "skipped_bytes", "skip_lost_percent"]].any().any()


@pytest.mark.parametrize("layout", LAYOUT_NAMES)
@pytest.mark.parametrize("codec", ["raw", "bitmap"])
def test_a_flattened_map_is_read_as_it_was_written(codec: str, layout: str) -> None:
    accelerator = small_accelerator(
        **ONE_BYTE, buffers=LARGE, compression={"feature_map": codec, "kernel": "raw"}, layout=layout
    )
    trace = flatten_network()
    schedule = plan(trace, accelerator)
    whole = [dataclasses.replace(layer, tiling=_whole(layer.nest)) for layer in schedule.layers if layer is not None]
    conv, fc = run(trace, accelerator, dataclasses.replace(schedule, layers=whole), [0], pruned=False).layers
    written = sum(r.bytes for r in conv.traffic if (r.operand, r.level) == ("ofm", "dram"))
    read = sum(r.bytes for r in fc.traffic if (r.operand, r.level) == ("ifm", "dram"))
    assert read == written


def _whole(nest: Any) -> Any:
    return Tiling(nest.g, nest.k, nest.c, nest.n, nest.p, nest.q, nest.k, "SKC")


@pytest.mark.parametrize("codec", ["raw", "bitmap"])
def test_the_plan_takes_all_channels_where_they_lie_side_by_side(codec: str) -> None:
    """Tiles of some channels would move a burst per position, or rows of all channels where these are compressed."""
    depthwise = conv_layer("depthwise", (64, 32, 32), 64, (3, 3), padding=1, groups=64)
    trace = chain(conv_layer("before", (4, 32, 32), 64, (1, 1)), depthwise)
    settings = {"dram.bandwidth": "1 kB/s", "compression": {"feature_map": codec, "kernel": "raw"}}  # time is traffic
    buffers = {operand: {"capacity": "48 KiB"} for operand in ("ifm", "kernel", "ofm")}
    nchw, nhwc = (small_accelerator(layout=name, buffers=buffers, **settings) for name in ("NCHW", "NHWC"))
    planned, blind = (run(trace, nhwc, plan(trace, each), [], pruned=False).layers[1] for each in (nhwc, nchw))
    assert planned.dram_bytes < 0.8 * blind.dram_bytes, (planned.tiling, blind.tiling)


@pytest.mark.parametrize(
    ("preset", "layout"),
    [
        *(("edge-npu", layout) for layout in LAYOUT_NAMES),
        *((preset, layout) for preset in ("nvdla-2048", "eyeriss") for layout in ("NCHW", "NCHW16", "NHWC")),
        ("scnn", "NHWC"),
    ],
)
def test_the_plan_foresees_what_the_machine_moves_in_every_layout(preset: str, layout: str) -> None:
    trace = simulator.network_trace("mobilenet_v2")
    raw = {"compression": {"feature_map": "raw", "kernel": "raw"}, "layout": layout}
    accelerator = simulator.load_accelerator(preset, raw)
    planned = sum(layer.dram_bytes for layer in plan(trace, accelerator).layers if layer is not None)
    assert simulator.simulate(trace, accelerator).totals["dram_bytes"] == pytest.approx(planned, rel=0.1)


@pytest.mark.parametrize(("layout", "lost"), [("NCHW", 0), ("NCHW4", 100), ("NCHW16", 100), ("NHWC", 100)])
def test_every_second_channel_is_lost_where_channels_share_bursts(layout: str, lost: float) -> None:
    trace = pattern_network(np.arange(32) % 2 == 0)
    report = simulator.simulate(trace, small_accelerator(layout=layout, buffers=LARGE), pruning="dynamic")
    layers = report.layers.set_index("layer")
    for name in ("a", "b"):
        assert layers.loc[name, "skippable_bytes"] == 2 * 16 * 256
        assert layers.loc[name, "skip_lost_percent"] == lost
    assert report.totals["skip_lost_percent"] == lost


@pytest.mark.parametrize(("layout", "lost"), [("NCHW", 0), ("NCHW16", 0), ("NCHW32", 50), ("NHWC", 50)])
def test_channels_side_by_side_go_in_whole_bursts(layout: str, lost: float) -> None:
    """Half of each burst of 64 bytes (32 elements) is flagged where 32 channels or more lie side by side."""
    trace = pattern_network(np.arange(64) // 16 % 4 != 1)
    accelerator = small_accelerator(layout=layout, buffers=LARGE)
    layers = simulator.simulate(trace, accelerator, pruning="dynamic").layers.set_index("layer")
    wider = pattern_network(~np.isin(np.arange(64) // 16, (1, 2, 3)))
    three = simulator.simulate(wider, accelerator, pruning="dynamic").layers.set_index("layer")
    assert layers.loc["b", "skip_lost_percent"] == (100 if lost else 0)
    assert three.loc["b", "skip_lost_percent"] == pytest.approx(100 / 3 if lost else 0)


@pytest.mark.parametrize(("layout", "blocks"), [("NCHW", 4), ("NCHW4", 1), ("NHWC", 0)])
def test_a_compressed_block_goes_when_all_its_channels_are_flagged(layout: str, blocks: int) -> None:
    """Channels 4 to 7 of 16 are flagged; what is left of a flagged channel is an index bit per element."""
    kept = np.arange(16) // 4 != 1
    accelerator = small_accelerator(
        **ONE_BYTE, layout=layout, buffers=LARGE, compression={"feature_map": "bitmap", "kernel": "raw"}
    )
    pruned, dense = (simulator.simulate(pattern_network(kept), accelerator, pruning=p) for p in ("dynamic", None))
    there = [
        bytes_of(report, "b", "ifm") + bytes_of(report, "b", "metadata", direction="read") for report in (dense, pruned)
    ]
    flagged = 4 * 256 // 8 if blocks else 0
    layers = pruned.layers.set_index("layer")
    assert layers.loc["b", "skipped_bytes"] == flagged
    assert layers.loc["b", "skip_lost_percent"] == (0 if blocks else 100)
    assert there[0] - there[1] >= flagged - 2  # two bytes of flags


def concat_trace(channels: tuple[int, ...] = (8, 8), images: int = 1) -> Trace:
    """Producers of so many channels whose OFMs become one tensor, which a last layer reads."""
    layers, tensors = [], [Tensor((4, 6, 6))]
    for index, count in enumerate(channels):
        layers.append(
            Layer(f"part{index}", "conv", (4, 6, 6), (count, 6, 6), (count, 4, 1, 1), inputs=(0,), output=index + 1)
        )
        tensors.append(Tensor((count, 6, 6)))
    parts, whole, total = tuple(range(1, len(tensors))), len(tensors), sum(channels)
    layers.append(Layer("cat", "concat", tensors[1].shape, (total, 6, 6), inputs=parts, output=whole))
    layers.append(Layer("after", "conv", (total, 6, 6), (4, 6, 6), (4, total, 1, 1), inputs=(whole,), output=whole + 1))
    tensors += [Tensor((total, 6, 6), parts=parts), Tensor((4, 6, 6))]
    return with_random_maps(Trace("cat", layers, tensors), np.random.default_rng(0), images=images)


@pytest.mark.parametrize(
    ("layout", "codec", "channels", "free"),
    [
        ("NCHW", "bitmap", (3, 5), True),
        ("NHWC", "raw", (3, 5), True),
        ("NHWC", "bitmap", (8, 8), False),
        ("NCHW8", "raw", (3, 5), True),
        ("NCHW8", "bitmap", (3, 5), False),
        ("NCHW8", "bitmap", (8, 5), True),
        ({"default": "NCHW8", "tensors": {"part0": "NHWC"}}, "raw", (8, 8), False),
        ({"default": "NCHW8", "tensors": {"cat": "NHWC"}}, "raw", (8, 8), False),
        ({"default": "NCHW8", "input": "NHWC", "tensors": {"after": "NHWC"}}, "raw", (8, 8), True),
    ],
)
def test_concatenations_are_copies_where_the_layout_leaves_no_choice(
    layout: Any, codec: str, channels: tuple[int, ...], free: bool
) -> None:
    trace = concat_trace(channels)
    accelerator = small_accelerator(layout=layout, compression={"feature_map": codec, "kernel": "raw"})
    assert bool(in_place_concatenations(trace, accelerator)) == free
    report = simulator.simulate(trace, accelerator, pruning="dynamic").layers.set_index("layer")
    assert (report.loc["cat", "dram_bytes"] == 0) == free


@pytest.mark.parametrize("layout", ["NHWC", "NCHW4", "NCHW8", "NCHW16"])
@pytest.mark.parametrize("channels", [(8, 8), (3, 5, 6)])
def test_parts_fill_the_concatenation_without_overlap(layout: str, channels: tuple[int, ...]) -> None:
    trace = concat_trace(channels, images=2)
    batch = Batch(trace, small_accelerator(layout=layout), [0, 1], 2, pruned=False)

    def touched(tensor: int) -> set[int]:
        shape = trace.tensors[tensor].shape
        box = Boxes(*((np.array([0]), np.array([size])) for size in (2, *shape)))
        runs = stored_tiles(batch.stored(tensor, shape, 2), box).runs
        return {b for start, length in zip(runs.start, runs.length, strict=True) for b in range(start, start + length)}

    whole = len(channels) + 1
    parts = [touched(tensor) for tensor in range(1, whole)]
    assert sum(map(len, parts)) == len(set().union(*parts))
    assert set().union(*parts) == touched(whole)


def test_a_concatenation_of_concatenations_has_one_place() -> None:
    trace = concat_trace((3, 5))
    layers = [*trace.layers[:3], Layer("more", "conv", (4, 6, 6), (2, 6, 6), (2, 4, 1, 1), inputs=(0,), output=4)]
    layers.append(Layer("outer", "concat", (2, 6, 6), (10, 6, 6), inputs=(4, 3), output=5))
    tensors = [*trace.tensors[:4], Tensor((2, 6, 6)), Tensor((10, 6, 6), parts=(4, 3))]
    outer = Trace("outer", layers, tensors)
    assert places(outer, small_accelerator(layout="NHWC")) == {
        4: Place(5, 0, 10),
        3: Place(5, 2, 10),
        1: Place(5, 2, 10),
        2: Place(5, 5, 10),
    }


def test_the_networks_input_can_have_a_layout_of_its_own() -> None:
    trace = chain(conv_layer("conv", (3, 16, 16), 8, (1, 1)))
    moved = {}
    for layout in ("NCHW4", {"default": "NCHW4", "input": "NHWC"}, {"default": "NCHW4", "tensors": {"conv": "NHWC"}}):
        report = simulator.simulate(trace, small_accelerator(layout=layout, buffers=LARGE))
        moved[str(layout)] = bytes_of(report, "conv", "ifm"), bytes_of(report, "conv", "ofm")
    padded, own, ofm = moved.values()
    assert padded == ofm == (2 * 4 * 256, 2 * 8 * 256)  # whole bursts take the padding along
    assert own == (2 * 3 * 256, 2 * 8 * 256)


def test_a_layout_for_a_layer_that_is_not_there_is_one_clear_error() -> None:
    accelerator = small_accelerator(layout={"tensors": {"stam": "NHWC"}})
    with pytest.raises(InputError, match=r"layout\.tensors: trace 'residual': no layer 'stam' .* did you mean 'stem'"):
        simulator.simulate(residual_network(), accelerator)


@pytest.mark.parametrize("layout", ["NCHW4", "NHWC"])
def test_products_of_two_activations_keep_their_images_apart(layout: str) -> None:
    layers = [
        Layer("a", "linear", (6, 4, 1), (6, 4, 1), (6, 6, 1, 1), inputs=(0,), output=1),
        Layer("b", "linear", (6, 4, 1), (6, 4, 1), (6, 6, 1, 1), inputs=(0,), output=2),
        Layer("product", "matmul", (6, 4, 1), (8, 4, 1), (8, 3, 1, 1), groups=2, inputs=(1, 3), output=4),
    ]
    tensors = [Tensor((6, 4, 1))] * 3 + [Tensor((8, 3, 1), source=2), Tensor((8, 4, 1))]
    trace = with_random_maps(Trace("attention", layers, tensors), np.random.default_rng(5), images=2)
    accelerators = [small_accelerator(**ONE_BYTE, layout=name, buffers=LARGE) for name in ("NCHW", layout)]
    schedule = plan(trace, accelerators[0], batch=2)
    nchw, other = (run(trace, each, schedule, [0, 1], pruned=False).layers for each in accelerators)
    assert [layer.traffic for layer in other] == [layer.traffic for layer in nchw]


def loaded_bytes(loops: Loops, nonzero: np.ndarray, layout: str, *, pruned: bool, burst: int) -> int:
    """Bursts of all IFM loads, from the address of every element; 16-bit elements."""
    channels, height, width = loops.layer.ifm
    lanes = channels if layout == "NHWC" else int(layout[4:] or 1)
    total, before = 0, None
    for g, _, c, s in loops.steps():
        if (g, c, s) == before:
            continue
        before = (g, c, s)
        touched = set()
        for image, group, inside in itertools.product(s[0], g, c):
            channel = group * loops.nest.c + inside
            if pruned and not nonzero[image, channel].any():
                continue
            block = image * -(-channels // lanes) + channel // lanes
            for row, column in itertools.product(loops.ifm_rows(s[1]), loops.ifm_columns(s[2])):
                element = ((block * height + row) * width + column) * lanes + channel % lanes
                touched.add(2 * element // burst)
        total += burst * len(touched)
    return total


@RELAXED
@given(layers_with_maps(batch=2), st.booleans(), st.sampled_from([8, 64]), st.sampled_from(LAYOUT_NAMES))
def test_loads_are_the_bursts_of_their_elements(
    case: tuple[Trace, LayerSchedule], pruned: bool, burst: int, layout: str
) -> None:
    trace, schedule = case
    accelerator = small_accelerator(**{"dram.burst": f"{burst} B"}, layout=layout)
    nonzero = np.stack([~trace.zeros("layer", image) for image in range(2)])
    loads = [loaded_bytes(Loops(trace, schedule), nonzero, layout, pruned=p, burst=burst) for p in (False, pruned)]
    dense, prepared = (prepare(trace, schedule, accelerator, pruned=flag) for flag in (False, pruned))
    assert moved(prepared, "ifm", "read") == loads[1]
    stores = [moved(each, "ofm", "write") for each in (dense, prepared)]
    assert prepared.skipped_bytes == loads[0] - loads[1] + stores[0] - stores[1]
