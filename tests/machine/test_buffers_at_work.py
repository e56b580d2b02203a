"""Buffers at work: bandwidth, ports and DMA, single to triple buffering, and what lies where at any time."""

import dataclasses

import numpy as np
import pytest
import simpy
from builders import chain, small_accelerator, with_random_maps
from hypothesis import given, settings
from hypothesis import strategies as st

import simulator
from simulator.hardware.accelerator import Accelerator
from simulator.hardware.buffer import Space
from simulator.hardware.load import load_accelerator, preset_names
from simulator.machine.batch import Batch
from simulator.machine.dram_port import Bus
from simulator.machine.layer import PreparedLayer, prepare_layer
from simulator.machine.pipeline import LayerTiming, LayerWork, OperandStream, OutputStream, run_layer
from simulator.mapping.loop_nest import loop_nest
from simulator.mapping.plan import plan
from simulator.mapping.schedule import LayerSchedule, Tiling
from simulator.report.report import Report
from simulator.trace.records import Layer
from simulator.trace.shapes import conv_layer
from simulator.trace.trace import Trace

STALLS = ("ifm", "kernel", "ofm", "psum", "drain")


def play(work: LayerWork) -> LayerTiming:
    env = simpy.Environment()
    timing = env.run(env.process(run_layer(env, Bus(env), work)))
    assert isinstance(timing, LayerTiming)
    return timing


def one_stream(steps: list[int], loads: list[int], slots: int) -> LayerWork:
    """A tile of IFM for every step; nothing else takes time, or waits for a place."""
    every, zeros = np.ones(len(steps), np.bool_), np.zeros(len(steps), np.int64)
    return LayerWork(
        np.array(steps, np.int64),
        {"ifm": OperandStream(every, np.array(loads, np.int64), slots)},
        OutputStream(every, every, zeros, zeros, zeros, len(steps), zeros > 0),
    )


def test_a_third_tile_bridges_a_long_load() -> None:
    steps, loads = [50, 100, 0, 100], [10, 40, 90, 90]
    assert play(one_stream(steps, loads, 1)).end_ps == sum(steps) + sum(loads)
    # two: the load of tile 2 waits for step 0 (60), that of tile 3 for step 1 (160)
    assert play(one_stream(steps, loads, 2)).end_ps == 160 + 90 + 100
    # three: loads end at 10, 50, 140 and, after step 0, 230
    assert play(one_stream(steps, loads, 3)).end_ps == 230 + 100


times = st.lists(st.integers(0, 60), min_size=8, max_size=8)


@settings(deadline=None)
@given(times, times)
def test_more_tiles_in_a_buffer_never_cost_time(steps: list[int], loads: list[int]) -> None:
    single, double, triple = (play(one_stream(steps, loads, slots)).end_ps for slots in (1, 2, 3))
    assert triple <= double <= single == sum(steps) + sum(loads)


def occupied(space: int, *, slots: int = 2) -> LayerWork:
    """Three steps with a 100 B tile of IFM and a 50 B tile of OFM each, in one buffer of `space` bytes."""
    work = one_stream([10, 10, 10], [5, 5, 5], slots)
    sized = dataclasses.replace(work.inputs["ifm"], tile_bytes=np.full(3, 100))
    output = dataclasses.replace(work.output, tile_bytes=np.full(3, 50), store_ps=np.array([20, 20, 20]), slots=2)
    buffer = Space("ifm", ("ifm", "ofm"), space, f"buffers.ifm.capacity is {space} B")
    return dataclasses.replace(work, inputs={"ifm": sized}, output=output, layer="conv1", spaces=[buffer])


def test_peak_is_what_lay_in_the_buffer_at_once() -> None:
    assert play(occupied(300)).peak_bytes == {"ifm": 300}
    assert play(occupied(1000, slots=3)).peak_bytes == {"ifm": 350}  # the first OFM tile opens under three of IFM
    assert play(occupied(300, slots=1)).peak_bytes == {"ifm": 200}


def test_a_tile_too_many_is_an_error_that_names_layer_buffer_and_time() -> None:
    message = r"layer 'conv1': at 5 ps the tiles of ifm and ofm take 250 B, but buffers.ifm.capacity is 249 B"
    with pytest.raises(AssertionError, match=message):
        play(occupied(249))
    with pytest.raises(AssertionError, match="conv1"):
        play(occupied(300, slots=3))


