"""Kernels that are fetched while the layer before still runs: when, how many, and what they must not change."""

import dataclasses
from collections.abc import Callable

import numpy as np
import pytest
from builders import chain, small_accelerator, with_random_maps
from random_networks import random_network

import simulator
from simulator.machine import sequence
from simulator.machine.dram_port import Bus
from simulator.trace.shapes import conv_layer
from simulator.trace.trace import Trace

LARGE = {operand: {"capacity": "64 KiB"} for operand in ("ifm", "kernel", "ofm")}
HALVES = {"layers": {"*": {"k": 8, "c": 16, "m": 8, "p": 16, "q": 16}}}
"""Two kernel tiles in each layer of `two`."""
QUIET = {"dram.bandwidth": "16 GB/s", "dram.row_miss": "0 ps"}
"""Layers of the array take longer than their transfers."""


def fetching(early: bool = True, **overrides: object) -> simulator.Accelerator:
    return small_accelerator(**{"dma.prefetch_kernels": early, **overrides})


def two(outputs: int = 16) -> Trace:
    return chain(
        conv_layer("a", (16, 16, 16), 16, (3, 3), padding=1), conv_layer("b", (16, 16, 16), outputs, (3, 3), padding=1)
    )


def requests(
    monkeypatch: pytest.MonkeyPatch, trace: Trace, accelerator: simulator.Accelerator
) -> list[tuple[str, int, int, int]]:
    """Stream, beginning, end and time alone of every request that the bus serves, in the order of their making."""
    served: list[list[object]] = []
    original = Bus.start

    def start(bus: Bus, stream: str, duration_ps: int, runs: object, then: Callable[[object], None]) -> bool:
        request: list[object] = [stream, int(bus._env.now), 0, duration_ps]

        def ended(_: object) -> None:
            request[2] = int(bus._env.now)
            then(None)

        moves = original(bus, stream, duration_ps, None, ended)
        if moves:
            served.append(request)
        return moves

    with monkeypatch.context() as patched:
        patched.setattr(Bus, "start", start)
        simulator.simulate(trace, accelerator)
    return [tuple(request) for request in served]  # type: ignore[misc]


def test_the_next_layer_begins_with_its_first_kernels_there(monkeypatch: pytest.MonkeyPatch) -> None:
    overrides = {"buffers": LARGE, **QUIET}
    apart, early = (requests(monkeypatch, two(), fetching(when, **overrides)) for when in (False, True))
    first_of_b = [alone for stream, *_, alone in apart if stream == "kernel"][-2]
    reports = [simulator.simulate(two(), fetching(when, **overrides)) for when in (False, True)]
    saved = reports[0].totals["cycles"] - reports[1].totals["cycles"]
    assert abs(saved - first_of_b / 1000) <= 1, (saved, first_of_b)
    assert reports[1].traffic.equals(reports[0].traffic)
    assert reports[1].layers["compute_cycles"].tolist() == reports[0].layers["compute_cycles"].tolist()
    assert len(early) == len(apart)


