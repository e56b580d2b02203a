"""Arrays that skip zeros in the machine: exact cycles per tile step, counters that add up, published directions."""

import dataclasses
import itertools

import numpy as np
import pytest
from builders import chain, small_accelerator, with_random_maps

import simulator
from simulator.compression import compressed_bits
from simulator.hardware.accelerator import Accelerator
from simulator.machine.batch import Batch
from simulator.machine.layer import PreparedLayer, prepare_layer
from simulator.mapping.loop_nest import loop_nest
from simulator.mapping.schedule import LayerSchedule, Tiling
from simulator.report.report import ARRAY_CYCLES
from simulator.trace.records import Layer
from simulator.trace.shapes import linear_layer
from simulator.trace.trace import Trace

ARRAYS = {
    "cartesian_product": {
        "rows": 2,
        "columns": 3,
        "macs_per_pe": 16,
        "skipping": {"kind": "cartesian_product", "activations": 4, "weights": 4, "banks": 32, "accumulators": 48},
    },
    "activation_lanes": {
        "rows": 2,
        "columns": 2,
        "macs_per_pe": 3,
        "skipping": {"kind": "activation_lanes", "brick": 2},
    },
    "nonzero_pairs": {"rows": 2, "columns": 3, "skipping": {"kind": "nonzero_pairs"}},
    "activation_broadcast": {
        "rows": 3,
        "columns": 1,
        "skipping": {"kind": "activation_broadcast", "fifo": 2, "index_bits": 1},
    },
    "packed_kernels": {"rows": 4, "columns": 5, "skipping": {"kind": "packed_kernels", "load_elements": 3}},
    "structured_kernels": {
        "rows": 2,
        "columns": 3,
        "macs_per_pe": 4,
        "skipping": {"kind": "structured_kernels", "nonzeros": 2, "group": 4},
    },
    "channel_bricks": {"rows": 3, "columns": 1, "macs_per_pe": 2, "skipping": {"kind": "channel_bricks"}},
}
SKIPPING_PRESETS = ("scnn", "cnvlutin", "eyeriss-v2", "eie", "sigma", "sparse-tensor-core", "brick-skipping")


def skipping_accelerator(kind: str) -> Accelerator:
    return small_accelerator(array={"dataflow": "zero_skipping", **ARRAYS[kind]})