def test_a_schedule_with_tiles_too_large_is_caught() -> None:
    trace = chain(conv_layer("layer", (8, 16, 16), 16, (3, 3), padding=1))
    schedule = plan(trace, small_accelerator()).layers[0]
    assert schedule is not None
    wrong = LayerSchedule(schedule.nest, dataclasses.replace(schedule.tiling, p=16, q=16), 0)
    env, batch = simpy.Environment(), Batch(trace, small_accelerator(), [], 1, pruned=False)
    work = prepare_layer(batch, 0, wrong).work
    with pytest.raises(AssertionError, match=r"layer 'layer': at \d+ ps the tiles of \w+ take \d+ B, but buffers\."):
        env.run(env.process(run_layer(env, Bus(env), work)))


POINTWISE = conv_layer("layer", (4, 8, 8), 4, (1, 1))


def as_one_tile(accelerator: Accelerator) -> PreparedLayer:
    trace = chain(POINTWISE)
    schedule = LayerSchedule(loop_nest(trace, trace.layers[0]), Tiling(1, 4, 4, 1, 8, 8, 4, "SKC"), 0)
    return prepare_layer(Batch(trace, accelerator, [], 1, pruned=False), 0, schedule)


def with_ifm(**ifm: object) -> Accelerator:
    """An accelerator that works on 4 channels and 4 outputs a cycle: POINTWISE takes 64."""
    sizes = {"kernel": {"capacity": "64 KiB"}, "ofm": {"capacity": "64 KiB"}}
    return small_accelerator(buffers={"ifm": {"capacity": "64 KiB", **ifm}, **sizes})


