"""A network on a memory system that is played command by command."""

import itertools

import numpy as np
import pytest
import simpy
from builders import chain, small_accelerator, with_random_maps
from hypothesis import given, settings
from hypothesis import strategies as st

import simulator
from simulator.hardware.accelerator import Accelerator
from simulator.machine.allocation import Allocator
from simulator.machine.burst_runs import burst_runs, request_of
from simulator.machine.dram import RunTable, request_costs
from simulator.machine.memory_port import MemoryPort
from simulator.machine.pruning import DynamicPruning
from simulator.machine.simulate import run
from simulator.mapping.plan import plan
from simulator.report.report import Report
from simulator.trace.shapes import conv_layer
from simulator.trace.trace import Trace

BUFFERS = {name: {"capacity": "64 KiB"} for name in ("ifm", "kernel", "ofm")}


def accelerator(standard: str = "DDR4-2400", **overrides: object) -> Accelerator:
    dram = {"standard": standard, **overrides.pop("memory", {})}  # type: ignore[dict-item]
    return small_accelerator(dram=dram, **overrides)


def network() -> Trace:
    layers = (
        conv_layer("wide", (16, 28, 28), 32, (3, 3), padding=1),
        conv_layer("strided", (32, 28, 28), 16, (3, 3), stride=2, padding=1),
        conv_layer("deep", (16, 14, 14), 64, (1, 1)),
    )
    return with_random_maps(chain(*layers), np.random.default_rng(7), kernel_density=0.9)


def bursts_of(report: Report, direction: str, burst: int) -> float:
    rows = report.traffic[(report.traffic["level"] == "dram") & (report.traffic["direction"] == direction)]
    return float(rows["bytes"].sum()) / burst


@pytest.mark.parametrize("standard", ["DDR4-2400", "LPDDR5-6400", "HBM2-2000", "GDDR6-14000"])
@pytest.mark.parametrize("controller", ["ramulator2", "dramsim3"])
def test_every_burst_of_the_schedule_is_read_or_written(standard: str, controller: str) -> None:
    hardware = accelerator(standard, memory={"controller": controller})
    trace = network()
    for pruned in (False, True):
        result = run(trace, hardware, plan(trace, hardware, 1), [0], pruned=pruned)
        used = [layer.timing.dram for layer in result.layers]
        moved = {
            direction: sum(row.bytes for layer in result.layers for row in layer.traffic
                           if (row.level, row.direction) == ("dram", direction))
            for direction in ("read", "write")
        }  # fmt: skip
        assert sum(use.reads for use in used if use) * hardware.dram.burst == moved["read"]
        assert sum(use.writes for use in used if use) * hardware.dram.burst == moved["write"]


@pytest.mark.parametrize("standard", ["DDR4-2400", "HBM2-2000"])
def test_the_time_of_the_pins_adds_up(standard: str) -> None:
    hardware = accelerator(standard)
    trace = network()
    result = run(trace, hardware, plan(trace, hardware, 1), [0], pruned=False)
    for layer in result.layers:
        use, timing = layer.timing.dram, layer.timing
        assert use is not None
        parts = use.busy_ps + use.turnaround_ps + use.group_ps + use.row_ps + use.refresh_ps + use.idle_ps
        assert parts == pytest.approx(timing.end_ps - timing.start_ps, rel=0.02, abs=200_000)
    refreshes = sum(layer.timing.dram.refreshes for layer in result.layers if layer.timing.dram)
    device = hardware.dram.device
    assert device is not None
    expected = result.layers[-1].timing.end_ps / (device.timing.tREFI * device.timing.clock)
    assert abs(refreshes / device.organisation.channels - expected) <= 2


def test_waits_and_work_are_the_whole_time() -> None:
    for standard in ("DDR4-2400", "HBM3-6400"):
        for layer in run(network(), accelerator(standard), plan(network(), accelerator(standard), 1), [0],
                         pruned=False).layers:  # fmt: skip
            timing = layer.timing
            parts = timing.array_busy_ps + sum(timing.waits_ps.values()) + timing.drain_ps
            assert parts == timing.end_ps - timing.start_ps
            assert min(timing.waits_ps.values()) >= 0


def test_a_slow_array_hides_the_memory() -> None:
    report = simulator.simulate(network(), accelerator("HBM3-6400", clock="10 MHz", buffers=BUFFERS))
    assert report.totals["stall_cycles"] < 0.1 * report.totals["cycles"]


def test_a_fast_array_waits_for_what_the_memory_achieves() -> None:
    """Whatever the array's speed, time is what the same requests take when nothing else holds them up."""
    layer = chain(conv_layer("large", (64, 64, 64), 64, (1, 1)))
    times = []
    for clock in ("100 GHz", "400 GHz"):
        hardware = accelerator("DDR4-2400", clock=clock, buffers=BUFFERS, **{"post_processing.lanes": 4096})
        result = run(layer, hardware, plan(layer, hardware, 1), [], pruned=False)
        (only,) = result.layers
        assert only.timing.dram is not None
        assert only.timing.dram.idle_ps < 0.1 * only.timing.end_ps
        times.append(only.timing.end_ps)
    assert times[0] == pytest.approx(times[1], rel=0.1)  # the order of requests differs


def test_runs_repeat_exactly() -> None:
    first, second = (simulator.simulate(network(), accelerator("LPDDR5-6400")) for _ in range(2))
    assert first.layers.equals(second.layers)


