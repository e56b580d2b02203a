"""Feature maps that stay on chip: what no longer moves, that they fit at every instant, and which are preferred."""

import numpy as np
import pytest
from builders import chain, small_accelerator, with_random_maps
from random_networks import random_network

import simulator
from simulator.errors import InputError
from simulator.machine.residence import Residence, Stay
from simulator.report.report import Report
from simulator.trace.shapes import conv_layer
from simulator.trace.trace import Trace

LARGE = {operand: {"capacity": "64 KiB"} for operand in ("ifm", "kernel", "ofm")}


def keeping(capacity: str | None = None, **overrides: object) -> simulator.Accelerator:
    section: dict[str, object] = (
        {"feature_maps": True} if capacity is None else {"feature_maps": True, "capacity": capacity}
    )
    return small_accelerator(**{"dram.burst": "1 B", "on_chip": section, **overrides})


def moved(
    report: Report, operand: str, layer: str | None = None, level: str = "dram", direction: str | None = None
) -> int:
    rows = report.traffic.query("operand == @operand and level == @level")
    rows = rows if layer is None else rows[rows["layer"] == layer]
    return int((rows if direction is None else rows[rows["direction"] == direction])["bytes"].sum())


def three() -> Trace:
    sizes = [conv_layer(name, (8, 8, 8), 8, (3, 3), padding=1) for name in ("a", "b", "c")]
    return chain(*sizes)


def test_only_the_networks_ends_and_kernels_move() -> None:
    apart = simulator.simulate(three(), small_accelerator(**{"dram.burst": "1 B"}))
    report = simulator.simulate(three(), keeping("1 MiB"))
    one_map = 2 * 8 * 64
    assert (moved(report, "ifm", "b"), moved(report, "ifm", "c")) == (0, 0)
    assert moved(report, "ofm") == one_map
    assert moved(report, "ifm") == moved(apart, "ifm", "a")
    assert moved(report, "kernel") == moved(apart, "kernel")
    assert moved(report, "on_chip", level="buffer", direction="write") == 2 * one_map
    loads = moved(apart, "ifm", "b") + moved(apart, "ifm", "c")
    assert moved(report, "on_chip", level="buffer", direction="read") == loads
    assert report.layers["ifm_on_chip"].tolist() == [0, 1, 1]
    assert report.layers["ofm_on_chip"].tolist() == [1, 1, 0]
    assert report.layers["on_chip_bytes"].tolist() == [one_map, 2 * one_map, one_map]
    assert report.totals["on_chip_bytes"] == 2 * one_map
    assert report.totals["cycles"] < apart.totals["cycles"]


def test_what_stays_takes_energy_by_the_byte() -> None:
    memory = {"feature_maps": True, "capacity": "1 MiB", "read_energy": "2 pJ/B", "write_energy": "3 pJ/B"}
    report = simulator.simulate(three(), small_accelerator(on_chip=memory))
    reads, writes = (moved(report, "on_chip", level="buffer", direction=way) for way in ("read", "write"))
    assert report.energy_by_component()["on_chip_memory"] == 2 * reads + 3 * writes > 0


@pytest.mark.parametrize(("capacity", "kept"), [("1023 B", []), ("1 KiB", ["a"]), ("2 KiB", ["a", "b"])])
def test_a_map_stays_where_its_whole_batch_fits(capacity: str, kept: list[str]) -> None:
    layers = simulator.simulate(three(), keeping(capacity)).layers
    assert layers[layers["ofm_on_chip"] > 0]["layer"].tolist() == kept
    assert simulator.simulate(three(), keeping("2 KiB"), batch=2).layers["on_chip_bytes"].max() == 2048


def test_without_a_memory_of_their_own_they_take_what_tiles_leave() -> None:
    report = simulator.simulate(three(), keeping(buffers=LARGE))
    assert report.layers["ofm_on_chip"].tolist() == [1, 1, 0]
    small = {operand: {"capacity": "1 KiB"} for operand in ("ifm", "kernel", "ofm")}
    assert simulator.simulate(three(), keeping(buffers=small)).layers["ofm_on_chip"].sum() == 0
    with pytest.raises(InputError, match="belongs to a memory of its own"):
        small_accelerator(on_chip={"feature_maps": True, "read_energy": "1 pJ/B"})


def stay(tensor: int, size: int, first: int, last: int, saved: int) -> Stay:
    return Stay(frozenset([tensor]), size, first, last, saved)


