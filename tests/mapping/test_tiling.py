"""The tile search: its traffic formula against walking the loops, its tiles against the buffers."""

import itertools

import numpy as np
import pytest
from builders import chain, small_accelerator
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.api import simulate
from simulator.errors import InputError
from simulator.hardware.accelerator import Accelerator
from simulator.mapping.loop_nest import LoopNest, loop_nest
from simulator.mapping.plan import in_place_concatenations, plan
from simulator.mapping.schedule import Blocks, LayerSchedule, changes
from simulator.mapping.tiling import best_schedule
from simulator.trace.records import Layer, Tensor
from simulator.trace.shapes import conv_layer, linear_layer
from simulator.trace.trace import Trace


@st.composite
def nests(draw: st.DrawFn) -> LoopNest:
    kernel = draw(st.integers(1, 3))
    size = draw(st.integers(kernel, 16))
    groups = draw(st.sampled_from([1, 1, 2, 4]))
    layer = conv_layer(
        "layer",
        (groups * draw(st.integers(1, 12)), size, draw(st.integers(kernel, 16))),
        groups * draw(st.integers(1, 12)),
        (kernel, kernel),
        stride=draw(st.integers(1, 2)),
        padding=draw(st.integers(0, 1)),
        groups=groups,
    )
    trace = chain(layer)
    return loop_nest(trace, trace.layers[0], draw(st.sampled_from([1, 1, 3])))


def walked_bytes(schedule: LayerSchedule) -> int:
    """DRAM bytes of a schedule, step by step: 2 bytes an element, 4 a psum."""
    nest, steps = schedule.nest, schedule.steps
    image, row, column = schedule.position_index(steps.s)
    total, finished = 0, set()
    load_ifm = changes(steps.g, steps.c, steps.s)
    load_kernel = changes(steps.g, steps.k, steps.c)
    opens = changes(steps.g, steps.m, steps.s)
    for step in range(steps.count):
        g = schedule.groups.size[steps.g[step]]
        k, c = schedule.outputs.size[steps.k[step]], schedule.channels.size[steps.c[step]]
        n = schedule.images.size[image[step]]
        rows = nest.input_rows(schedule.rows.start[row[step]], schedule.rows.stop[row[step]])
        columns = nest.input_columns(schedule.columns.start[column[step]], schedule.columns.stop[column[step]])
        m = schedule.residents.size[steps.m[step]]
        outputs = g * m * n * schedule.rows.size[row[step]] * schedule.columns.size[column[step]]
        if load_ifm[step]:
            total += 2 * g * c * n * (rows[1] - rows[0]) * (columns[1] - columns[0])
        if load_kernel[step]:
            total += 2 * g * k * c * nest.r * nest.s
        key = (steps.g[step], steps.m[step], steps.s[step])
        if opens[step] and key in finished:
            total += 2 * 4 * outputs  # spilled when it was left, fetched now
        finished.add(key)
    return int(total) + 2 * nest.n * nest.ofm[0] * nest.ofm[1] * nest.ofm[2]


def peak_bytes(schedule: LayerSchedule, accelerator: Accelerator, copies: int) -> dict[str, int]:
    nest = schedule.nest
    row_first, row_last = nest.input_rows(schedule.rows.start, schedule.rows.stop)
    column_first, column_last = nest.input_columns(schedule.columns.start, schedule.columns.stop)
    t = schedule.tiling
    single = {
        "ifm": (
            2 * t.g * t.c * t.n * int((row_last - row_first).max()) * int((column_last - column_first).max()),
            "gcs",
        ),
        "kernel": (2 * t.g * t.k * t.c * nest.r * nest.s, "gkc"),
        "ofm": (4 * t.g * t.m * t.n * t.p * t.q, "gms"),
    }
    counts = {
        "g": schedule.groups.count,
        "k": schedule.outputs.count,
        "m": schedule.residents.count,
        "c": schedule.channels.count,
        "s": schedule.position_tiles,
    }
    return {
        operand: size * (1 if all(counts[loop] == 1 for loop in loops) else copies)
        for operand, (size, loops) in single.items()
    }


@settings(max_examples=120, deadline=None)
@given(nests(), st.sampled_from(["512 B", "1 KiB", "4 KiB"]))
def test_predicted_traffic_is_what_walking_the_loops_moves(nest: LoopNest, capacity: str) -> None:
    buffers = {operand: {"capacity": capacity} for operand in ("ifm", "kernel", "ofm")}
    accelerator = small_accelerator(buffers=buffers, **{"dram.burst": "1 B"})
    schedule = best_schedule(nest, accelerator)
    assert schedule.dram_bytes == walked_bytes(schedule)
    limit = accelerator.buffers.ifm.capacity
    assert limit is not None
    assert all(size <= limit for size in peak_bytes(schedule, accelerator, 2).values())


def test_a_layer_that_fits_is_read_once() -> None:
    trace = chain(conv_layer("layer", (8, 8, 8), 8, (3, 3), padding=1))
    accelerator = small_accelerator(buffers={o: {"capacity": "64 KiB"} for o in ("ifm", "kernel", "ofm")})
    report = simulate(trace, accelerator)
    assert report.totals["dram_bytes"] == 2 * (8 * 64 + 8 * 8 * 9 + 8 * 64)