def conv(
    channels: int, size: tuple[int, int], outputs: int, kernel: int, stride: int, padding: int, groups: int
) -> Layer:
    ofm = tuple((side + 2 * padding - kernel) // stride + 1 for side in size)
    shape = (outputs, channels // groups, kernel, kernel)
    return Layer(
        "b", "conv", (channels, *size), (outputs, *ofm), shape, (stride, stride), (padding,) * 4, groups=groups
    )


LAYERS = [
    conv(6, (7, 9), 8, 3, 1, 1, 1),
    conv(5, (8, 8), 7, 3, 2, 1, 1),
    conv(5, (9, 7), 7, 3, 2, 1, 1),
    conv(8, (5, 6), 6, 1, 1, 0, 1),
    conv(6, (7, 7), 6, 3, 1, 1, 6),
    conv(6, (9, 8), 4, 3, 2, 0, 2),
]


def _all_read(layer: Layer) -> bool:
    """Whether windows reach all rows and columns: a stride may leave some behind, which the machine does not load."""
    sizes = zip(layer.ifm[1:], layer.ofm[1:], layer.stride, strict=True)
    return all(size + 2 * layer.padding[0] == (out - 1) * stride + layer.kernel[2] for size, out, stride in sizes)


def traced(layer: Layer, images: int = 1) -> Trace:
    before = Layer("a", "conv", (2, *layer.ifm[1:]), layer.ifm, (layer.ifm[0], 2, 1, 1))
    rng = np.random.default_rng(layer.ifm[0] + layer.ofm[1])
    return with_random_maps(chain(before, layer), rng, images=images, density=0.5, kernel_density=0.6)


def prepared(trace: Trace, accelerator: Accelerator, tiling: Tiling, images: list[int]) -> PreparedLayer:
    schedule = LayerSchedule(loop_nest(trace, trace.layers[1], len(images)), tiling, 0)
    return prepare_layer(Batch(trace, accelerator, images, len(images), pruned=False), 1, schedule)


@pytest.mark.parametrize("kind", [kind for kind in ARRAYS if kind != "cartesian_product"])
@pytest.mark.parametrize("layer", LAYERS, ids=str)
def test_every_step_takes_the_cycles_of_its_sub_maps(kind: str, layer: Layer) -> None:
    """Tiles of groups, channels, images, rows and columns: windows with halo and padding, cut out by hand."""
    trace, accelerator = traced(layer, images=2), skipping_accelerator(kind)
    nest = loop_nest(trace, layer, 2)
    tiling = Tiling(
        g=max(1, nest.g // 2),
        k=max(1, nest.k // 2),
        c=max(1, nest.c // 2),
        n=2,
        p=2,
        q=3,
        m=max(1, nest.k // 2),
        order="SKC",
    )
    work = prepared(trace, accelerator, tiling, [0, 1])
    schedule, (_, top, left) = work.schedule, (0, *layer.padding[:2])
    kernel = ~trace.zeros("b", 0, "kernel").reshape(nest.g, nest.k, nest.c, nest.r, nest.s)
    planes = [np.pad(~trace.zeros("b", image), ((0, 0), (top, 9), (left, 9))) for image in (0, 1)]
    parameters = {key: value for key, value in ARRAYS[kind].items() if key != "skipping"}
    parameters |= {key: value for key, value in ARRAYS[kind]["skipping"].items() if key != "kind"}
    steps = schedule.steps
    expected = []
    for g, k, c, s in zip(steps.g, steps.k, steps.c, steps.s, strict=True):
        _, row, column = (int(index) for index in schedule.position_index(np.asarray(s)))
        groups = range(schedule.groups.start[g], schedule.groups.stop[g])
        channels = range(schedule.channels.start[c], schedule.channels.stop[c])
        own = np.array([group * nest.c + channel for group in groups for channel in channels])
        y, x = schedule.rows.start[row] * nest.stride[0], schedule.columns.start[column] * nest.stride[1]
        height = (schedule.rows.size[row] - 1) * nest.stride[0] + nest.r
        width = (schedule.columns.size[column] - 1) * nest.stride[1] + nest.s
        weights = kernel[groups.start : groups.stop, schedule.outputs.start[k] : schedule.outputs.stop[k]]
        weights = weights[:, :, channels.start : channels.stop].reshape(-1, len(channels), nest.r, nest.s)
        windows = (plane[own, y : y + height, x : x + width] for plane in planes)
        found = [simulator.sparse_cycles(kind, window, weights, layer.stride, **parameters) for window in windows]
        expected.append(sum(one["cycles"] for one in found))
    assert work.step_cycles.tolist() == expected


@pytest.mark.parametrize("layer", [layer for layer in LAYERS if _all_read(layer)], ids=str)
def test_a_whole_layer_on_scnn_takes_the_cycles_of_the_public_function(layer: Layer) -> None:
    """One tile, or tiles of input channels alone: the halo is exchanged once, with the last of them.

    The machine loads no rows and columns that no window reaches, as a stride may leave some behind.
    """
    trace, accelerator = traced(layer), skipping_accelerator("cartesian_product")
    nest = loop_nest(trace, layer)
    array = {"rows": 2, "columns": 3, "accumulators": 48}
    found = simulator.sparse_cycles(
        "scnn", ~trace.zeros("b"), ~trace.zeros("b", 0, "kernel"), layer.stride, layer.padding[:2], **array
    )
    whole = Tiling(g=nest.g, k=nest.k, c=nest.c, n=1, p=nest.p, q=nest.q, m=nest.k, order="SKC")
    for tiling in (whole, dataclasses.replace(whole, c=max(1, nest.c // 2))):
        work = prepared(trace, accelerator, tiling, [0])
        assert int(work.step_cycles.sum()) == found["cycles"]
        assert work.macs.effectual == work.macs.performed == found["products"]


@pytest.mark.parametrize("kind", ARRAYS)
@pytest.mark.parametrize("layer", LAYERS, ids=str)
def test_counters_add_up(kind: str, layer: Layer) -> None:
    """MACs: performed + gated + skipped = dense. Multipliers: effectual products + losses = cycles · multipliers."""
    trace, accelerator = traced(layer), skipping_accelerator(kind)
    nest = loop_nest(trace, layer)
    for k, c, p in itertools.product((1, nest.k), (1, nest.c), (2, nest.p)):
        tiling = Tiling(g=nest.g, k=k, c=c, n=1, p=p, q=nest.q, m=k, order="KSC")
        work = prepared(trace, accelerator, tiling, [0])
        macs, time = work.macs, work.array_time
        assert time is not None
        assert macs.performed + macs.gated + macs.skipped == macs.dense == nest.macs
        assert min(macs.performed, macs.gated, macs.skipped) >= 0
        assert time.effectual == macs.effectual <= macs.performed
        spent = time.effectual + sum(time.losses.values())
        assert spent == int(work.step_cycles.sum()) * accelerator.array.macs


@pytest.mark.parametrize("kind", ARRAYS)
def test_without_zeros_expected_cycles_are_exact_but_for_edges(kind: str) -> None:
    """Shapes alone, no padding: what the planner counts with is what the machine finds."""
    layer = conv(8, (8, 8), 12, 1, 1, 0, 1)
    trace, accelerator = chain(layer), skipping_accelerator(kind)
    report = simulator.simulate(trace, accelerator)
    assert report.totals["statistical_cycles"] == report.totals["compute_cycles"], report.totals


@pytest.mark.parametrize("preset", [*SKIPPING_PRESETS, "eyeriss", "edge-npu", "systolic-256"])
def test_where_cycles_went_adds_up_to_compute_cycles(preset: str) -> None:
    """Per layer and in total, for arrays with and without a scheme, on a recorded network; on matrices for EIE's array,
    which is slow to count on anything else."""
    trace = simulator.load_trace("tinynet")
    if preset == "eie":
        matrices = chain(linear_layer("a", 600, 300), linear_layer("b", 300, 50))
        trace = with_random_maps(matrices, np.random.default_rng(0))
    report = simulator.simulate(trace, preset, images=[0], overrides=_plain_dram(preset))
    layers = report.layers
    assert (layers[list(ARRAY_CYCLES)].sum(axis=1) == layers["compute_cycles"]).all()
    assert (layers[list(ARRAY_CYCLES)] >= 0).all(axis=None)
    assert sum(report.totals[name] for name in ARRAY_CYCLES) == report.totals["compute_cycles"]
    error = 100 * (report.totals["statistical_cycles"] / report.totals["compute_cycles"] - 1)
    assert report.totals["statistical_error_percent"] == pytest.approx(error)


def _plain_dram(preset: str) -> dict[str, object]:
    """A DRAM that is just a bandwidth, where the preset has a memory system that would have to be compiled."""
    if simulator.load_accelerator(preset).dram.device is None:
        return {}
    plain = {"name": "link", "bandwidth": "25.6 GB/s", "burst": "32 B", "row": "8 KiB", "row_miss": "5 ns"}
    return {"dram": {**plain, "energy": "8 pJ/bit"}}


@pytest.mark.parametrize("preset", ["scnn", "eyeriss-v2"])
def test_flagged_feature_maps_cost_nothing_extra(preset: str) -> None:
    """Dynamic pruning with epsilon 0 flags maps that are zero throughout: the array does the same in the same
    cycles."""
    trace = simulator.load_trace("tinynet")
    plain, pruned = (simulator.simulate(trace, preset, images=[0], pruning=how) for how in (None, "dynamic"))
    assert pruned.totals["dram_bytes"] != plain.totals["dram_bytes"]
    for name in (*ARRAY_CYCLES, "macs_performed"):
        assert pruned.totals[name] == plain.totals[name], name


def test_images_without_zeros_share_their_tiles_costs() -> None:
    """Shapes alone give what maps without a zero give."""
    layer = LAYERS[1]
    shapes, accelerator = chain(layer), skipping_accelerator("cartesian_product")
    full = with_random_maps(shapes, np.random.default_rng(0), density=1.0, empty_maps=0.0, kernel_density=1.0)
    first, second = (simulator.simulate(trace, accelerator) for trace in (shapes, full))
    assert first.totals["compute_cycles"] == second.totals["compute_cycles"]


class TestPublishedDirections:
    """What the literature says of these schemes, on the recorded networks."""

    def test_gating_changes_energy_and_not_cycles(self) -> None:
        """Eyeriss: VGG-16's CONV4-2 and CONV4-3 have different zeros and the same time; only power differs."""
        trace = simulator.load_trace("squeezenet1_1")
        gated, plain = (
            simulator.simulate(trace, "eyeriss", images=[0], overrides={"array.zeros.ifm": how})
            for how in ("gate", "none")
        )
        assert (gated.layers["compute_cycles"] == plain.layers["compute_cycles"]).all()
        assert gated.totals["energy_pj"] < plain.totals["energy_pj"]

    def test_scnn_gains_less_than_ideal_skipping(self) -> None:
        """Bank conflicts, barriers and fragments leave less than the same multipliers with ideal packing."""
        trace = simulator.load_trace("squeezenet1_1")
        ideal = {
            **{"rows": 8, "columns": 8, "macs_per_pe": 16, "dataflow": "spatial", "local_reuse": ["ifm"]},
            **{"unroll": {"rows": ["P"], "columns": ["Q"], "pe": ["P:2", "Q:2", "K:4"]}},
            "zeros": {"ifm": "skip", "kernel": "skip"},
        }
        scnn = simulator.simulate(trace, "scnn", images=[0])
        packed = simulator.simulate(trace, "scnn", images=[0], overrides={"array": ideal})
        assert scnn.totals["compute_cycles"] > packed.totals["compute_cycles"]
        assert scnn.totals["array_effectual_cycles"] < scnn.totals["compute_cycles"]

    @pytest.mark.parametrize("network", ["mobilenet_v1", "mobilenet_v2"])
    def test_densities_alone_underestimate_the_work_of_pointwise_layers(self, network: str) -> None:
        """Eyeriss v2's rule by mean densities falls short of the exact one: zeros go together by channel."""
        trace = simulator.load_trace(network)
        exact = by_density = 0.0
        for layer in trace.layers:
            if layer.kernel is None or layer.operator != "conv" or layer.kernel[2:] != (1, 1) or layer.stride != (1, 1):
                continue
            ifm, kernel = ~trace.zeros(layer.name), ~trace.zeros(layer.name, 0, "kernel")
            exact += simulator.sparse_cycles("eyeriss_v2", ifm, kernel)["cycles"]
            by_density += ifm.mean() * kernel.mean() * layer.macs
        assert by_density < exact, f"{network}: {100 * (by_density / exact - 1):+.2f} %"

    @pytest.mark.parametrize("network", ["squeezenet1_1", "mobilenet_v1", "mobilenet_v2"])
    def test_runs_of_zeros_compress_better_channel_by_channel(self, network: str) -> None:
        """Zero-run-length coding gains up to 15 % by NCHW: neighbours in a map are zero together, channels are not."""
        trace = simulator.load_trace(network)
        maps = [trace.nonzero(layer.output, 0) for layer in trace.layers]
        nchw, nhwc = (
            sum(
                compressed_bits("zero_run_length", np.ascontiguousarray(each.transpose(axes)), word_bits=8)
                for each in maps
            )
            for axes in ((0, 1, 2), (1, 2, 0))
        )
        assert 1.05 < nhwc / nchw < 1.20, nhwc / nchw

    @pytest.mark.parametrize("preset", ["scnn", "eyeriss-v2"])
    def test_statistical_cycles_underestimate(self, preset: str) -> None:
        """A model that sees densities alone is too fast on a real network."""
        report = simulator.simulate(simulator.load_trace("squeezenet1_1"), preset, images=[0])
        assert report.totals["statistical_error_percent"] < 0
