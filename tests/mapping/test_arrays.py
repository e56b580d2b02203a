"""What arrays can do beyond one plain dataflow: several arrays, Winograd, folded strides, short operands."""

import numpy as np
import pytest
from builders import chain, small_accelerator, with_random_maps

from simulator.api import simulate
from simulator.errors import InputError
from simulator.hardware.accelerator import Accelerator
from simulator.hardware.load import load_accelerator
from simulator.mapping.dataflow import TileSizes, dataflow_of
from simulator.mapping.loop_nest import loop_nest
from simulator.trace.shapes import conv_layer, linear_layer

SYSTOLIC = {"rows": 8, "columns": 8, "dataflow": "weight_stationary"}
SPATIAL = {"rows": 4, "columns": 4, "dataflow": "spatial", "unroll": {"rows": ["K"], "columns": ["C"]}}


def whole(c: int, k: int, size: int, r: int, stride: int = 1, winograd: bool = False) -> TileSizes:
    """A convolution with enough padding as one tile of `size`×`size` outputs."""
    one = np.array([1])
    ifm = np.array([c * (size * stride) ** 2])
    return TileSizes(
        g=one,
        k=k * one,
        c=c * one,
        n=one,
        p=size * one,
        q=size * one,
        r=r,
        s=r,
        ifm_elements=ifm,
        ifm_rows=size * stride * one,
        ofm_elements=k * size * size * one,
        stride=(stride, stride),
        winograd=winograd,
    )


def cycles(accelerator: Accelerator, tile: TileSizes) -> int:
    return int(dataflow_of(accelerator).cycles(tile)[0])


def test_two_arrays_halve_what_divides_and_no_more() -> None:
    one, two = (small_accelerator(array={**SYSTOLIC, "count": count}) for count in (1, 2))
    assert cycles(two, whole(8, 16, 20, 1)) == cycles(one, whole(8, 16, 20, 1)) // 2 == 400
    assert cycles(two, whole(8, 8, 1, 1)) == cycles(one, whole(8, 8, 1, 1))  # one fold, one position


@pytest.mark.parametrize(("split", "expected"), [("K", 400), ("P", 400), ("N", 800)])
def test_arrays_divide_the_loop_that_the_file_names(split: str, expected: int) -> None:
    two = small_accelerator(array={**SYSTOLIC, "count": 2, "split": [split]})
    assert cycles(two, whole(8, 16, 20, 1)) == expected


def test_two_arrays_read_common_operands_twice() -> None:
    one, two = (dataflow_of(small_accelerator(array={**SYSTOLIC, "count": count, "split": ["K"]})) for count in (1, 2))
    tile = whole(8, 16, 20, 1)
    assert two.accesses(tile).kernel_reads == one.accesses(tile).kernel_reads
    assert two.accesses(tile).ifm_reads == one.accesses(tile).ifm_reads  # one column fold each instead of two


def test_rows_that_hold_channels_leave_kernel_positions_to_time() -> None:
    reduction, channels = (
        small_accelerator(array={**SYSTOLIC, "rows_hold": held}) for held in ("reduction", "channels")
    )
    assert cycles(reduction, whole(2, 8, 20, 2)) == 400  # 2·2·2 rows, one fold
    assert cycles(channels, whole(2, 8, 20, 2)) == 4 * 400
    assert cycles(channels, whole(8, 8, 20, 2)) == cycles(reduction, whole(8, 8, 20, 2))


def test_short_streams_wait_for_the_next_fold() -> None:
    slow, fast = (small_accelerator(array={**SYSTOLIC, "fold_load_rows": rows}) for rows in (1, 4))
    assert cycles(slow, whole(16, 16, 1, 1)) == 4 * 8  # four folds of eight rows, one position each
    assert cycles(fast, whole(16, 16, 1, 1)) == 4 * 2
    assert cycles(fast, whole(16, 16, 3, 1)) == cycles(small_accelerator(array=SYSTOLIC), whole(16, 16, 3, 1)) == 4 * 9


def test_strided_convolutions_fill_channels_with_folded_strides() -> None:
    """ResNet's first layer in small: 3 channels, 8×8 kernel, stride 2 → 12 channels, 4×4 kernel."""
    plain, folded = (small_accelerator(array={**SPATIAL, "fold_stride": fold}) for fold in (False, True))
    assert cycles(plain, whole(3, 4, 10, 8, stride=2)) == 100 * 64
    assert cycles(folded, whole(3, 4, 10, 8, stride=2)) == 100 * 3 * 16
    assert cycles(folded, whole(3, 4, 10, 8)) == cycles(plain, whole(3, 4, 10, 8))


def test_winograd_takes_sixteen_products_for_four_outputs() -> None:
    accelerator = small_accelerator(array={**SPATIAL, "winograd": True})
    assert cycles(accelerator, whole(4, 4, 10, 3, winograd=True)) == 25 * 16
    assert cycles(accelerator, whole(4, 4, 10, 3)) == 100 * 9


