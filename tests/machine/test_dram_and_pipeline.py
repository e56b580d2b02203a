"""DRAM requests and the event loop: closed forms on cases small enough to work out by hand."""

import numpy as np
import simpy
from builders import small_accelerator
from hypothesis import example, given, settings
from hypothesis import strategies as st

from simulator.machine.dram import RunTable, request_costs
from simulator.machine.dram_port import Bus
from simulator.machine.pipeline import LayerTiming, LayerWork, OperandStream, OutputStream, run_layer

DRAM = small_accelerator().dram  # 1 GB/s, 64 B bursts, 1 KiB rows, 10 ns a row


def table(*requests: list[tuple[int, int]]) -> RunTable:
    flat = [(index, start, length) for index, runs in enumerate(requests) for start, length in runs]
    columns = np.array(flat, np.int64).reshape(-1, 3).T
    return RunTable.of(len(requests), *columns)


def test_whole_bursts_move_and_rows_cost_time() -> None:
    costs = request_costs(DRAM, table([(0, 64)], [(60, 8)], [(0, 2048)], []))
    assert costs.moved_bytes.tolist() == [64, 128, 2048, 0]
    assert costs.row_misses.tolist() == [1, 1, 2, 0]
    assert costs.row_hits.tolist() == [0, 1, 30, 0]
    assert costs.duration_ps.tolist() == [64_000 + 10_000, 128_000 + 10_000, 2_048_000 + 20_000, 0]


def test_a_burst_shared_by_two_runs_of_a_request_moves_once() -> None:
    costs = request_costs(DRAM, table([(0, 10), (20, 10), (40, 30)], [(0, 10)], [(20, 10)]))
    assert costs.moved_bytes.tolist() == [128, 64, 64]
    assert costs.row_misses.tolist() == [1, 1, 1]


@given(st.lists(st.tuples(st.integers(0, 40), st.integers(1, 300)), min_size=1, max_size=12))
def test_bursts_and_rows_against_sets_of_addresses(gaps: list[tuple[int, int]]) -> None:
    runs, end = [], 0
    for gap, length in gaps:
        runs.append((end + gap, length))
        end += gap + length
    touched = {address for start, length in runs for address in range(start, start + length)}
    costs = request_costs(DRAM, table(runs))
    assert costs.moved_bytes[0] == 64 * len({address // 64 for address in touched})
    assert costs.row_misses[0] == len({address // 1024 for address in touched})


def play(work: LayerWork) -> tuple[LayerTiming, Bus]:
    env = simpy.Environment()
    dram = Bus(env)
    timing = env.run(env.process(run_layer(env, dram, work)))
    return timing, dram


def work(
    steps: list[int],
    ifm: list[int],
    kernel: list[int],
    stores: list[int],
    *,
    kernel_loads: list[bool] | None = None,
    slots: int = 2,
) -> LayerWork:
    """One IFM load and one OFM store per step; a kernel load per step unless told otherwise."""
    every = np.ones(len(steps), np.bool_)
    loads = every if kernel_loads is None else np.array(kernel_loads)
    zeros = np.zeros(len(steps), np.int64)
    return LayerWork(
        np.array(steps, np.int64),
        {
            "ifm": OperandStream(every, np.array(ifm, np.int64), slots),
            "kernel": OperandStream(loads, np.array(kernel, np.int64), slots),
        },
        OutputStream(every, every, zeros, np.array(stores, np.int64), zeros, slots, zeros > 0),
    )


def test_one_tile_is_load_compute_store() -> None:
    timing, _ = play(work([100], [10], [5], [7]))
    assert timing.end_ps == 10 + 5 + 100 + 7
    assert timing.array_busy_ps == 100
    assert timing.drain_ps == 7


def test_compute_bound_layers_hide_their_loads() -> None:
    """The first IFM tile shares the bus with two kernel tiles: 10 ps beside the first, 10 beside the second."""
    timing, _ = play(work([100] * 10, [10] * 10, [5] * 10, [7] * 10))
    assert timing.end_ps == 20 + 10 * 100 + 7


def test_memory_bound_layers_keep_the_bus_busy() -> None:
    timing, dram = play(work([1] * 10, [100] * 10, [50] * 10, [70] * 10))
    assert dram.busy_ps == 10 * 220
    assert timing.end_ps - dram.busy_ps <= 2  # nothing but the last step's compute is not under a transfer


def test_a_single_slot_takes_turns() -> None:
    timing, _ = play(work([100] * 4, [10] * 4, [0] * 4, [0] * 4, slots=1))
    assert timing.end_ps == 4 * (10 + 100)


def test_kernels_that_stay_are_loaded_once() -> None:
    timing, dram = play(work([10] * 3, [4] * 3, [5], [0] * 3, kernel_loads=[True, False, False]))
    assert dram.busy_ps == 3 * 4 + 5
    assert timing.end_ps == 10 + 30  # the kernels share the bus with two IFM tiles: 8 ps for 4, then 2 for the last


times = st.lists(st.integers(0, 50), min_size=6, max_size=6)


@settings(deadline=None)
@given(times, times, times, times, st.sampled_from([1, 2]))
@example([0, 35, 0, 0, 0, 0], [0, 0, 0, 1, 0, 1], [0, 1, 18, 0, 1, 0], [19, 0, 0, 1, 0, 0], 2)
def test_time_is_conserved(steps: list[int], ifm: list[int], kernel: list[int], stores: list[int], slots: int) -> None:
    case = work(steps, ifm, kernel, stores, slots=slots)
    timing, dram = play(case)
    assert timing.array_busy_ps + sum(timing.waits_ps.values()) + timing.drain_ps == timing.end_ps
    assert timing.array_busy_ps == sum(steps)
    assert dram.busy_ps == sum(ifm) + sum(kernel) + sum(stores) <= timing.end_ps
    assert timing.end_ps >= max(dram.busy_ps, sum(steps))
    assert play(case)[0] == timing
