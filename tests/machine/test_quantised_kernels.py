"""Kernels of their own widths: bytes that move, the index of widths, and cycles and energy by width."""

import dataclasses

import numpy as np
import pytest
from builders import chain, small_accelerator, with_random_maps

from simulator.api import simulate
from simulator.errors import InputError
from simulator.machine.kernels import WIDTH_INDEX_BITS, kernel_requests
from simulator.mapping.loop_nest import loop_nest
from simulator.mapping.schedule import LayerSchedule
from simulator.mapping.tiling import best_schedule
from simulator.trace.records import Layer
from simulator.trace.shapes import conv_layer
from simulator.trace.trace import Trace, load_trace

LAYER = conv_layer("conv", (12, 6, 6), 10, (3, 3), padding=1, groups=2)
WIDTHS = (2, 3, 8, 1, 4, 16, 16, 2, 5, 3)
ROOMY = {f"buffers__{operand}__capacity": "256 KiB" for operand in ("ifm", "kernel", "ofm")}


def quantised(*widths: int, layer: Layer = LAYER) -> Trace:
    return chain(dataclasses.replace(layer, kernel_bits=widths))


def scheduled(trace: Trace, **overrides: object) -> LayerSchedule:
    accelerator = small_accelerator(**overrides)
    return best_schedule(loop_nest(trace, trace.layers[0]), accelerator)


