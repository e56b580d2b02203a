"""The machine's arrays against loops over single bytes and MACs, on random layers, maps and tiles."""

import dataclasses
import itertools

import numpy as np
import pytest
from builders import chain, padded, small_accelerator, with_random_maps
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from simulator.hardware.accelerator import Accelerator
from simulator.machine.batch import Batch
from simulator.machine.layer import PreparedLayer, prepare_layer
from simulator.mapping.loop_nest import loop_nest
from simulator.mapping.schedule import LayerSchedule, Tiling
from simulator.mapping.tiling import ORDERS
from simulator.trace.records import Layer
from simulator.trace.trace import Trace

RELAXED = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@st.composite
def layers_with_maps(draw: st.DrawFn, batch: int = 1) -> tuple[Trace, LayerSchedule]:
    """A convolution behind another one, random maps for it, and a random tiling."""
    groups = draw(st.sampled_from([1, 1, 1, 2, 3]))
    channels = groups * draw(st.integers(1, 4))
    outputs = groups * draw(st.integers(1, 4))
    rows, columns = draw(st.integers(1, 3)), draw(st.integers(1, 3))
    height, width = draw(st.integers(rows, 8)), draw(st.integers(columns, 8))
    stride, padding = draw(st.integers(1, 2)), draw(st.integers(0, 1))
    dilation = draw(st.sampled_from([1, 1, 2]))
    reach = (dilation * (rows - 1) + 1, dilation * (columns - 1) + 1)
    height, width = max(height, reach[0]), max(width, reach[1])
    ofm = (
        outputs,
        (height + 2 * padding - reach[0]) // stride + 1,
        (width + 2 * padding - reach[1]) // stride + 1,
    )
    before = Layer("before", "conv", (2, height, width), (channels, height, width), (channels, 2, 1, 1))
    layer = Layer(
        "layer",
        "conv",
        (channels, height, width),
        ofm,
        (outputs, channels // groups, rows, columns),
        (stride, stride),
        (padding,) * 4,
        (dilation, dilation),
        groups=groups,
    )
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    trace = with_random_maps(
        chain(before, layer),
        rng,
        images=batch,
        density=draw(st.sampled_from([0.2, 0.7, 1.0])),
        empty_maps=draw(st.sampled_from([0.0, 0.4])),
        kernel_density=draw(st.sampled_from([None, 0.5])),
    )
    nest = loop_nest(trace, trace.layers[1], batch)
    several_groups = draw(st.booleans())
    k = nest.k if several_groups else draw(st.integers(1, nest.k))
    tiling = Tiling(
        g=draw(st.integers(1, nest.g)) if several_groups else 1,
        k=k,
        c=nest.c if several_groups else draw(st.integers(1, nest.c)),
        n=draw(st.integers(1, nest.n)),
        p=draw(st.integers(1, nest.p)),
        q=draw(st.integers(1, nest.q)),
        m=min(nest.k, k * draw(st.integers(1, 3))),
        order=draw(st.sampled_from(ORDERS)),
    )
    return trace, LayerSchedule(nest, tiling, 0)


def prepare(trace: Trace, schedule: LayerSchedule, accelerator: Accelerator, *, pruned: bool) -> PreparedLayer:
    images = list(range(trace.image_count))
    batch = Batch(trace, accelerator, images, len(images), pruned=pruned)
    return prepare_layer(batch, 1, schedule)


def moved(prepared: PreparedLayer, operand: str, direction: str) -> int:
    return sum(
        row.bytes for row in prepared.traffic if (row.operand, row.level, row.direction) == (operand, "dram", direction)
    )


def bursts(addresses: set[int], burst: int) -> int:
    return len({address // burst for address in addresses})


class Loops:
    """The tile steps of a schedule as plain loops over plain integers."""

    def __init__(self, trace: Trace, schedule: LayerSchedule) -> None:
        self.layer, self.nest, self.tiling = trace.layers[1], schedule.nest, schedule.tiling

    def ranges(self, loop: str) -> list[range]:
        nest, tiling = self.nest, self.tiling
        size, tile = {"G": (nest.g, tiling.g), "M": (nest.k, tiling.m), "C": (nest.c, tiling.c)}[loop]
        return [range(start, min(start + tile, size)) for start in range(0, size, tile)]

    def positions(self) -> list[tuple[range, range, range]]:
        def cut(size: int, tile: int) -> list[range]:
            return [range(start, min(start + tile, size)) for start in range(0, size, tile)]

        nest, tiling = self.nest, self.tiling
        return list(itertools.product(cut(nest.n, tiling.n), cut(nest.p, tiling.p), cut(nest.q, tiling.q)))

    def steps(self) -> list[tuple[range, range, range, tuple[range, range, range]]]:
        loops = {"S": self.positions(), "K": self.ranges("M"), "C": self.ranges("C")}
        result = []
        for g in self.ranges("G"):
            for combination in itertools.product(*(loops[loop] for loop in self.tiling.order)):
                at = dict(zip(self.tiling.order, combination, strict=True))
                turns = range(at["K"].start, at["K"].stop, self.tiling.k)
                k = [range(start, min(start + self.tiling.k, at["K"].stop)) for start in turns]
                result += [(g, outputs, at["C"], at["S"]) for outputs in k]
        return result

    def ifm_rows(self, p: range) -> range:
        return self._input(
            p, self.layer.stride[0], self.layer.padding[0], self.layer.dilation[0], self.nest.r, self.layer.ifm[1]
        )

    def ifm_columns(self, q: range) -> range:
        return self._input(
            q, self.layer.stride[1], self.layer.padding[1], self.layer.dilation[1], self.nest.s, self.layer.ifm[2]
        )

    @staticmethod
    def _input(out: range, stride: int, padding: int, dilation: int, size: int, limit: int) -> range:
        first = out[0] * stride - padding
        last = out[-1] * stride - padding + dilation * (size - 1)
        return range(min(max(first, 0), limit), max(min(last + 1, limit), min(max(first, 0), limit)))


def ifm_bytes(loops: Loops, nonzero: np.ndarray, *, pruned: bool, burst: int) -> int:
    """Bursts of all IFM loads, from sets of byte addresses; 16-bit elements."""
    _, height, width = loops.layer.ifm
    total, before = 0, None
    for g, _, c, s in loops.steps():
        if (g, c, s) == before:
            continue
        before = (g, c, s)
        touched = set()
        for image, group, channel in itertools.product(s[0], g, c):
            plane = group * loops.nest.c + channel
            if pruned and not nonzero[image, plane].any():
                continue
            base = (image * loops.layer.ifm[0] + plane) * height * width
            for row, column in itertools.product(loops.ifm_rows(s[1]), loops.ifm_columns(s[2])):
                address = 2 * (base + row * width + column)
                touched |= {address, address + 1}
        total += bursts(touched, burst) * burst
    return total


@RELAXED
@given(layers_with_maps(batch=2), st.booleans(), st.sampled_from([8, 64]))
def test_ifm_loads_are_the_bursts_of_the_bytes_that_are_needed(
    case: tuple[Trace, LayerSchedule], pruned: bool, burst: int
) -> None:
    trace, schedule = case
    accelerator = small_accelerator(**{"dram.burst": f"{burst} B"})
    nonzero = np.stack([~trace.zeros("layer", image) for image in range(2)])
    expected = ifm_bytes(Loops(trace, schedule), nonzero, pruned=pruned, burst=burst)
    assert moved(prepare(trace, schedule, accelerator, pruned=pruned), "ifm", "read") == expected


@RELAXED
@given(layers_with_maps())
def test_savings_are_the_flagged_maps_bytes_and_flags_cost_whole_bursts(case: tuple[Trace, LayerSchedule]) -> None:
    """With one-byte bursts nothing is rounded: loads, stores and kernel slices shrink by exactly what is flagged."""
    trace, schedule = case
    accelerator = small_accelerator(**{"dram.burst": "1 B"})
    baseline, pruned = (prepare(trace, schedule, accelerator, pruned=flag) for flag in (False, True))
    loops, layer, nest = Loops(trace, schedule), trace.layers[1], schedule.nest
    empty_in = trace.zeros("layer", 0).all(axis=(1, 2))
    empty_out = trace.zeros("layer", 0, "ofm").all(axis=(1, 2))

    saved_ifm = saved_kernel = 0
    ifm_before = kernel_before = None
    for g, k, c, s in loops.steps():
        gone = [group * nest.c + channel for group in g for channel in c if empty_in[group * nest.c + channel]]
        if (g, c, s) != ifm_before:
            saved_ifm += 2 * len(gone) * len(loops.ifm_rows(s[1])) * len(loops.ifm_columns(s[2]))
        if (g, k, c) != kernel_before:
            saved_kernel += 2 * len(gone) * len(k) * nest.r * nest.s
        ifm_before, kernel_before = (g, c, s), (g, k, c)
    saved_ofm = 2 * int(empty_out.sum()) * layer.ofm[1] * layer.ofm[2]
    flags = -(-layer.ifm[0] // 8), -(-layer.ofm[0] // 8)

    assert moved(baseline, "ifm", "read") - moved(pruned, "ifm", "read") == saved_ifm
    assert moved(baseline, "kernel", "read") - moved(pruned, "kernel", "read") == saved_kernel
    assert moved(baseline, "ofm", "write") - moved(pruned, "ofm", "write") == saved_ofm
    assert (moved(pruned, "metadata", "read"), moved(pruned, "metadata", "write")) == flags
    rounded = prepare(trace, schedule, small_accelerator(), pruned=True)
    assert (moved(rounded, "metadata", "read"), moved(rounded, "metadata", "write")) == (64, 64)


@RELAXED
@given(layers_with_maps())
def test_every_needed_byte_is_moved_at_least_once(case: tuple[Trace, LayerSchedule]) -> None:
    trace, schedule = case
    accelerator = small_accelerator()
    prepared = prepare(trace, schedule, accelerator, pruned=False)
    loops, layer = Loops(trace, schedule), trace.layers[1]
    positions = {
        (row, column)
        for _, _, _, s in loops.steps()
        for row in loops.ifm_rows(s[1])
        for column in loops.ifm_columns(s[2])
    }
    assert moved(prepared, "ifm", "read") >= 2 * layer.ifm[0] * len(positions)
    assert moved(prepared, "kernel", "read") >= 2 * layer.kernel_elements
    assert moved(prepared, "ofm", "write") >= 2 * layer.ofm_elements
    spilled = moved(prepared, "psum", "write")
    assert (spilled > 0) == (moved(prepared, "psum", "read") > 0)


@pytest.mark.parametrize("handling", ["none", "gate", "skip"])
@RELAXED
@given(case=layers_with_maps(batch=2), pruned=st.booleans())
def test_macs_against_single_products(handling: str, case: tuple[Trace, LayerSchedule], pruned: bool) -> None:
    trace, schedule = case
    array = {
        "rows": 2,
        "columns": 3,
        "dataflow": "spatial",
        "unroll": {"rows": ["K"], "columns": ["C"]},
        "zeros": {"ifm": handling, "kernel": handling},
    }
    accelerator = small_accelerator(array=array)
    layer, nest = trace.layers[1], schedule.nest
    prepared = prepare(trace, schedule, accelerator, pruned=pruned)
    effectual = present = 0
    for image in range(2):
        ifm = padded(~trace.zeros("layer", image), layer.padding)
        kernel = ~trace.zeros("layer", image, "kernel")
        for k, p, q in np.ndindex(*layer.ofm):
            group = k // nest.k
            rows = p * layer.stride[0] + np.arange(nest.r) * layer.dilation[0]
            columns = q * layer.stride[1] + np.arange(nest.s) * layer.dilation[1]
            window = ifm[group * nest.c : (group + 1) * nest.c][:, rows][:, :, columns]
            effectual += int((window & kernel[k]).sum())
        tile = range(image // schedule.tiling.n * schedule.tiling.n, 2)[: schedule.tiling.n]
        together = np.array([~trace.zeros("layer", other).all(axis=(1, 2)) for other in tile])
        kept = together.any(axis=0) if pruned else np.ones(layer.ifm[0], np.bool_)
        present += int(kept.sum()) * nest.k * nest.r * nest.s * nest.p * nest.q
    macs = prepared.macs
    assert macs.dense == 2 * layer.macs
    assert macs.effectual == effectual
    assert macs.performed + macs.gated + macs.skipped == macs.dense
    assert macs.effectual <= macs.performed <= macs.dense
    if handling == "none":
        assert (macs.performed, macs.gated) == (present, 0)
    else:
        assert macs.performed == effectual
        assert (macs.gated == 0) or handling == "gate"
    assert int(prepared.step_cycles.sum()) * 6 >= macs.performed + macs.gated


@RELAXED
@given(layers_with_maps(), st.booleans())
def test_skipping_is_never_slower_than_dense_nor_faster_than_ideal(
    case: tuple[Trace, LayerSchedule], pruned: bool
) -> None:
    trace, schedule = case
    cycles = {}
    for handling in ("none", "skip"):
        array = {
            "rows": 2,
            "columns": 2,
            "macs_per_pe": 2,
            "dataflow": "spatial",
            "unroll": {"rows": ["P"], "columns": ["C"], "pe": ["K"]},
            "zeros": {"ifm": handling, "kernel": handling},
        }
        prepared = prepare(trace, schedule, small_accelerator(array=array), pruned=pruned)
        cycles[handling] = int(prepared.step_cycles.sum())
        macs = prepared.macs
    assert macs.effectual / 8 <= cycles["skip"] <= cycles["none"]


@RELAXED
@given(layers_with_maps(), st.booleans())
def test_aligned_lanes_skip_no_more_than_compacted_ones(case: tuple[Trace, LayerSchedule], ifm_side: bool) -> None:
    trace, schedule = case
    cycles = {}
    for lanes in ("compact", "aligned"):
        pruning = {"unrolled_channels": lanes, "side": "ifm" if ifm_side else "ofm"}
        prepared = prepare(trace, schedule, small_accelerator(pruning=pruning), pruned=True)
        cycles[lanes] = int(prepared.step_cycles.sum())
    dense = int(prepare(trace, schedule, small_accelerator(), pruned=False).step_cycles.sum())
    assert cycles["compact"] <= cycles["aligned"] <= dense


@RELAXED
@given(layers_with_maps())
def test_the_ifm_side_saves_no_loads_and_no_flags(case: tuple[Trace, LayerSchedule]) -> None:
    trace, schedule = case
    accelerator = small_accelerator(pruning={"side": "ifm"})
    baseline, pruned = (prepare(trace, schedule, accelerator, pruned=flag) for flag in (False, True))
    assert moved(pruned, "ifm", "read") == moved(baseline, "ifm", "read")
    assert moved(pruned, "ofm", "write") == moved(baseline, "ofm", "write")
    assert moved(pruned, "metadata", "read") == 0
    assert moved(pruned, "kernel", "read") <= moved(baseline, "kernel", "read")


@RELAXED
@given(layers_with_maps(), st.integers(1, 3), st.integers(1, 3))
def test_tile_granularity_loads_only_what_is_not_flagged(
    case: tuple[Trace, LayerSchedule], tile_rows: int, tile_columns: int
) -> None:
    trace, schedule = case
    accelerator = small_accelerator(
        **{"dram.burst": "1 B"}, pruning={"granularity": "tile", "tile": [tile_rows, tile_columns]}
    )
    prepared = prepare(trace, schedule, accelerator, pruned=True)
    loops, layer, nest = Loops(trace, schedule), trace.layers[1], schedule.nest
    nonzero = ~trace.zeros("layer", 0)
    kept = np.zeros_like(nonzero)
    for c, h, w in np.argwhere(nonzero):
        top, left = h // tile_rows * tile_rows, w // tile_columns * tile_columns
        kept[c, top : top + tile_rows, left : left + tile_columns] = True
    expected, before = 0, None
    for g, _, c, s in loops.steps():
        if (g, c, s) != before:
            planes = [group * nest.c + channel for group in g for channel in c]
            rows, columns = loops.ifm_rows(s[1]), loops.ifm_columns(s[2])
            expected += 2 * int(kept[np.ix_(planes, rows, columns)].sum())
        before = (g, c, s)
    assert moved(prepared, "ifm", "read") == expected
    macs = prepared.macs
    assert macs.performed + macs.gated + macs.skipped == macs.dense
    assert macs.effectual <= macs.performed
    assert macs.performed + macs.gated <= int(prepared.step_cycles.sum()) * accelerator.array.macs
    assert moved(prepared, "metadata", "read") == -(
        -layer.ifm[0] * (1 + -(-layer.ifm[1] // tile_rows) * -(-layer.ifm[2] // tile_columns)) // 8
    )


@RELAXED
@given(layers_with_maps())
def test_bitmap_feature_maps_are_rows_of_index_and_values(case: tuple[Trace, LayerSchedule]) -> None:
    """Whole layer in one tile: a row is one bit per element plus its values, or as it is where that is smaller."""
    trace, schedule = case
    nest = schedule.nest
    whole = Tiling(nest.g, nest.k, nest.c, nest.n, nest.p, nest.q, nest.k, "SKC")
    accelerator = small_accelerator(**{"dram.burst": "1 B"}, compression={"feature_map": "bitmap", "kernel": "raw"})
    prepared = prepare(trace, dataclasses.replace(schedule, tiling=whole), accelerator, pruned=False)
    rows = Loops(trace, schedule).ifm_rows(range(nest.p))
    nonzero = ~trace.zeros("layer", 0)
    width = nonzero.shape[2]
    touched, index_bits = set(), 0
    for channel, plane in enumerate(nonzero):
        bit = 8 * channel * plane.size * 2
        for line, row in enumerate(plane):
            compressed = width + 16 * int(row.sum())
            size = min(compressed, 16 * width)
            if line in rows and size:
                touched |= set(range(bit // 8, -(-(bit + size) // 8)))
                index_bits += width if compressed < 16 * width else 0
            bit += size
    index = -(-index_bits // 8)
    table = -(-nonzero.shape[0] * len(rows) * (2 * width).bit_length() // 8)
    assert moved(prepared, "ifm", "read") == len(touched) - index
    assert moved(prepared, "metadata", "read") == index + table


@RELAXED
@given(layers_with_maps())
def test_psums_spill_only_when_their_resident_block_is_left_unfinished(case: tuple[Trace, LayerSchedule]) -> None:
    """Psums of m output channels stay while the loops inside run: with 4-byte psums and one-byte bursts, exactly."""
    trace, schedule = case
    prepared = prepare(trace, schedule, small_accelerator(**{"dram.burst": "1 B"}), pruned=False)
    loops, m = Loops(trace, schedule), schedule.tiling.m
    spilled, seen, before = 0, set(), None
    for g, k, _, s in loops.steps():
        first = k.start // m * m
        visit = (g, first, s)
        if visit != before and visit in seen:
            outputs = min(first + m, schedule.nest.k) - first
            spilled += 4 * len(g) * outputs * len(s[0]) * len(s[1]) * len(s[2])
        seen.add(visit)
        before = visit
    assert moved(prepared, "psum", "read") == moved(prepared, "psum", "write") == spilled