def test_the_map_that_saves_most_per_byte_and_layer_goes_first() -> None:
    skip, short = stay(1, 100, 0, 3, 200), stay(2, 100, 1, 2, 200)
    assert Residence.of([skip, short], [100] * 4).tensors == {2}
    assert Residence.of([skip, short], [200] * 4).tensors == {1, 2}
    assert Residence.of([skip, short], [100, 200, 200, 100]).tensors == {1, 2}
    assert Residence.of([skip, short], [100, None, 200, 50]).tensors == {2}


def test_maps_fit_at_every_instant_and_no_other_one_would() -> None:
    rng = np.random.default_rng(0)
    for _ in range(200):
        layers = int(rng.integers(1, 12))
        room = [None if rng.random() < 0.1 else int(rng.integers(0, 400)) for _ in range(layers)]
        first = rng.integers(0, layers, 10)
        last = np.minimum(first + rng.integers(0, 5, 10), layers - 1)
        candidates = [
            stay(n, int(rng.integers(1, 200)), int(first[n]), int(last[n]), int(rng.integers(1, 500)))
            for n in range(10)
        ]
        found = Residence.of(candidates, room)
        left = [None if free is None else free - found.held_bytes(layer) for layer, free in enumerate(room)]
        assert all(free is None or free >= 0 for free in left)
        for other in (each for each in candidates if each not in found.stays):
            during = [free for free in left[other.first : other.last + 1] if free is not None]
            assert not during or min(during) < other.size_bytes, (other, left)


def test_more_than_fits_is_an_error() -> None:
    wrong = Residence((stay(0, 100, 0, 1, 1),), (100, 99), frozenset([0]))
    wrong.check(0, "a", 100)
    with pytest.raises(AssertionError, match="layer 'b': 100 B of feature maps stay on chip, with room for 99 B"):
        wrong.check(1, "b", 100)
    with pytest.raises(AssertionError, match="room for 7 B"):
        wrong.check(0, "a", 7)


@pytest.mark.parametrize("pruning", [None, "dynamic"])
@pytest.mark.parametrize("codec", ["raw", "bitmap"])
@pytest.mark.parametrize("seed", range(6))
def test_dram_moves_what_did_not_stay(seed: int, codec: str, pruning: str | None) -> None:
    trace = random_network(seed)
    stored = {"compression": {"feature_map": codec}}
    apart = simulator.simulate(trace, keeping(**stored, **{"on_chip.feature_maps": False}), batch=2, pruning=pruning)
    report = simulator.simulate(trace, keeping("1500 B", **stored), batch=2, pruning=pruning)
    assert report.layers["ofm_on_chip"].sum() > 0
    assert (report.layers["on_chip_bytes"] <= 1500).all()
    for row in report.layers.itertuples():
        inputs = len(set(trace.layer(row.layer).inputs))
        ifm, before = moved(report, "ifm", row.layer), moved(apart, "ifm", row.layer)
        if row.ofm_on_chip:
            assert moved(report, "ofm", row.layer) == moved(report, "metadata", row.layer, direction="write") == 0
        else:
            assert moved(report, "ofm", row.layer) == moved(apart, "ofm", row.layer)
        if not row.ifm_on_chip:
            assert ifm == before
        elif row.ifm_on_chip == inputs:
            assert ifm == 0
        else:
            assert ifm < before or trace.layer(row.layer).operator == "matmul"
    kernels = [layer.name for layer in trace.layers if not layer.two_activations]
    assert sum(moved(report, "kernel", name) for name in kernels) == sum(
        moved(apart, "kernel", name) for name in kernels
    )
    assert report.layers.equals(simulator.simulate(trace, keeping("1500 B", **stored), batch=2, pruning=pruning).layers)


def test_images_may_differ_in_what_stays() -> None:
    """Compressed maps that fit for one image and not for another: means are those of the images one by one."""
    trace = with_random_maps(three(), np.random.default_rng(2), images=3, empty_maps=0.4)
    differ = False
    for capacity in range(300, 1100, 100):
        accelerator = keeping(f"{capacity} B", compression={"feature_map": "bitmap"}, buffers=LARGE)
        together = simulator.simulate(trace, accelerator)
        single = [simulator.simulate(trace, accelerator, images=[image]) for image in range(3)]
        differ |= len({tuple(report.layers["ofm_on_chip"]) for report in single}) > 1
        traffic = together.traffic
        for name, row in (("bytes", traffic), ("dram_bytes", together.layers)):
            of_images = [report.traffic if name == "bytes" else report.layers for report in single]
            assert row[name].tolist() == pytest.approx(np.mean([table[name] for table in of_images], axis=0).tolist())
        over_dram = traffic[traffic["level"] == "dram"]["bytes"].sum()
        assert over_dram == pytest.approx(together.totals["dram_bytes"])
    assert differ, "no capacity for which it matters"
