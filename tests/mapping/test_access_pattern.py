"""What the array takes from a buffer in a cycle, and how long banks need for it: closed forms."""

import math

import numpy as np
import pytest
from builders import chain, small_accelerator
from hypothesis import given
from hypothesis import strategies as st

from simulator.errors import InputError
from simulator.hardware.accelerator import Accelerator
from simulator.hardware.buffer import Buffer
from simulator.mapping.buffer_time import Transfers, array_port_cycles, vector_port_cycles
from simulator.mapping.dataflow import TileSizes, dataflow_of
from simulator.mapping.dataflow.access_pattern import Vector, access_vectors, bank_cycles, vector_cycles
from simulator.mapping.loop_nest import LoopNest, loop_nest
from simulator.mapping.tiling import best_schedule
from simulator.trace.shapes import conv_layer


def layer_nest(channels: int = 8, size: int = 10, outputs: int = 16, kernel: int = 3) -> LoopNest:
    trace = chain(conv_layer("layer", (channels, size, size), outputs, (kernel, kernel)))
    return loop_nest(trace, trace.layers[0])


def whole_layer(nest: LoopNest) -> TileSizes:
    """One tile that is all of the layer."""
    g, k, c, n, p, q = (np.array([size]) for size in (nest.g, nest.k, nest.c, nest.n, nest.p, nest.q))
    elements, rows = int(np.prod(nest.inputs[0])) * nest.n, np.array([nest.inputs[0][1]])
    return TileSizes(g, k, c, n, p, q, nest.r, nest.s, np.array([elements]), rows, g * k * n * p * q)


def buffers(**ifm: object) -> dict[str, object]:
    return {"ifm": {"capacity": "64 KiB", **ifm}, "kernel": {"capacity": "64 KiB"}, "ofm": {"capacity": "64 KiB"}}


def systolic(dataflow: str, **ifm: object) -> Accelerator:
    array = {"rows": 8, "columns": 4, "dataflow": dataflow}
    return small_accelerator(array=array, buffers=buffers(**ifm))


@given(st.integers(1, 70), st.integers(1, 100), st.integers(1, 40))
def test_lanes_at_a_stride_of_whole_words_meet_in_a_bank_as_their_gcd_says(lanes: int, stride: int, banks: int) -> None:
    distinct = banks // math.gcd(banks, stride)
    assert vector_cycles((lanes,), (stride,), None, 16, 16, banks) == math.ceil(lanes / distinct)
    assert vector_cycles((lanes,), (4 * stride,), None, 16, 64, banks) == math.ceil(lanes / distinct)


@given(st.integers(1, 70), st.integers(1, 16), st.integers(1, 40))
def test_elements_of_the_same_word_come_together(lanes: int, per_word: int, banks: int) -> None:
    assert vector_cycles((lanes,), (1,), None, 8, 8 * per_word, banks) == math.ceil(math.ceil(lanes / per_word) / banks)
    assert vector_cycles((lanes,), (0,), None, 8, 8 * per_word, banks) == 1