@pytest.mark.parametrize("capacity", ["256 B", "4 KiB"])
@pytest.mark.parametrize("skipped", [False, True])
def test_tiles_hold_the_bits_of_their_channels(capacity: str, skipped: bool) -> None:
    """Weight by weight: the bits of every tile, with the index of its widths in front, in the order of storage."""
    buffers = {"buffers__kernel__capacity": capacity}
    schedule = scheduled(quantised(*WIDTHS), **buffers)
    accelerator = small_accelerator(**buffers)
    active = np.ones((12, 1), np.bool_)
    active[[0, 4, 7]] = not skipped
    loads = np.ones(schedule.steps.count, np.bool_)
    tiles, _ = kernel_requests(schedule, accelerator, None, active, loads)
    end = 0
    expected: list[set[int]] = []
    for g in range(schedule.groups.count):
        for k in range(schedule.outputs.count):
            for c in range(schedule.channels.count):
                groups = range(schedule.groups.start[g], schedule.groups.stop[g])
                outputs = range(schedule.outputs.start[k], schedule.outputs.stop[k])
                parts = [(WIDTH_INDEX_BITS * len(groups) * len(outputs), True)]
                for group in groups:
                    for channel in range(schedule.channels.start[c], schedule.channels.stop[c]):
                        bits = sum(9 * WIDTHS[group * 5 + output] for output in outputs)
                        parts.append((bits, bool(active[group * 6 + channel, 0])))
                touched: set[int] = set()
                for bits, comes in parts:
                    if comes:
                        touched |= set(range(end // 8, -(-(end + bits) // 8)))
                    end += bits
                expected.append(touched)
    runs = tiles.runs
    for tile, touched in enumerate(expected):
        mine = runs.request == tile
        found = {
            byte
            for start, length in zip(runs.start[mine], runs.length[mine], strict=True)
            for byte in range(start, start + length)
        }
        assert found == touched, tile
    assert tiles.elements.sum() == 9 * 5 * active.sum()


def test_one_width_needs_no_index() -> None:
    schedule = scheduled(quantised(*[4] * 10))
    tiles, _ = kernel_requests(schedule, small_accelerator(), None, None, np.ones(schedule.steps.count, np.bool_))
    assert tiles.index_bytes.sum() == 0
    assert tiles.runs.start[-1] + tiles.runs.length[-1] == 10 * 6 * 9 * 4 // 8


def test_bytes_over_dram_follow_the_widths() -> None:
    layer = conv_layer("conv", (64, 4, 4), 64, (3, 3), padding=1)
    widths = {"16": (16,) * 64, "8": (8,) * 64, "2": (2,) * 64, "2 and 8": (2, 8) * 32, "32": (32,) * 64}
    accelerator = small_accelerator(**ROOMY, dram__burst="1 B", mapping__objective="dram_bytes")
    maps = 64 * 16 * 2 * 2
    for name, bits in widths.items():
        moved = simulate(quantised(*bits, layer=layer), accelerator).totals["dram_bytes"]
        index = 64 * WIDTH_INDEX_BITS // 8 if len(set(bits)) > 1 else 0
        stored = sum(min(16, width) for width in bits) * 64 * 9 // 8  # no wider than the accelerator's 16 bit
        assert moved == pytest.approx(maps + stored + index, abs=64 * 2), name  # slices share a byte at their ends
    unquantised = simulate(chain(layer), accelerator).totals["dram_bytes"]
    assert unquantised == simulate(quantised(*[16] * 64, layer=layer), accelerator).totals["dram_bytes"]


def test_an_array_of_variable_precision_runs_width_by_width() -> None:
    """8-bit feature maps: kernels of 8 bits and less take the rate of 8 bits, wider ones that of 16."""
    accelerator = small_accelerator(
        precision={"ifm": "8 bit", "kernel": "16 bit", "ofm": "8 bit", "psum": "32 bit"},
        array__macs_by_bits=[{"bits": "16 bit", "macs": 1}, {"bits": "8 bit", "macs": 4}],
        dram__bandwidth="1000 GB/s",
        **ROOMY,
    )
    layer = conv_layer("conv", (64, 8, 8), 32, (3, 3), padding=1)
    cycles = {
        bits: simulate(quantised(*bits, layer=layer), accelerator).totals["compute_cycles"]
        for bits in ((16,) * 32, (8,) * 32, (2,) * 32, (2,) * 16 + (12,) * 16)
    }
    wide, narrow, _, mixed = cycles.values()
    assert cycles[(8,) * 32] == cycles[(2,) * 32]
    assert wide == pytest.approx(4 * narrow, rel=0.01)
    assert mixed == pytest.approx((wide + narrow) / 2, rel=0.05), cycles


def test_narrow_kernels_take_less_energy_and_time_beside_wide_feature_maps() -> None:
    """Entries that bound both operands apart: halving the kernel's width doubles the MACs and halves their energy."""
    entries = [
        {"bits": "8 bit", "kernel": f"{bits} bit", "macs": 8 // bits, "mac": f"{bits / 8} pJ"} for bits in (8, 4, 2)
    ]
    accelerator = small_accelerator(
        precision={"ifm": "8 bit", "kernel": "8 bit", "ofm": "8 bit", "psum": "32 bit"},
        array__macs_by_bits=entries,
        dram__bandwidth="1000 GB/s",
        **ROOMY,
        energy__mac="1 pJ",
    )
    layer = conv_layer("conv", (64, 8, 8), 32, (3, 3), padding=1)
    found = {}
    for bits in ((8,) * 32, (4,) * 32, (2,) * 32, (3,) * 32, (2,) * 8 + (4,) * 8 + (8,) * 16):
        report = simulate(quantised(*bits, layer=layer), accelerator)
        energy = report.energy[report.energy.component == "mac"].energy_pj.sum() / report.totals["macs_performed"]
        found[bits] = report.totals["compute_cycles"], energy
    eight, four, two, three, mixed = found.values()
    assert eight[0] == pytest.approx(2 * four[0], rel=0.01)
    assert four[0] == pytest.approx(2 * two[0], rel=0.01)
    assert three == four
    assert [energy for _, energy in (eight, four, two)] == [1, 0.5, 0.25]
    assert mixed[1] == pytest.approx(0.25 * 0.25 + 0.25 * 0.5 + 0.5 * 1)
    assert mixed[0] == pytest.approx(two[0] * (0.25 + 0.25 * 2 + 0.5 * 4), rel=0.05), found


def test_mixed_widths_are_never_slower_than_the_widest_for_all() -> None:
    """Four channels of each width do not fill 16 columns: they run together."""
    entries = [{"bits": "8 bit", "kernel": f"{bits} bit", "macs": 8 // bits} for bits in (8, 4, 2)]
    accelerator = small_accelerator(
        array={"rows": 16, "columns": 16, "dataflow": "weight_stationary", "macs_by_bits": entries},
        precision={"ifm": "8 bit", "kernel": "8 bit", "ofm": "8 bit", "psum": "32 bit"},
        dram__bandwidth="1000 GB/s",
        **ROOMY,
    )
    layer = conv_layer("conv", (64, 8, 8), 16, (3, 3), padding=1)

    def cycles(*bits: int) -> float:
        return float(simulate(quantised(*bits, layer=layer), accelerator).totals["compute_cycles"])

    widest, mixed, halves = cycles(*(8,) * 16), cycles(*(2, 4, 8, 8) * 4), cycles(*(2, 4) * 8)
    assert mixed == widest
    assert halves == cycles(*(4,) * 16) < widest


@pytest.mark.parametrize("bits", [(8,) * 32, (2,) * 32, (2,) * 16 + (8,) * 16])
def test_no_array_is_busier_than_it_can_be(bits: tuple[int, ...]) -> None:
    entries = [{"bits": "8 bit", "kernel": f"{bits} bit", "macs": 8 // bits} for bits in (8, 2)]
    accelerator = small_accelerator(
        precision={"ifm": "8 bit", "kernel": "8 bit", "ofm": "8 bit", "psum": "32 bit"},
        array__macs_by_bits=entries,
        dram__bandwidth="1000 GB/s",
        **ROOMY,
    )
    layer = conv_layer("conv", (64, 8, 8), 32, (3, 3), padding=1)
    report = simulate(quantised(*bits, layer=layer), accelerator)
    assert 0.8 < report.totals["utilisation"] <= 1, bits
    assert report.totals["utilisation"] == pytest.approx(report.layers.utilisation.iloc[0])


def test_compressed_kernels_take_one_width() -> None:
    accelerator = small_accelerator(compression={"feature_map": "raw", "kernel": "bitmap"})
    trace = with_random_maps(quantised(*WIDTHS), np.random.default_rng(0), kernel_density=0.3)
    with pytest.raises(InputError, match="stores kernels as bitmap, which takes one width per layer"):
        simulate(trace, accelerator)
    narrow, wide = (
        simulate(dataclasses.replace(trace, layers=quantised(*[bits] * 10).layers), accelerator).totals["dram_bytes"]
        for bits in (4, 16)
    )
    assert narrow < wide


def test_a_trace_file_keeps_the_widths(tmp_path) -> None:  # type: ignore[no-untyped-def]
    trace = quantised(*WIDTHS)
    assert load_trace(trace.save(tmp_path / "quantised")).layers == trace.layers
    assert "kernel_bits" not in LAYER.to_json()
    for widths in ((2,) * 9, (0,) * 10, (40,) * 10):
        with pytest.raises(InputError, match=r"damaged trace \(layer 'conv' has kernel"):
            load_trace(quantised(*widths).save(tmp_path / "broken"))