def test_feature_maps_are_loaded_once_they_are_stored(monkeypatch: pytest.MonkeyPatch) -> None:
    found = requests(monkeypatch, two(), fetching(buffers=LARGE, **QUIET))
    stores = [end for stream, _, end, _ in found if stream == "ofm"]
    loads = [begin for stream, begin, *_ in found if stream == "ifm"]
    kernels = [begin for stream, begin, *_ in found if stream == "kernel"]
    of_a = len(stores) // 2  # both layers have the same tiles
    assert min(loads[len(loads) // 2 :]) >= max(stores[:of_a]), (loads, stores)
    assert kernels[len(kernels) // 2] < max(stores[:of_a]), (kernels, stores)


def test_kernels_wait_where_the_buffer_is_full() -> None:
    half = 2 * 8 * 16 * 9
    exact = {**LARGE, "kernel": {"capacity": f"{half} B", "buffering": 1}}
    trace = dataclasses.replace(two(), layers=[dataclasses.replace(layer, fused=("gelu",)) for layer in two().layers])
    slow = {"lanes": 1, "operations": {"gelu": 20}}
    for unit, expected in (({}, 0), (slow, half / 16)):
        overrides = {"buffers": exact, "post_processing": unit, "mapping": HALVES, **QUIET}
        apart, early = (simulator.simulate(trace, fetching(when, **overrides)) for when in (False, True))
        assert early.layers["kernel_buffer_peak_bytes"].max() <= half
        saved = apart.totals["cycles"] - early.totals["cycles"]
        assert abs(saved - expected) <= 1, "a's kernels leave at its end: all that is left is its post-processing"


def test_more_kernels_than_there_is_room_for_are_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    exact = {**LARGE, "kernel": {"capacity": f"{2 * 8 * 16 * 9} B", "buffering": 1}}
    monkeypatch.setattr(sequence, "_kernel_room", lambda *_: sequence._KernelRoom(left_bytes=1 << 20, own_bytes=0))
    with pytest.raises(AssertionError, match=r"layer 'a': .* the tiles of kernel take"):
        simulator.simulate(two(), fetching(buffers=exact, mapping=HALVES, **QUIET))


def test_kernels_that_depend_on_flags_wait_for_their_layer() -> None:
    trace = with_random_maps(two(), np.random.default_rng(1), empty_maps=0.4)
    apart, early = (
        simulator.simulate(trace, fetching(when, buffers=LARGE, **QUIET), pruning="dynamic") for when in (False, True)
    )
    assert early.totals == apart.totals


@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize("seed", range(10))
def test_time_never_gets_worse_and_bytes_stay(seed: int, shared: bool) -> None:
    trace = random_network(seed)
    one = {"ifm": {"capacity": "12 KiB"}, "kernel": {"shared_with": "ifm"}, "ofm": {"shared_with": "ifm"}}
    overrides = {**QUIET, "on_chip": {"feature_maps": True}, **({"buffers": one} if shared else {})}
    apart, early = (simulator.simulate(trace, fetching(when, **overrides), batch=2) for when in (False, True))
    assert early.traffic.equals(apart.traffic)
    assert early.totals["cycles"] <= apart.totals["cycles"]
    assert (early.layers["dram_busy_cycles"] <= early.layers["cycles"] + 1).all()
    assert early.layers.equals(simulator.simulate(trace, fetching(**overrides), batch=2).layers)


@pytest.mark.parametrize("prefetch", [1, 3])
def test_a_memory_system_serves_them_too(prefetch: int) -> None:
    trace = random_network(3)
    names = [layer.name for layer in trace.layers]
    reports = [
        simulator.simulate(
            trace,
            "edge-npu",
            batch=2,
            overrides={"dma.prefetch_kernels": when, "dma.prefetch": prefetch, "compression.feature_map": "raw"},
        )
        for when in (False, True)
    ]
    apart, early = reports
    assert early.traffic.equals(apart.traffic)
    assert early.totals["cycles"] < apart.totals["cycles"]
    names = names[:-1]  # the last one has the writes that wait in the controllers
    parts = [f"dram_{part}_cycles" for part in ("busy", "turnaround", "group", "row", "refresh", "idle")]
    rows = early.layers.set_index("layer").loc[names]
    assert (abs(rows[parts].sum(axis=1) - rows["cycles"]) <= len(parts)).all()


def four() -> Trace:
    """Four equal layers, each with one kernel tile."""
    return chain(*(conv_layer(name, (16, 16, 16), 16, (3, 3), padding=1) for name in "abcd"))


ONE_TILE = {"layers": {"*": {"k": 16, "c": 16, "m": 16, "p": 8, "q": 16}}}
KERNEL_BYTES = 2 * 16 * 16 * 9


@pytest.mark.parametrize(("tiles_of_room", "ahead"), [(1, 0), (2, 1), (3, 2), (4, 3), (9, 3)])
def test_kernels_of_several_layers_come_in_order_as_far_as_there_is_room(
    monkeypatch: pytest.MonkeyPatch, tiles_of_room: int, ahead: int
) -> None:
    """While the array works on the first layer: its own kernels, and those of as many others as fit beside them."""
    exact = {**LARGE, "kernel": {"capacity": f"{tiles_of_room * KERNEL_BYTES} B", "buffering": 1}}
    accelerator = fetching(buffers=exact, mapping=ONE_TILE, **QUIET, **{"dma.prefetch_layers": 8})
    found = requests(monkeypatch, four(), accelerator)
    kernels = [begin for stream, begin, *_ in found if stream == "kernel"]
    stores = [begin for stream, begin, *_ in found if stream == "ofm"]
    array_end = stores[len(stores) // 4 - 1]  # a's last store
    print(kernels, array_end)
    assert sum(begin < array_end for begin in kernels) == 1 + ahead
    report = simulator.simulate(four(), accelerator)
    assert report.layers["kernel_buffer_peak_bytes"].max() <= tiles_of_room * KERNEL_BYTES


def test_kernels_behind_a_layer_with_several_tiles_wait_for_it() -> None:
    """The halves of b's kernels keep c's from coming before b runs: nothing is gained over one layer ahead."""
    layers = {"*": ONE_TILE["layers"]["*"], "b": HALVES["layers"]["*"]}
    overrides = {"buffers": LARGE, "mapping": {"layers": layers}, **QUIET}
    one, several = (
        simulator.simulate(four(), fetching(**overrides, **{"dma.prefetch_layers": ahead})) for ahead in (1, 2)
    )
    first = [report.layers.set_index("layer")["dram_busy_cycles"]["a"] for report in (one, several)]
    assert first[0] == first[1]


@pytest.mark.parametrize("seed", range(10))
def test_looking_further_ahead_moves_the_same_bytes(seed: int) -> None:
    trace = random_network(seed)
    overrides = {**QUIET, "on_chip": {"feature_maps": True}, "dma.prefetch_layers": 5}
    apart, early = (simulator.simulate(trace, fetching(when, **overrides), batch=2) for when in (False, True))
    assert early.traffic.equals(apart.traffic)
    assert early.totals["cycles"] <= apart.totals["cycles"]
    assert (early.layers["dram_busy_cycles"] <= early.layers["cycles"] + 1).all()
