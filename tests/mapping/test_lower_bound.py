"""The bounds on DRAM traffic: closed forms, and no explicit schedule of a small layer that moves less."""

import dataclasses
import itertools
import math
from collections.abc import Iterator

import pytest
from builders import chain, small_accelerator
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.hardware.accelerator import Precision
from simulator.mapping.loop_nest import LoopNest, loop_nest
from simulator.mapping.lower_bound import communication_lower_bound_bytes, compulsory_bytes
from simulator.mapping.plan import plan
from simulator.mapping.schedule import Blocks
from simulator.trace.records import Layer
from simulator.trace.shapes import conv_layer, linear_layer

BYTES = Precision.model_validate({operand: "8 bit" for operand in ("ifm", "kernel", "ofm", "psum")})
"""A byte for each element, so that bytes are elements."""
WIDE_PSUMS = BYTES.model_copy(update={"psum": 32})


def nest_of(layer: Layer, batch: int = 1) -> LoopNest:
    trace = chain(layer)
    return loop_nest(trace, trace.layers[0], batch)


def bound(layer: Layer, capacity: float, precision: Precision = BYTES) -> float:
    return communication_lower_bound_bytes(nest_of(layer), precision, capacity)


def touched(tile: int, positions: int, kernel: int, axis: tuple[int, int, int, int]) -> list[set[int]]:
    """The rows that each tile of positions reads; axis: size, stride, padding, dilation."""
    size, stride, padding, dilation = axis
    blocks = Blocks.of(positions, tile)
    return [
        {p * stride - padding + r * dilation for p in range(start, stop) for r in range(kernel)} & set(range(size))
        for start, stop in zip(blocks.start.tolist(), blocks.stop.tolist(), strict=True)
    ]