@given(
    st.lists(st.tuples(st.integers(1, 5), st.integers(0, 60)), min_size=1, max_size=3),
    st.integers(1, 30),
    st.sampled_from([(8, 8), (8, 32), (16, 64), (24, 64), (32, 16), (24, 16)]),
    st.integers(1, 12),
)
def test_grids_against_counting_words(
    grid: list[tuple[int, int]], limit: int, widths: tuple[int, int], banks: int
) -> None:
    addresses = [0]
    for count, stride in grid:
        addresses = [address + turn * stride for address in addresses for turn in range(count)]
    bits, width = widths
    words = set()
    for address in addresses[:limit]:
        if bits <= width:
            words.add(address // (width // bits))
        else:
            parts = -(-bits // width)
            words |= {address * parts + part for part in range(parts)}
    fullest = max(sum(word % banks == bank for word in words) for bank in range(banks))
    counts, strides = zip(*grid, strict=True)
    assert vector_cycles(counts, strides, limit, bits, width, banks) == fullest


def test_the_vectors_of_the_systolic_dataflows() -> None:
    nest = layer_nest()  # 8 channels of 10×10, 3×3 kernels, 16 output channels of 8×8
    found = {name: access_vectors(systolic(name).array, nest, whole_layer(nest)) for name in SYSTOLIC}

    def shown(vector: Vector) -> tuple[list[int], list[int], int | None]:
        counts, strides = ([int(np.max(value)) for value in values] for values in (vector.counts, vector.strides))
        return counts, strides, vector.limit

    reduction = ([8, 3, 3], [100, 10, 1], 8)  # c·r·s down the rows
    outputs = ([16], [9], 4)  # slices [k, r, s] per channel
    psums = ([16], [64], 4)
    ws, os, stationary_ifm = (found[name] for name in SYSTOLIC)
    assert [shown(ws[name]) for name in ("ifm", "kernel", "psum")] == [reduction, outputs, psums]
    assert [shown(os[name]) for name in ("ifm", "kernel", "psum")] == [([1, 8, 8], [800, 10, 1], 8), outputs, psums]
    assert [shown(stationary_ifm[name]) for name in ("ifm", "kernel", "psum")] == [
        ([1, 8, 8], [800, 10, 1], 4),
        ([8, 3, 3], [144, 3, 1], 8),
        ([1, 8, 8], [1024, 8, 1], 4),
    ]


SYSTOLIC = ("weight_stationary", "output_stationary", "input_stationary")


def test_free_unrolling_takes_the_unrolled_loops_of_each_operand() -> None:
    nest = layer_nest()
    vectors = access_vectors(small_accelerator().array, nest, whole_layer(nest))  # K on 4 rows, C on 4 columns
    named = dict(zip("NGCPQRS", zip(vectors["ifm"].counts, vectors["ifm"].strides, strict=True), strict=True))
    assert {name: int(np.max(count)) for name, (count, _) in named.items()} == dict.fromkeys("NGPQRS", 1) | {"C": 4}
    assert int(np.max(named["C"][1])) == 100
    assert int(np.prod([np.max(count) for count in vectors["kernel"].counts])) == 16
    assert int(np.prod([np.max(count) for count in vectors["psum"].counts])) == 4


def test_operands_that_stay_in_the_array_are_read_in_order() -> None:
    nest = layer_nest()
    array = small_accelerator().array.model_copy(update={"local_reuse": ("ifm",)})
    assert access_vectors(array, nest, whole_layer(nest))["ifm"] == Vector()


def test_bank_cycles_of_a_tile() -> None:
    vector, elements = Vector((np.array([8]),), (np.array([100]),)), np.array([800])
    four = Buffer(capacity="1 KiB", banks=4, width="16 bit")
    assert bank_cycles(four, elements, 16, vector, "address").tolist() == [100 * 8]  # 100 = 25·4: all in one bank
    assert bank_cycles(four, elements, 16, vector, "lanes").tolist() == [100 * 2]
    assert bank_cycles(Buffer(capacity="1 KiB", banks=3, width="16 bit"), elements, 16, vector, "address") == [100 * 3]
    assert bank_cycles(four, elements, 16, Vector(), "address").tolist() == [200]
    assert bank_cycles(Buffer(capacity="1 KiB"), elements, 16, vector, "address").tolist() == [0]


def port_cycles(accelerator: Accelerator, nest: LoopNest) -> int:
    tile = whole_layer(nest)
    accesses = dataflow_of(accelerator).accesses(tile)
    return int(array_port_cycles(nest, accelerator, tile, accesses)[0])


def test_a_bandwidth_bounds_what_passes() -> None:
    nest = layer_nest()
    accelerator = systolic("output_stationary", read_bandwidth="4 B/cycle")
    reads = 4 * 64 * 72  # 16 output channels in folds of 4; 64 positions of 8·3·3 products
    assert port_cycles(accelerator, nest) == reads * 2 // 4
    assert port_cycles(systolic("output_stationary"), nest) == 0


def test_reads_and_writes_add_up_at_one_port() -> None:
    nest, tile = layer_nest(), whole_layer(layer_nest())
    shared = {
        "ifm": {"capacity": "64 KiB", "read_bandwidth": "4 B/cycle", "write_bandwidth": "2 B/cycle"},
        "kernel": {"capacity": "64 KiB"},
        "ofm": {"shared_with": "ifm"},
    }
    array = {"rows": 8, "columns": 4, "dataflow": "output_stationary"}
    needed = {}
    for ports in (1, 2):
        shared["ifm"]["ports"] = ports  # type: ignore[assignment]
        needed[ports] = port_cycles(small_accelerator(array=array, buffers=shared), nest)
    reads, writes = 4 * 64 * 72 * 2 // 4, 16 * 64 * 4 // 2
    assert needed == {1: reads + writes, 2: max(reads, writes)}
    assert tile.ofm_elements.tolist() == [16 * 64]


@pytest.mark.parametrize(
    ("ports", "dram_cycles", "expected"),
    [
        (1, 0, 4608 + 100),  # DRAM is quick: what DMA takes comes on top
        (1, 4708, 4608 + 100),
        (
            1,
            9216,
            math.ceil(4608 * 9216 / 9116),
        ),  # DMA's accesses come over twice the time: half of them meet the array
        (2, 0, 4608),
    ],
)
def test_dma_takes_part_of_a_single_port(ports: int, dram_cycles: float, expected: int) -> None:
    nest = layer_nest()
    accelerator = systolic("output_stationary", width="64 bit", interleaving="lanes", ports=ports)
    tile = whole_layer(nest)
    transfers = Transfers({("ifm", "write"): np.array([800.0])}, np.array([float(dram_cycles)]))
    accesses = dataflow_of(accelerator).accesses(tile)  # 2304 vectors of two words
    assert array_port_cycles(nest, accelerator, tile, accesses, transfers).tolist() == [expected]


def test_the_vector_unit_reads_words_in_order() -> None:
    accelerator = systolic("output_stationary", banks=4, width="64 bit")
    assert vector_port_cycles(accelerator, np.array([160]), np.array([1000])).tolist() == [10]


def test_a_unified_buffer_takes_tiles_that_fixed_shares_refuse() -> None:
    nest = layer_nest(channels=1, size=40, outputs=1)
    shared = {"ifm": {"capacity": "300 B"}, "kernel": {"capacity": "64 KiB"}, "ofm": {"shared_with": "ifm"}}
    unified = best_schedule(nest, small_accelerator(buffers=shared))
    assert unified.tiling.q > 0
    shared["ofm"]["share"] = 0.97  # type: ignore[assignment]
    with pytest.raises(InputError, match=r"buffers\.ifm\.capacity leaves 9 B, but the smallest tile of ifm needs 36 B"):
        best_schedule(nest, small_accelerator(buffers=shared))
    shared["ofm"] = {"shared_with": "ifm", "capacity": "4 B"}
    with pytest.raises(InputError, match=r"buffers\.ofm\.capacity is 4 B, but the smallest tile of ofm needs 8 B"):
        best_schedule(nest, small_accelerator(buffers=shared))
    shared["ofm"] = {"shared_with": "ifm", "share": 0.01}
    with pytest.raises(InputError, match=r"buffers\.ofm\.share gives 3 B, but the smallest tile of ofm needs 8 B"):
        best_schedule(nest, small_accelerator(buffers=shared))


def test_three_tiles_need_three_places() -> None:
    nest = layer_nest(channels=1, size=40, outputs=1)
    smallest = 2 * 9 * 2 * np.array([1, 2, 3]) // 2  # one 3×3 window of 16 bit, one to three times

    def fits(copies: int, capacity: int) -> bool:
        accelerator = small_accelerator(buffers=buffers(capacity=f"{capacity} B", buffering=copies))
        try:
            best_schedule(nest, accelerator)
        except InputError:
            return False
        return True

    for copies, needed in enumerate(smallest.tolist(), 1):
        assert fits(copies, needed)
        assert not fits(copies, needed - 1)


def test_the_plan_avoids_tilings_that_starve() -> None:
    """Wide tiles put all channels of a position into one bank; the search takes others where that costs time."""
    nest = layer_nest(channels=16, size=32, outputs=16, kernel=1)
    limited = small_accelerator(
        buffers=buffers(banks=4, width="16 bit"), **{"dram.bandwidth": "1000 GB/s", "dram.row_miss": "0 ps"}
    )
    schedule = best_schedule(nest, limited)
    plane = schedule.tiling.p * schedule.tiling.q
    assert math.gcd(plane, 4) == 1 or schedule.tiling.c == 1, schedule.tiling
