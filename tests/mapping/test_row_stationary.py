"""Row-stationary passes: against a walk over PEs and rows, the chip's limits, and the mapping published for Eyeriss."""

import dataclasses
import itertools

import numpy as np
import pytest
from builders import chain

from simulator.api import simulate
from simulator.hardware.load import load_accelerator
from simulator.mapping.dataflow import TileSizes, dataflow_of
from simulator.mapping.dataflow.row_stationary import IMPOSSIBLE, RowStationary
from simulator.mapping.plan import plan
from simulator.trace.shapes import conv_layer

EYERISS = load_accelerator("eyeriss")


def row_stationary() -> RowStationary:
    dataflow = dataflow_of(EYERISS)
    assert isinstance(dataflow, RowStationary)
    return dataflow


def tile(k: int, c: int, rows: int, width: int, r: int, *, n: int = 1, stride: int = 1, g: int = 1) -> TileSizes:
    """One tile of `rows` OFM rows of a padded convolution."""
    ifm_rows, columns = (rows - 1) * stride + r, (width - 1) * stride + r
    sizes = {"g": g, "k": k, "c": c, "n": n, "p": rows, "q": width}
    return TileSizes(
        **{name: np.array([size]) for name, size in sizes.items()},
        r=r,
        s=r,
        ifm_elements=np.array([g * n * c * ifm_rows * columns]),
        ifm_rows=np.array([ifm_rows]),
        ofm_elements=np.array([g * n * k * rows * width]),
    )


@pytest.mark.parametrize(
    ("ofm_rows", "kernel_rows", "sets"),
    [
        (7, 11, 2),  # AlexNet CONV1: two sets of 11 × 7 beside each other
        (27, 5, 1),  # CONV2: one set of 5 × 27, cut into two segments
        (13, 3, 4),  # CONV3 to CONV5: four sets above each other
        (55, 11, 0),  # four segments of 11 rows do not fit
        (14, 1, 12),
        (1, 3, 56),
    ],
)
def test_sets_that_fit_into_the_array(ofm_rows: int, kernel_rows: int, sets: int) -> None:
    assert row_stationary().sets(np.array([ofm_rows]), kernel_rows) == [sets]


def test_shares_are_the_published_ones_for_alexnet() -> None:
    """(p, q, r, t) of CONV1, CONV2 and CONV4 in Chen et al., JSSC 2017."""
    shares = [row_stationary().shares(layer) for layer in (tile(32, 1, 7, 55, 11), tile(16, 2, 27, 27, 5))]
    shares.append(row_stationary().shares(tile(32, 6, 13, 13, 3)))
    found = [tuple(int(getattr(share, name)[0]) for name in "pqrt") for share in shares]
    assert found == [(16, 1, 1, 2), (16, 2, 1, 1), (16, 3, 2, 2)]