def even_cuts(size: int) -> list[int]:
    return sorted({-(-size // count) for count in range(1, size + 1)})


def schedules(nest: LoopNest, precision: Precision) -> Iterator[tuple[int, int]]:
    """Bytes on the chip and bytes moved of every schedule of one group: tile sizes of K, C, P, Q and the loops' order.

    One tile of each operand is on the chip. Of an IFM tile only those elements are loaded that the tile before it did
    not have. A psum tile that is left before its reduction ends is stored, and loaded when it is taken up again.
    """
    psum, ofm = precision.psum // 8, precision.ofm // 8
    sizes = {"K": nest.k, "C": nest.c, "P": nest.p, "Q": nest.q}
    height, width = nest.inputs[0][1:]
    for cut in itertools.product(*map(even_cuts, sizes.values())):
        tile = dict(zip(sizes, cut, strict=True))
        blocks = {loop: Blocks.of(sizes[loop], tile[loop]).size.tolist() for loop in sizes}
        axis = (height, nest.stride[0], nest.padding[0], nest.dilation[0])
        rows = touched(tile["P"], nest.p, nest.r, axis)
        axis = (width, nest.stride[1], nest.padding[1], nest.dilation[1])
        columns = touched(tile["Q"], nest.q, nest.s, axis)
        need = tile["C"] * max(map(len, rows)) * max(map(len, columns))
        need += tile["K"] * tile["C"] * nest.r * nest.s + psum * tile["K"] * tile["P"] * tile["Q"]
        for order in itertools.permutations(sizes):
            yield need, walked(nest, order, blocks, rows, columns, psum, ofm)


def walked(
    nest: LoopNest,
    order: tuple[str, ...],
    blocks: dict[str, list[int]],
    rows: list[set[int]],
    columns: list[set[int]],
    psum: int,
    ofm: int,
) -> int:
    moved = nest.k * nest.p * nest.q * ofm
    before: dict[str, int] = {}
    visits: dict[tuple[int, int, int], int] = {}
    for step in itertools.product(*(range(len(blocks[loop])) for loop in order)):
        now = dict(zip(order, step, strict=True))
        k, c, p, q = (now[loop] for loop in "KCPQ")
        kept = 0
        if before and before["C"] == c:
            kept = len(rows[p] & rows[before["P"]]) * len(columns[q] & columns[before["Q"]])
        moved += blocks["C"][c] * (len(rows[p]) * len(columns[q]) - kept)
        if not before or (before["K"], before["C"]) != (k, c):
            moved += blocks["K"][k] * blocks["C"][c] * nest.r * nest.s
        if not before or (before["K"], before["P"], before["Q"]) != (k, p, q):
            visits[k, p, q] = visits.get((k, p, q), 0) + 1
        before = now
    for (k, p, q), count in visits.items():
        moved += 2 * (count - 1) * psum * blocks["K"][k] * blocks["P"][p] * blocks["Q"][q]
    return moved


def best_per_capacity(nest: LoopNest, precision: Precision) -> list[tuple[int, int]]:
    """For each capacity that lets another schedule in: the least bytes that any schedule moves."""
    least: list[tuple[int, int]] = []
    for need, moved in sorted(schedules(nest, precision)):
        if not least or moved < least[-1][1]:
            least.append((need, moved))
    return least


SMALL_LAYERS = {
    "product": linear_layer("fc", 8, 12, rows=12),
    "short product": linear_layer("fc", 3, 12, rows=12),
    "3×3": conv_layer("conv", (4, 6, 6), 6, (3, 3)),
    "3×3, padded": conv_layer("conv", (4, 5, 5), 6, (3, 3), padding=1),
    "3×3, stride 2": conv_layer("conv", (4, 9, 9), 6, (3, 3), stride=2),
    "2×2, stride 2": conv_layer("conv", (4, 8, 8), 6, (2, 2), stride=2),
    "1×1, stride 2": conv_layer("conv", (6, 7, 7), 6, (1, 1), stride=2),
    "one window": conv_layer("conv", (6, 3, 3), 8, (3, 3)),
}


@pytest.mark.parametrize("precision", [BYTES, WIDE_PSUMS], ids=["bytes", "wide psums"])
@pytest.mark.parametrize("name", SMALL_LAYERS)
def test_no_schedule_of_a_small_layer_moves_less(name: str, precision: Precision) -> None:
    nest = nest_of(SMALL_LAYERS[name])
    found = best_per_capacity(nest, precision)
    for capacity, least in found:
        floor = communication_lower_bound_bytes(nest, precision, capacity)
        assert floor <= least, f"{capacity} B on the chip: bound {floor:.1f} B, but a schedule moves {least} B"
    assert found[-1][1] == compulsory_bytes(nest, precision), "the largest chip moves each operand once"


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_no_plan_moves_less(data: st.DataObject) -> None:
    kernel, groups = data.draw(st.integers(1, 4)), data.draw(st.sampled_from([1, 1, 2, 6]))
    layer = conv_layer(
        "layer",
        (
            groups * data.draw(st.integers(1, 24)),
            data.draw(st.integers(kernel, 20)),
            data.draw(st.integers(kernel, 20)),
        ),
        groups * data.draw(st.integers(1, 24)),
        (kernel, kernel),
        stride=data.draw(st.integers(1, 3)),
        padding=data.draw(st.integers(0, 2)),
        groups=groups,
    )
    capacity = data.draw(st.sampled_from([1, 2, 4, 16]))
    buffers = {"ifm": {"capacity": f"{capacity} KiB"}, "kernel": {"shared_with": "ifm"}, "ofm": {"shared_with": "ifm"}}
    accelerator = small_accelerator(buffers=buffers, **{"dram.burst": "1 B"})
    batch = data.draw(st.sampled_from([1, 3]))
    schedule = plan(chain(layer), accelerator, batch).layers[0]
    assert schedule is not None
    floor = communication_lower_bound_bytes(nest_of(layer, batch), accelerator.precision, capacity * 1024)
    assert floor <= schedule.dram_bytes, f"bound {floor:.0f} B, plan {schedule.dram_bytes} B"


@pytest.mark.parametrize("side", [64, 256])
def test_a_matrix_product_has_the_closed_form_and_nearly_reaches_it(side: int) -> None:
    capacity = side * side
    size = 64 * side
    product = linear_layer("fc", size, size, rows=size)
    floor = bound(product, capacity)
    assert floor == pytest.approx(2 * size**3 / math.sqrt(capacity))
    square = side - 1  # a square of psums, a column of one operand and an element of the other
    assert square * (square + 1) + 1 <= capacity
    moved = 2 * size**3 / square + size**2
    assert floor <= moved <= 1.03 * floor, f"bound {floor:.4g}, schedule {moved:.4g}: {moved / floor:.3f}"


@pytest.mark.parametrize(
    ("kernel", "stride", "reuse"), [((3, 3), 1, 9), ((5, 3), 1, 15), ((4, 4), 2, 4), ((1, 1), 1, 1), ((6, 6), 3, 4)]
)
def test_a_convolution_has_the_papers_formula_where_strides_divide_kernels(
    kernel: tuple[int, int], stride: int, reuse: int
) -> None:
    layer = conv_layer("conv", (512, 96, 96), 512, kernel, stride=stride)
    capacity = 4096
    assert bound(layer, capacity) == pytest.approx(2 * layer.macs / math.sqrt(reuse * capacity))


def test_the_phases_of_a_stride_count_one_by_one() -> None:
    layer = conv_layer("conv", (512, 101, 101), 512, (3, 3), stride=2)
    pairs = 50 * (2 / math.sqrt(2) + 1)  # rows 0 and 2 of the kernel meet each even row twice, row 1 each odd row once
    floor = bound(layer, 4096)
    assert floor == pytest.approx(2 * 512 * 512 * pairs**2 / math.sqrt(4096))
    assert floor <= 2 * layer.macs / math.sqrt(9 / 4 * 4096), "more than the paper's R_w gives"


def test_the_papers_dataflow_nearly_reaches_the_bound() -> None:
    """Psums of x × x positions and z outputs stay while single channels of IFM and kernels pass by."""
    layer = conv_layer("conv", (8192, 98, 98), 512, (3, 3))
    x, z = 48, 256
    capacity = x * x * z + (x + 2) ** 2 + z * 9
    moved = (96 // x) ** 2 * (512 // z) * 8192 * ((x + 2) ** 2 + z * 9) + layer.ofm_elements
    floor = bound(layer, capacity)
    assert floor <= moved <= 1.08 * floor, f"bound {floor:.4g}, schedule {moved:.4g}: {moved / floor:.3f}"


def test_a_short_product_moves_less_than_its_bound_and_its_outputs_together() -> None:
    side, length = 32, 4096
    product = linear_layer("fc", side, side, rows=length)
    kept = side * side + side + 1  # the kernels, one row of psums, one element of the IFM
    moved = side * side + 2 * side * length
    assert moved == compulsory_bytes(nest_of(product), BYTES)
    assert bound(product, kept) <= moved < 2 * product.macs / math.sqrt(kept) + product.ofm_elements


def test_widths_of_operands_and_psums() -> None:
    precision = Precision.model_validate({"ifm": "8 bit", "kernel": "4 bit", "ofm": "8 bit", "psum": "32 bit"})
    product = linear_layer("fc", 8192, 8192, rows=8192)
    arrivals = 2 * product.macs * math.sqrt(1 * 0.5 * 4 / 2**16)
    assert bound(product, 2**16, precision) == pytest.approx(arrivals - (4 - 1) * product.ofm_elements)


def test_groups_add_up() -> None:
    whole = conv_layer("conv", (64, 30, 30), 128, (3, 3), groups=4)
    group = conv_layer("conv", (16, 30, 30), 32, (3, 3))
    for capacity in (200, 1000, 10**6):
        assert bound(whole, capacity) == pytest.approx(4 * bound(group, capacity)), capacity


def test_depthwise_layers_move_each_operand_once() -> None:
    depthwise = conv_layer("conv", (32, 28, 28), 32, (3, 3), padding=1, groups=32)
    assert bound(depthwise, 1024) == 2 * 32 * 28 * 28 + 32 * 9 == compulsory_bytes(nest_of(depthwise), BYTES)


def test_elements_that_no_window_touches_do_not_count() -> None:
    strided = conv_layer("conv", (16, 14, 14), 32, (1, 1), stride=2)
    dense = conv_layer("conv", (16, 7, 7), 32, (1, 1))
    assert compulsory_bytes(nest_of(strided), BYTES) == 16 * 49 + 16 * 32 + 32 * 49
    for capacity in (20, 100, 10**6):
        assert bound(strided, capacity) == bound(dense, capacity), capacity


def test_a_window_that_covers_the_ifm_reuses_nothing() -> None:
    as_convolution = conv_layer("conv", (512, 7, 7), 4096, (7, 7))
    as_product = linear_layer("fc", 512 * 49, 4096)
    for capacity in (100, 4096, 10**9):
        assert bound(as_convolution, capacity) == pytest.approx(bound(as_product, capacity)), capacity


def test_a_transposed_convolution_mirrors_the_convolution() -> None:
    forward = conv_layer("conv", (24, 41, 41), 48, (3, 3), stride=2)
    backward = Layer("up", "conv_transpose", forward.ofm, forward.ifm, (24, 48, 3, 3), (2, 2))
    for capacity in (100, 1000, 10**6):
        assert bound(backward, capacity) == pytest.approx(bound(forward, capacity)), capacity
    assert compulsory_bytes(nest_of(backward), BYTES) == compulsory_bytes(nest_of(forward), BYTES)


def test_windows_in_the_padding_need_no_ifm() -> None:
    layer = conv_layer("conv", (4, 1, 1), 6, (1, 1), stride=2, padding=1)
    assert bound(layer, 64) == compulsory_bytes(nest_of(layer), BYTES) == 6 * 2 * 2


def test_a_batch_shares_its_kernels() -> None:
    layer = conv_layer("conv", (8, 10, 10), 16, (3, 3))
    assert compulsory_bytes(nest_of(layer, 5), BYTES) == 5 * (8 * 100 + 16 * 64) + 8 * 16 * 9


def test_more_room_never_raises_the_bound_and_enough_of_it_leaves_the_compulsory_bytes() -> None:
    layer = conv_layer("conv", (256, 58, 58), 256, (3, 3))
    floors = [bound(layer, 2**power, WIDE_PSUMS) for power in range(6, 25)]
    assert floors == sorted(floors, reverse=True), floors
    assert floors[0] > 10 * floors[-1]
    assert floors[-1] == compulsory_bytes(nest_of(layer), WIDE_PSUMS) == 256 * 58 * 58 + 256 * 256 * 9 + 256 * 56 * 56


def test_layers_without_macs_read_their_inputs_and_write_their_output() -> None:
    pool = Layer("pool", "max_pool", (8, 14, 14), (8, 4, 4), stride=(4, 4), window=(2, 2))
    add = Layer("add", "add", (8, 4, 4), (8, 4, 4), inputs=(1, 1))
    trace = chain(dataclasses.replace(pool, inputs=(0,)), add)
    pooling, adding = (loop_nest(trace, layer) for layer in trace.layers)
    assert communication_lower_bound_bytes(pooling, BYTES, 64) == 8 * 8 * 8 + 8 * 16, "2 of 4 rows and columns are read"
    assert communication_lower_bound_bytes(adding, BYTES, 64) == 3 * 8 * 16