def test_a_step_takes_as_long_as_the_array_or_the_buffer_needs() -> None:
    reads = 64 * 4 * 2  # 64 positions of 4 channels of 16 bit
    for bandwidth, expected in ((16, 64), (8, 64), (4, reads // 4), (1, reads), (0.125, 8 * reads)):
        layer = as_one_tile(with_ifm(read_bandwidth=f"{bandwidth} B/cycle"))
        assert int(layer.step_cycles.sum()) == 64
        assert layer.buffer_stall_cycles == expected - 64, bandwidth
        assert int(layer.work.step_ps.sum()) == expected * 1000


@pytest.mark.parametrize(("banks", "cycles"), [(1, 4), (2, 4), (3, 2), (4, 4), (5, 1), (64, 4), (65, 1), (128, 2)])
def test_channels_that_lie_in_one_bank_are_read_in_turn(banks: int, cycles: int) -> None:
    """Four channels are read together, 64 elements apart."""
    layer = as_one_tile(with_ifm(banks=banks, width="16 bit", ports=2))
    assert layer.buffer_stall_cycles == 64 * (cycles - 1)
    by_lane = as_one_tile(with_ifm(banks=banks, width="16 bit", ports=2, interleaving="lanes"))
    assert by_lane.buffer_stall_cycles == 64 * (-(-4 // banks) - 1)


def simulated(accelerator: Accelerator) -> Report:
    return simulator.simulate(chain(conv_layer("layer", (4, 32, 32), 4, (1, 1))), accelerator)


def test_dma_steals_cycles_from_a_single_port_alone() -> None:
    """Four channels a cycle fill a port of 8 B/cycle: a further tile that comes in meanwhile takes an eighth."""

    def stalls(ports: int, buffering: int) -> float:
        ifm = {"capacity": "1 KiB", "width": "64 bit", "interleaving": "lanes", "ports": ports, "buffering": buffering}
        buffers = {"ifm": ifm, "kernel": {"capacity": "4 KiB"}, "ofm": {"capacity": "64 KiB"}}
        report = simulated(small_accelerator(buffers=buffers))
        assert report.layers["tiles"].iloc[0] > 1
        return float(report.totals["buffer_stall_cycles"])

    assert stalls(2, 2) == stalls(1, 1) == stalls(2, 1) == 0
    tiles_after_the_first = 4 * 32 * 32 * 2 - 4 * 32 * 2 * 2
    assert 0 < stalls(1, 2) <= tiles_after_the_first // 8 + 32


@pytest.mark.parametrize("preset", preset_names())
def test_shipped_presets_have_no_buffer_stalls(preset: str) -> None:
    if load_accelerator(preset).buffers.limited:
        pytest.skip("names banks")
    report = simulator.simulate(random_network(3), preset)
    assert report.totals["buffer_stall_cycles"] == 0


def random_network(seed: int) -> Trace:
    random = np.random.default_rng(seed)
    channels, size, outputs = (int(value) for value in random.integers(1, 20, 3))
    kernel = int(random.integers(1, min(size, 3) + 1))
    first = conv_layer("conv", (channels, size, size + 2), outputs, (kernel, kernel), stride=int(random.integers(1, 3)))
    depthwise = conv_layer("depthwise", first.ofm, outputs, (1, 1), groups=outputs)
    add = Layer("act", "relu", first.ofm, first.ofm)
    return with_random_maps(chain(first, depthwise, add), random, kernel_density=0.7)


@st.composite
def accelerators(draw: st.DrawFn) -> Accelerator:
    def buffer(**more: object) -> dict[str, object]:
        found: dict[str, object] = {"capacity": draw(st.sampled_from(["700 B", "2 KiB", "16 KiB"])), **more}
        if draw(st.booleans()):
            found |= {"banks": draw(st.integers(1, 8)), "width": draw(st.sampled_from(["8 bit", "32 bit", "64 bit"]))}
            found |= {
                "ports": draw(st.sampled_from([1, 2])),
                "interleaving": draw(st.sampled_from(["address", "lanes"])),
            }
        return found

    copies = {operand: {"buffering": draw(st.sampled_from([1, 2, 3]))} for operand in ("ifm", "kernel", "ofm")}
    buffers = {"ifm": buffer(**copies["ifm"]), "kernel": buffer(**copies["kernel"])}
    shared = {"shared_with": "ifm", **copies["ofm"]}
    part = draw(st.sampled_from([{}, {"share": 0.4}, {"capacity": "300 B"}]))
    buffers["ofm"] = draw(st.sampled_from([{**shared, **part}, buffer(**copies["ofm"])]))
    arrays: list[dict[str, object]] = [
        {"rows": 4, "columns": 4, "dataflow": "spatial", "unroll": {"rows": ["K", "P"], "columns": ["C", "Q"]}},
        *({"rows": 8, "columns": 4, "dataflow": f"{name}_stationary"} for name in ("weight", "output", "input")),
    ]
    codec = draw(st.sampled_from(["raw", "bitmap"]))
    compression = {"feature_map": codec, "kernel": codec}
    return small_accelerator(buffers=buffers, array=draw(st.sampled_from(arrays)), compression=compression)


@settings(deadline=None, max_examples=80)
@given(st.integers(0, 10_000), accelerators(), st.sampled_from([None, "dynamic"]))
def test_no_buffer_ever_holds_more_than_it_can(seed: int, accelerator: Accelerator, pruning: str | None) -> None:
    layers = simulator.simulate(random_network(seed), accelerator, pruning=pruning).layers
    for operand in ("ifm", "kernel", "ofm"):
        buffer = getattr(accelerator.buffers, operand)
        limit = 0 if buffer.shared_with else buffer.capacity
        assert (layers[f"{operand}_buffer_peak_bytes"] <= limit).all()
    assert (layers["ifm_buffer_peak_bytes"] > 0).any()
    stalls = layers[[f"stall_{name}_cycles" for name in STALLS]]
    assert (stalls >= 0).all().all()
    assert (layers["buffer_stall_cycles"] + stalls.sum(axis=1) == layers["stall_cycles"]).all()
    assert (layers["compute_cycles"] + layers["stall_cycles"] == layers["cycles"]).all()
    if not accelerator.buffers.limited:
        assert (layers["buffer_stall_cycles"] == 0).all()


def test_totals_sum_stalls_and_take_the_highest_peak() -> None:
    report = simulator.simulate(random_network(5), with_ifm(banks=1, width="16 bit"))
    assert report.totals["buffer_stall_cycles"] == report.layers["buffer_stall_cycles"].sum() > 0
    assert report.totals["ifm_buffer_peak_bytes"] == report.layers["ifm_buffer_peak_bytes"].max() > 0