def test_shares_hold_the_pads_and_are_the_best_that_do() -> None:
    dataflow = row_stationary()
    for k, c, rows, r in itertools.product((1, 3, 17, 64), (1, 2, 5, 16), (3, 13), (1, 3)):
        sets = int(dataflow.sets(np.array([rows]), r)[0])
        possible = [
            p * q
            for p, q in itertools.product(range(1, 25), range(1, 13))
            if q * r <= 12 and p * q * r <= 224 and -(-k // p) * -(-c // q) <= sets
        ]
        share = dataflow.shares(tile(k, c, rows, 20, r))
        p, q = int(share.p[0]), int(share.q[0])
        assert p * q == min(possible, default=0), (k, c, rows, r)


def test_pass_is_its_longest_part_and_its_ramp() -> None:
    """CONV4 of AlexNet: 4 images, 32 kernels, 6 channels, all 13 rows."""
    macs_per_pe = 4 * 16 * 3 * 13 * 3
    kernels, first_windows, drain = 32 * 6 * 9 / 4, 15 * 6 * 3, 32 * 13 / 4
    assert row_stationary().cycles(tile(32, 6, 13, 13, 3, n=4)) == [macs_per_pe + kernels + first_windows + drain]


def test_a_narrow_psum_bus_sets_the_pace() -> None:
    """64 kernels of one channel with 3×3 windows: psums take longer than MACs."""
    narrow = load_accelerator("eyeriss", {"array.delivery.words.psum": 1})
    wide, slow = row_stationary(), dataflow_of(narrow)
    work = tile(64, 1, 3, 224, 3)
    psums = 64 * 3 * 224
    assert int(wide.cycles(work)[0]) >= psums / 4
    assert (
        int(slow.cycles(work)[0]) - int(wide.cycles(work)[0]) == psums - max(psums // 4, 16 * 224 * 3) + 64 * 3 * 3 // 4
    )


def test_depthwise_groups_work_side_by_side_and_others_follow_each_other() -> None:
    depthwise = [int(row_stationary().cycles(tile(1, 1, 13, 13, 3, g=g))[0]) for g in (1, 4, 5)]
    assert depthwise[0] < depthwise[1] < depthwise[2]
    assert depthwise[1] < 4 * depthwise[0]
    grouped = [int(row_stationary().cycles(tile(8, 4, 13, 13, 3, g=g))[0]) for g in (1, 2)]
    assert abs(grouped[1] - 2 * grouped[0]) <= 1


def test_a_tile_beyond_the_pads_is_impossible() -> None:
    assert row_stationary().cycles(tile(384, 256, 13, 13, 3)) == [IMPOSSIBLE]


def test_no_share_of_no_work_takes_time() -> None:
    nothing = dataclasses.replace(tile(4, 4, 3, 5, 3), c=np.array([0]), ifm_elements=np.array([0]))
    assert row_stationary().cycles(nothing) == [0]


def test_psums_go_through_the_buffer_once_per_pass_and_the_ifm_too() -> None:
    """AlexNet CONV5, 4 images: the chip's 24.9 MB of global buffer accesses are those of 256 passes of 32 by 6."""
    conv5 = conv_layer("conv5", (384, 13, 13), 256, (3, 3), padding=1, groups=2)
    report = simulate(chain(conv5), "eyeriss", batch=4)
    traffic = report.traffic.set_index(["operand", "level", "direction"])["bytes"].sort_index()
    moved = traffic["psum", "buffer"].sum() + traffic["ifm", "buffer", "read"]
    assert moved / 1e6 == pytest.approx(24.9, rel=0.02), moved
    assert report.layers["tiles"].tolist() == [256]


def test_gating_changes_energy_and_not_cycles() -> None:
    conv = chain(conv_layer("conv", (16, 14, 14), 32, (3, 3), padding=1))
    dense = simulate(conv, "eyeriss")
    sparse = simulate(conv.with_densities({"conv": (0.3, None)}), "eyeriss")
    assert dense.layers["compute_cycles"].tolist() == sparse.layers["compute_cycles"].tolist()
    assert sparse.totals["energy_pj"] < 0.8 * dense.totals["energy_pj"]


def test_every_operator_finds_a_pass() -> None:
    """Fully connected, 1×1, strided, wide and depthwise layers, and kernels higher than the array."""
    layers = (
        conv_layer("large", (3, 40, 40), 8, (15, 15)),
        conv_layer("strided", (8, 26, 26), 16, (3, 3), stride=2),
        conv_layer("depthwise", (16, 12, 12), 16, (3, 3), padding=1, groups=16),
        conv_layer("point", (16, 12, 12), 40, (1, 1)),
        conv_layer("full", (40, 12, 12), 10, (12, 12)),
    )
    schedule = plan(chain(*layers), EYERISS)
    assert all(layer is not None for layer in schedule.layers)
    report = simulate(chain(*layers), EYERISS)
    assert (report.layers["compute_cycles"] < 1e7).all()
    assert (report.layers["utilisation"] <= 1).all()