def test_winograd_serves_dense_three_by_three_convolutions_alone() -> None:
    layers = (
        conv_layer("yes", (4, 10, 10), 4, (3, 3), padding=1),
        conv_layer("strided", (4, 10, 10), 4, (3, 3), padding=1, stride=2),
        conv_layer("depthwise", (4, 5, 5), 4, (3, 3), padding=1, groups=4),
        conv_layer("point", (4, 5, 5), 4, (1, 1)),
        conv_layer("tiny", (4, 5, 5), 1, (3, 3), stride=1),
        conv_layer("one", (1, 3, 3), 1, (3, 3)),  # one output: direct is cheaper
    )
    trace = chain(*layers)
    found = {layer.name: loop_nest(trace, layer, winograd=True).winograd for layer in trace.layers}
    assert found == {"yes": True, "strided": False, "depthwise": False, "point": False, "tiny": True, "one": False}


def test_winograd_moves_transformed_kernels_and_counts_its_products() -> None:
    shapes = chain(conv_layer("conv", (8, 12, 12), 8, (3, 3), padding=1))
    trace = with_random_maps(shapes, np.random.default_rng(3), kernel_density=0.5)
    buffers = {o: {"capacity": "64 KiB"} for o in ("ifm", "kernel", "ofm")}
    gate = {"ifm": "gate", "kernel": "gate"}
    fast: dict[str, object] = {"buffers": buffers, "dram.bandwidth": "1 TB/s"}
    direct, winograd = (
        simulate(trace, small_accelerator(array={**SPATIAL, "winograd": on, "zeros": gate}, **fast))
        for on in (False, True)
    )
    kernel_bytes = [report.totals["kernel_bytes"] for report in (direct, winograd)]
    assert kernel_bytes == [2 * 8 * 8 * 9, 2 * 8 * 8 * 16]
    layer = winograd.layers.iloc[0]
    assert layer.macs_dense == direct.layers.iloc[0].macs_dense == 8 * 8 * 9 * 144
    assert layer.macs_performed == 8 * 8 * 16 * 36
    assert layer.macs_performed + layer.macs_skipped == layer.macs_dense
    assert layer.macs_effectual <= layer.macs_performed
    assert layer.compute_cycles * 9 == direct.layers.iloc[0].compute_cycles * 4


@pytest.mark.parametrize("array", [SYSTOLIC, SPATIAL])
def test_short_operands_get_more_macs_out_of_a_pe(array: dict[str, object]) -> None:
    scaled = {**array, "macs_by_bits": [{"bits": "8 bit", "macs": 2}]}
    bits = [{o: f"{width} bit" for o in ("ifm", "kernel", "ofm")} for width in (16, 8)]
    wide, narrow = (small_accelerator(array=scaled, precision=precision) for precision in bits)
    assert narrow.macs == 2 * wide.macs
    assert cycles(wide, whole(32, 8, 8, 1)) == 2 * cycles(narrow, whole(32, 8, 8, 1))


def test_utilisation_never_exceeds_one() -> None:
    layers = chain(conv_layer("conv", (16, 8, 8), 32, (3, 3), padding=1), linear_layer("fc", 32 * 64, 10))
    for preset in ("tpu-v3", "nvdla-64", "eyeriss", "edge-npu"):
        found = simulate(layers, preset).layers["utilisation"]
        assert found.between(0, 1).all(), (preset, found.tolist())


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"array.winograd": True}, "winograd belongs to dataflow: spatial"),
        ({"array.rows_hold": "channels", "array.dataflow": "output_stationary"}, "rows_hold belongs to"),
        ({"array.count": 2, "array.timing": "strict"}, "count: timing: strict"),
        ({"array.split": []}, "split: expected at least one of K, P and N"),
    ],
)
def test_settings_that_do_not_go_together_are_refused(overrides: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        load_accelerator("systolic-256", overrides)


def test_depthwise_layers_use_what_the_hardware_unrolls() -> None:
    """K and C alone leave one multiplier; more unrolled loops, or PE sets side by side, use more."""
    depthwise = chain(conv_layer("depthwise", (64, 28, 28), 64, (3, 3), padding=1, groups=64))

    def busy(preset: str) -> float:
        """Multipliers at work in a cycle of the array."""
        layer = simulate(depthwise, preset).layers.iloc[0]
        return float(layer.macs_dense / layer.compute_cycles)

    assert busy("nvdla-2048") == pytest.approx(1)
    assert busy("tpu-v3") <= 2  # one column in each of two arrays
    assert 5 < busy("eyeriss") <= 9  # a word of IFM a cycle, for nine MACs
    assert busy("edge-npu") > 100