def test_less_buffer_never_means_less_traffic() -> None:
    trace = chain(conv_layer("layer", (32, 28, 28), 64, (3, 3), padding=1))
    traffic = []
    for kib in (2, 4, 8, 16, 32, 64, 256):
        buffers = {o: {"capacity": f"{kib} KiB"} for o in ("ifm", "kernel", "ofm")}
        fast = small_accelerator(buffers=buffers, **{"dram.bandwidth": "1 kB/s"})  # time is traffic here
        traffic.append(plan(trace, fast).layers[0].dram_bytes)  # type: ignore[union-attr]
    assert traffic == sorted(traffic, reverse=True), traffic


def test_too_small_a_buffer_is_named() -> None:
    trace = chain(conv_layer("wide", (1, 4, 4000), 8, (3, 3)))
    with pytest.raises(InputError, match=r"layer 'wide'.*buffers\.ifm\.capacity is 16 B.*of ifm needs 36 B"):
        simulate(trace, small_accelerator(buffers={o: {"capacity": "16 B"} for o in ("ifm", "kernel", "ofm")}))


def test_shared_buffers_hold_both_operands() -> None:
    trace = chain(conv_layer("layer", (16, 16, 16), 32, (3, 3), padding=1))
    shared = {"ifm": {"capacity": "8 KiB"}, "kernel": {"capacity": "4 KiB"}, "ofm": {"shared_with": "ifm"}}
    accelerator = small_accelerator(buffers=shared)
    schedule = plan(trace, accelerator).layers[0]
    assert schedule is not None
    sizes = peak_bytes(schedule, accelerator, 2)
    assert sizes["ifm"] + sizes["ofm"] <= 8192


def test_same_shapes_share_one_search() -> None:
    layers = [conv_layer(f"layer{i}", (8, 8, 8), 8, (3, 3), padding=1) for i in range(4)]
    schedules = plan(chain(*layers), small_accelerator()).layers
    assert all(schedule is schedules[0] for schedule in schedules)


def test_blocks_cover_a_loop() -> None:
    for size, tile in itertools.product(range(1, 9), range(1, 9)):
        blocks = Blocks.of(size, tile)
        covered = np.concatenate([np.arange(a, b) for a, b in zip(blocks.start, blocks.stop, strict=True)])
        assert covered.tolist() == list(range(size))


def concat_trace(*, twice: bool = False) -> Trace:
    a = Layer("a", "conv", (4, 8, 8), (8, 8, 8), (8, 4, 1, 1), inputs=(0,), output=1)
    b = Layer("b", "conv", (4, 8, 8), (8, 8, 8), (8, 4, 1, 1), inputs=(0,), output=2)
    cat = Layer("cat", "concat", (8, 8, 8), (16, 8, 8), inputs=(1, 2), output=3)
    layers = [a, b, cat]
    tensors = [Tensor((4, 8, 8)), Tensor((8, 8, 8)), Tensor((8, 8, 8)), Tensor((16, 8, 8), parts=(1, 2))]
    if twice:
        layers.append(Layer("again", "concat", (8, 8, 8), (24, 8, 8), inputs=(1, 3), output=4))
        tensors.append(Tensor((24, 8, 8), parts=(1, 3)))
    return Trace("cat", layers, tensors)


def test_a_concatenation_is_free_once() -> None:
    assert in_place_concatenations(concat_trace()) == {2}
    assert in_place_concatenations(concat_trace(twice=True)) == {2}  # part 1 can lie in one place only
    free = simulate(concat_trace(), small_accelerator()).layers.set_index("layer")
    assert free.loc["cat", "dram_bytes"] == 0
    copied = simulate(concat_trace(), small_accelerator(post_processing={"concat": "copy"})).layers.set_index("layer")
    assert copied.loc["cat", "dram_bytes"] == 2 * 2 * 16 * 64  # read and written once


def test_every_kind_of_layer_can_be_planned() -> None:
    from simulator.hardware.load import preset_names

    layers = [
        conv_layer("conv", (3, 32, 32), 16, (3, 3), padding=1),
        conv_layer("depthwise", (16, 32, 32), 16, (3, 3), padding=1, groups=16),
        Layer("pool", "max_pool", (16, 32, 32), (16, 16, 16), stride=(2, 2), window=(2, 2)),
        Layer("up", "upsample", (16, 16, 16), (16, 32, 32)),
        Layer("transposed", "conv_transpose", (16, 32, 32), (8, 64, 64), (8, 16, 2, 2), (2, 2)),
        Layer("gap", "global_average_pool", (8, 64, 64), (8, 1, 1), window=(64, 64)),
        linear_layer("fc", 8, 10),
        Layer("softmax", "softmax", (10, 1, 1), (10, 1, 1)),
    ]
    for preset in preset_names():
        report = simulate(chain(*layers), preset)
        moved, fused = report.layers["dram_bytes"] > 0, report.layers["fused_into"] != ""
        assert (moved | fused | report.layers["ofm_on_chip"]).all(), preset
        assert (report.layers["utilisation"] <= 1).all(), preset
        assert report.totals["macs_dense"] == sum(layer.macs for layer in layers)