def test_playing_ahead_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """The memory system is known up to now only; how far it is played ahead must not matter."""
    hardware, trace = accelerator("DDR4-2400"), network()
    schedule = plan(trace, hardware, 1)
    ends = []
    for slice_ps in (100_000, 3_000_000, 20_000_000, 10**12):
        monkeypatch.setattr("simulator.machine.memory_port.SLICE_PS", slice_ps)
        ends.append([layer.timing.end_ps for layer in run(trace, hardware, schedule, [0], pruned=False).layers])
    assert max(ends) == min(ends)


def test_prefetch_arbitration_and_outstanding_requests_matter() -> None:
    def cycles(**dma: object) -> float:
        small = {"ifm": {"capacity": "4 KiB"}, "ofm": {"capacity": "4 KiB"}}  # so that streams meet at the DRAM
        hardware = accelerator("DDR4-2400", dma=dma, buffers={**small, "kernel": {"capacity": "2 KiB", "buffering": 3}})
        return float(simulator.simulate(network(), hardware).totals["cycles"])

    plain = cycles()
    assert cycles(outstanding=1, request="64 B") > plain
    assert cycles(prefetch=2) <= plain * 1.02
    assert cycles(arbitration="priority", priority=["kernel", "ifm", "ofm", "psum"]) != plain


def test_where_tensors_begin_matters() -> None:
    conflicts = {
        allocation: simulator.simulate(
            network(),
            accelerator("DDR4-2400", memory={"allocation": allocation, "mapping": "rowmajor"}, buffers=BUFFERS),
        ).layers["row_conflicts"].sum()
        for allocation in ("staggered", "aligned", "packed")
    }  # fmt: skip
    assert conflicts["aligned"] >= conflicts["staggered"]


@pytest.mark.parametrize("allocation", ["staggered", "aligned", "packed"])
@given(sizes=st.lists(st.integers(1, 300_000), min_size=1, max_size=30))
@settings(max_examples=30, deadline=None)
def test_allocations_never_overlap(allocation: str, sizes: list[int]) -> None:
    dram = accelerator("DDR4-2400", memory={"allocation": allocation}).dram
    allocator = Allocator(dram)
    taken = sorted((allocator.base(index, size), size) for index, size in enumerate(sizes))
    assert all(start + size <= behind for (start, size), (behind, _) in itertools.pairwise(taken))
    assert all(start % dram.burst == 0 for start, _ in taken)
    assert allocator.base(0, sizes[0]) in {start for start, _ in taken}


@given(
    pieces=st.lists(st.lists(st.tuples(st.integers(1, 300), st.integers(1, 500)), max_size=8), min_size=1, max_size=6),
    burst=st.sampled_from([32, 64]),
)
@settings(max_examples=60, deadline=None)
def test_runs_of_bursts_are_the_bursts_that_are_paid_for(pieces: list[list[tuple[int, int]]], burst: int) -> None:
    request, start, length = [], [], []
    for number, runs in enumerate(pieces):
        position = 0
        for gap, size in runs:
            position += gap
            request.append(number)
            start.append(position)
            length.append(size)
            position += size
    table = RunTable.of(len(pieces), *(np.array(column, np.int64) for column in (request, start, length)))
    costs = request_costs(small_accelerator(**{"dram.burst": f"{burst} B"}).dram, table)
    found = burst_runs(table, burst, 4096, write=True)
    for number in range(len(pieces)):
        first, bursts = request_of((found,), number)
        assert -int(bursts.sum()) * burst == costs.moved_bytes[number]
        touched = {
            block
            for at, size in zip(start, length, strict=True)
            for block in range(at // burst, -(-(at + size) // burst))
        }
        assert all(int(block) - 4096 // burst in touched for block in first)


def test_pruning_saves_time_on_a_memory_system() -> None:
    trace, hardware = network(), accelerator("DDR4-2400", clock="20 GHz")
    dense, pruned = (simulator.simulate(trace, hardware, pruning=setting) for setting in (None, DynamicPruning()))
    assert pruned.totals["dram_bytes"] < dense.totals["dram_bytes"]
    assert pruned.totals["cycles"] < dense.totals["cycles"]


def test_a_bus_and_a_memory_system_move_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    hardware = accelerator("DDR4-2400")
    flat = small_accelerator(
        dram={"name": "flat", "bandwidth": "18 GB/s", "burst": "64 B", "row": "8 KiB", "energy": "1 pJ/bit"}
    )
    assert isinstance(MemoryPort(simpy.Environment(), hardware), MemoryPort)
    trace = network()
    schedule = plan(trace, flat, 1)
    moved = [
        [layer.dram_bytes for layer in run(trace, of, schedule, [0], pruned=True).layers] for of in (hardware, flat)
    ]
    assert moved[0] == moved[1]


def test_a_long_run_that_is_interrupted_is_played_again_from_the_right_state(monkeypatch: pytest.MonkeyPatch) -> None:
    """Kernels in one long run, interrupted by other streams: what is skipped must not outlive a return."""
    layer = chain(conv_layer("long", (512, 6, 6), 512, (1, 1)))
    hardware = accelerator("DDR4-2400", buffers={name: {"capacity": "256 KiB"} for name in ("ifm", "kernel", "ofm")})
    schedule = plan(layer, hardware, 1)
    ends = []
    for slice_ps in (300_000, 20_000_000):
        monkeypatch.setattr("simulator.machine.memory_port.SLICE_PS", slice_ps)
        (only,) = run(layer, hardware, schedule, [], pruned=False).layers
        assert only.timing.dram is not None
        moved = (only.timing.dram.reads + only.timing.dram.writes) * hardware.dram.burst
        assert moved == only.dram_bytes
        ends.append(only.timing.end_ps)
    assert ends[0] == pytest.approx(ends[1], rel=0.01)
