"""The memory system as a whole: nothing gets lost, and neither slices, snapshots nor skipped periods change a thing."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from memories import FOREVER, played, serve

from simulator.dram.address_map import address_map
from simulator.dram.counters import Counters
from simulator.dram.energy import energy_of
from simulator.dram.memory import Dma, Memory
from simulator.dram.patterns import Kind, Pattern, runs_of
from simulator.dram.state import PERIOD
from simulator.hardware.dram_device import CONTROLLERS, device_names, load_device

PER_CONTROLLER = pytest.mark.parametrize("controller", CONTROLLERS)
PER_DEVICE = pytest.mark.parametrize("name", device_names())

Runs = list[tuple[int, int]]


def memory_of(name: str = "DDR4-2400", controller: str = "ramulator2", streams: int = 1, dma: Dma | None = None) -> Any:
    return Memory(load_device(name), CONTROLLERS[controller], None, streams, dma)


def submit(memory: Memory, runs: Runs, stream: int = 0, clock: int = 0) -> int:
    first, bursts = (np.array(column, np.int64) for column in zip(*runs, strict=True))
    return memory.submit(stream, first, bursts, clock)


def clocks(counters: Counters) -> int:
    parts = ("busy", "turnaround", "group", "row", "refresh", "idle")
    return sum(getattr(counters, f"{part}_clocks") for part in parts)


def scattered(seed: int, count: int = 200, writes: bool = True) -> Runs:
    random = np.random.default_rng(seed)
    lengths = random.integers(1, 40, count) * (random.choice([1, -1], count) if writes else 1)
    return list(zip(random.integers(0, 1 << 22, count).tolist(), lengths.tolist(), strict=True))


@PER_CONTROLLER
@PER_DEVICE
@pytest.mark.parametrize("kind", ["seq", "random", "streams"])
def test_every_burst_is_moved_and_every_clock_accounted_for(name: str, controller: str, kind: Kind) -> None:
    run = played(name, kind, controller=controller, size=1 << 18)
    done = run.drain()
    memory, device = run.memory, load_device(name)
    kept = device.organisation.channels * CONTROLLERS[controller].write_low if controller == "dramsim3" else 0
    assert run.bursts - (kept if kind == "streams" else 0) <= done.reads + done.writes <= run.bursts
    assert done.busy_clocks == (done.reads + done.writes) * device.timing.BL
    assert clocks(done) == memory.pins * memory.pins_clock()
    assert min(vars(done).values()) >= 0
    assert done.row_hits + done.activates >= done.reads + done.writes
    assert sum(memory.admitted_bursts()) == run.bursts


@PER_CONTROLLER
def test_counted_clocks_are_those_of_the_pins(controller: str) -> None:
    run = played("DDR4-2400", "streams", controller=controller)
    run.memory.play(run.memory.clock + 20_000)
    assert clocks(run.memory.counters()) == run.memory.pins_clock()


@PER_CONTROLLER
@PER_DEVICE
@pytest.mark.parametrize("sign", [1, -1], ids=["read", "written"])
def test_skipped_periods_change_nothing(name: str, controller: str, sign: int) -> None:
    ends, counted = [], []
    for skipping in (True, False):
        memory = memory_of(name, controller)
        if not skipping:
            memory._front[PERIOD] = 0
        ends.append(serve(memory, 5, sign * 100_000))
        memory.play(memory.clock + 5_000)
        counted.append(memory.counters())
    skipped, whole = ends
    assert skipped == pytest.approx(whole, rel=0.005)
    for field in ("reads", "writes", "busy_clocks"):
        assert getattr(counted[0], field) == getattr(counted[1], field), field
    for field in ("activates", "row_hits", "refreshes"):
        assert getattr(counted[0], field) == pytest.approx(getattr(counted[1], field), rel=0.01, abs=16), field


@PER_CONTROLLER
@pytest.mark.parametrize("name", ["DDR4-2400", "LPDDR5-6400", "HBM2-2000"])
def test_a_snapshot_replays_identically(name: str, controller: str) -> None:
    memory = memory_of(name, controller)
    submit(memory, scattered(1))
    memory.play(700)
    snapshot = memory.snapshot()
    seen = []
    for _ in range(2):
        seen.append((memory.play(FOREVER), memory.counters(), memory.latency_clocks(0.5, 0.99), memory.clock))
        memory.restore(snapshot)
    assert seen[0] == seen[1]
    assert seen[0][0][0][1] > 700


@PER_CONTROLLER
@pytest.mark.parametrize("step", [1, 7, 100, 5000])
def test_slices_end_when_one_go_does(controller: str, step: int) -> None:
    ends = []
    for sliced in (False, True):
        memory = memory_of("DDR4-2400", controller)
        tag = submit(memory, scattered(2, 60))
        until, served = 0, []
        while not served:
            until = until + step if sliced else FOREVER
            served = memory.play(until)
        assert [found for found, _ in served] == [tag]
        ends.append(served[0][1])
    assert ends[0] == ends[1]


def three_streams(name: str, step: int) -> tuple[list[tuple[int, int]], list[int], list[int]]:
    """Long and short runs of three streams on one channel, `step` clocks at a time: ends, commands, latencies."""
    device, random = load_device(name), np.random.default_rng(3)
    channel = device.organisation.model_copy(update={"channels": 1})
    commands = device.commands.model_copy(update={"separate_row_bus": False})
    device = device.model_copy(update={"organisation": channel, "commands": commands})
    memory = Memory(device, CONTROLLERS["ramulator2"], None, 3, Dma(256, 24))
    for stream, chunk in enumerate((4, 32, 8)):
        for _ in range(3):
            first = random.integers(0, 1 << 12, 40) * chunk
            memory.submit(stream, first, np.full(40, -chunk if stream == 2 else chunk), int(random.integers(0, 500)))
    ends: list[tuple[int, int]] = []
    until = 0
    while memory.pending:
        until += step
        ends += memory.play(until)
    memory.play(1 << 21)
    done = memory.counters()
    return sorted(ends), [done.row_hits, done.activates, done.precharges], memory.latencies().tolist()


@pytest.mark.parametrize("name", ["DDR3-1600", "DDR4-2400", "GDDR6-14000", "LPDDR5-6400", "HBM2-2000", "HBM3-6400"])
def test_what_goes_at_once_is_what_goes_clock_by_clock(name: str) -> None:
    """Bursts that are queued and served together: there are none where a clock at a time is played."""
    assert three_streams(name, 1 << 20) == three_streams(name, 1)


@settings(deadline=None, max_examples=40)
@given(
    runs=st.lists(st.tuples(st.integers(0, 1 << 22), st.integers(-50, 50).filter(bool)), min_size=1, max_size=60),
    controller=st.sampled_from(sorted(CONTROLLERS)),
    name=st.sampled_from(["DDR3-1600", "DDR4-2400", "LPDDR5-6400", "HBM2-2000"]),
)
def test_whatever_comes_is_served_once_and_never_too_fast(runs: Runs, controller: str, name: str) -> None:
    memory, device = memory_of(name, controller), load_device(name)
    submit(memory, runs)
    ((_, end),) = memory.play(FOREVER)
    memory.play(memory.clock + 20_000)
    done = memory.counters()
    asked = [sum(count for _, count in runs if count > 0), -sum(count for _, count in runs if count < 0)]
    assert done.reads == asked[0]
    left = asked[1] - done.writes
    assert 0 <= left <= (8 * device.organisation.channels if controller == "dramsim3" else 0)
    assert clocks(done) >= (done.reads + done.writes) * device.timing.BL
    if asked[0]:
        assert end >= device.timing.tRCDRD + device.timing.CL + device.timing.BL
    assert end * memory.pins >= asked[0] * device.timing.BL
    assert not memory.pending


@PER_CONTROLLER
def test_slower_parts_never_make_it_faster(controller: str) -> None:
    device = load_device("DDR4-2400")
    ends = []
    for factor in (1, 2):
        timing = device.timing
        slower = {field: factor * getattr(timing, field) for field in ("tRP", "tRCDRD", "tRCDWR", "tRAS", "tFAW")}
        changed = device.model_copy(update={"timing": timing.model_copy(update=slower)})
        memory = Memory(changed, CONTROLLERS[controller])
        submit(memory, scattered(3))
        ends.append(memory.play(FOREVER)[0][1])
    assert ends[0] < ends[1]


def two_streams(dma: Dma) -> tuple[int, int]:
    """When two streams of equal length that start together end."""
    memory = memory_of(streams=2, dma=dma)
    tags = [submit(memory, [(stream << 20, 2000)], stream) for stream in (0, 1)]
    ends: dict[int, int] = {}
    while len(ends) < 2:
        ends.update(memory.play(FOREVER))
    return ends[tags[0]], ends[tags[1]]


def test_streams_take_turns_or_the_first_goes_first() -> None:
    fair, first = two_streams(Dma()), two_streams(Dma(priority=True))
    assert fair[0] == pytest.approx(fair[1], rel=0.02)
    assert first[0] < 0.6 * first[1]
    assert first[1] == pytest.approx(max(fair), rel=0.05)


def test_few_outstanding_reads_slow_a_lone_stream() -> None:
    def end(dma: Dma | None) -> int:
        memory = memory_of(dma=dma)
        submit(memory, [(first, 1) for first, _ in scattered(4, 1000)])
        return memory.play(FOREVER)[0][1]

    ends = [end(Dma(request=64, outstanding=outstanding)) for outstanding in (1, 2, 4, 8, 16, 32)]
    assert ends == sorted(ends, reverse=True), ends
    assert ends[0] > 3 * ends[-1], ends
    assert ends[-1] == pytest.approx(end(None), rel=0.05)


def test_a_request_that_comes_later_starts_later() -> None:
    early, late = (serve(memory_of(), 0, 100, clock) for clock in (0, 1000))
    assert late == early + 1000


@pytest.mark.parametrize("load", [0.1, 0.25, 0.5])
def test_a_rate_below_the_peak_is_kept(load: float) -> None:
    run = played("DDR4-2400", "seq", load=load)
    assert run.share_of_peak == pytest.approx(load, rel=0.01)


def test_energy_is_counts_times_energy() -> None:
    run = played("HBM2-2000", "streams", chunk=512)
    done, device = run.drain(), load_device("HBM2-2000")
    energy = energy_of(device, done, run.clocks)
    assert energy.activate == done.activates * 500
    assert energy.read == pytest.approx(done.reads * 32 * 8 * 1.7)
    assert energy.write == pytest.approx(done.writes * 32 * 8 * 1.7)
    assert energy.refresh == done.refreshes * 2 * 32_000
    assert energy.background == pytest.approx(8 * 36 * run.nanoseconds)
    assert energy.total == sum(vars(energy).values())


def test_precharges_in_half_clocks_leave_room_for_activates() -> None:
    """HBM3 takes a precharge on the other edge of the clock: with all banks in use that can only help."""
    device = load_device("HBM3-6400")
    ends = []
    for slots in (0, 1):
        commands = device.commands.model_copy(update={"precharge_slots": slots})
        rotating = address_map("bgint", device.organisation)
        memory = Memory(device.model_copy(update={"commands": commands}), CONTROLLERS["ramulator2"], rotating)
        runs = runs_of(Pattern("random", chunk=64), 1 << 19, memory.burst_bytes)
        memory.submit(0, runs.first, runs.bursts, 0)
        ((_, end),) = memory.play(1 << 59)
        ends.append(end)
    assert ends[0] < ends[1]
