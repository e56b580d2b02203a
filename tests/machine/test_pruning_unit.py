"""What the pruning unit can do and what that costs: rules, thresholds per channel, means in place of flagged maps."""

import dataclasses

import numpy as np
import pytest
from builders import chain, small_accelerator, with_random_maps

import simulator
from simulator.errors import InputError
from simulator.report.report import Report
from simulator.trace.records import RecordedPruning
from simulator.trace.shapes import conv_layer
from simulator.trace.trace import Trace

LARGE = {"ifm": {"capacity": "64 KiB"}, "kernel": {"capacity": "64 KiB"}, "ofm": {"capacity": "64 KiB"}}
UNIT = "pruning.thresholds", "pruning.replacement"


@pytest.fixture
def trace() -> Trace:
    """Two convolutions; half of the 32 feature maps between them are zero. 32 kernel slices of 16·9 words each."""
    shapes = chain(
        conv_layer("a", (8, 8, 8), 32, (3, 3), padding=1), conv_layer("b", (32, 8, 8), 16, (3, 3), padding=1)
    )
    return with_random_maps(shapes, np.random.default_rng(0), empty_maps=0.5)


def recorded(trace: Trace, **values: object) -> Trace:
    return dataclasses.replace(trace, pruning=RecordedPruning(**({"epsilon": {"a": 0.1}} | values)))


def run(trace: Trace, pruning: str | None = "dynamic", **overrides: object) -> Report:
    return simulator.simulate(trace, small_accelerator(buffers=LARGE, **overrides), pruning=pruning)


def moved(report: Report, layer: str, operand: str) -> int:
    rows = report.traffic[(report.traffic.layer == layer) & (report.traffic.operand == operand)]
    return int(rows[rows.level == "dram"]["bytes"].sum())


def test_slices_of_maps_that_a_mean_stands_for_are_loaded_and_their_macs_are_not_done(trace):
    means = np.where(np.arange(32) % 2, 0.25, 0.0)  # even channels have none: their slices stay away
    zeros = run(recorded(trace))
    with_means = run(recorded(trace, means={"a": tuple(means)}), **{"pruning.replacement": "mean"})
    nothing = run(recorded(trace), None)
    empty = ~trace.nonzero(trace.layer("b").inputs[0], 0).any(axis=(1, 2))
    slice_bytes = 16 * 9 * 2
    assert moved(nothing, "b", "kernel") == 32 * slice_bytes
    # Slices of 288 B are not whole bursts of 64 B; what moves is at most one burst more for each end of a hole.
    for report, loaded in ((zeros, ~empty), (with_means, ~empty | (means != 0))):
        exact = int(loaded.sum()) * slice_bytes
        assert exact <= moved(report, "b", "kernel") <= exact + 64 * 32
    assert moved(zeros, "b", "kernel") < moved(with_means, "b", "kernel") < moved(nothing, "b", "kernel")
    skipped = [report.layers.set_index("layer").macs_skipped["b"] for report in (zeros, with_means)]
    assert skipped[0] == skipped[1] == int(empty.sum()) * 16 * 9 * 64
    assert moved(zeros, "b", "ifm") == moved(with_means, "b", "ifm")


def test_tables_are_read_from_dram(trace):
    """32 and 16 thresholds of 16 bit are one burst of 64 B for each layer, and so are 32 means for the one reader."""
    plain, thresholds = run(recorded(trace)), run(recorded(trace), **{"pruning.thresholds": "channel"})
    means = recorded(trace, means={"a": (0.5,) * 32})
    both = run(means, **dict.fromkeys(UNIT[:1], "channel"), **{"pruning.replacement": "mean"})
    for layer, more, most in (("a", 64, 64), ("b", 64, 128)):
        assert moved(thresholds, layer, "metadata") - moved(plain, layer, "metadata") == more
        assert moved(both, layer, "metadata") - moved(plain, layer, "metadata") == most
    assert thresholds.totals["cycles"] >= plain.totals["cycles"]


def test_a_memory_system_moves_the_tables_too(trace):
    plain, thresholds = (
        simulator.simulate(
            recorded(trace),
            "edge-npu",
            pruning="dynamic",
            overrides={"dram.standard": "DDR4-2400", "pruning.thresholds": which},
        )
        for which in ("layer", "channel")
    )
    assert moved(thresholds, "b", "metadata") > moved(plain, "b", "metadata")


def test_what_each_rule_compares_and_adds_up(trace):
    """Rule all stops at a map's first large element; counting and adding go over all of them."""
    energy = {"energy.compare": "1 pJ", "energy.accumulate": "100 pJ"}
    unit = {
        rule: run(recorded(trace, rule=rule if rule == "mean" else "all"), **energy, **{"pruning.rule": unit})
        for rule, unit in (("all", "all"), ("90%", "count"), ("mean", "mean"))
    }
    spent = {rule: float(report.energy_by_component()["pruning_unit"]) for rule, report in unit.items()}
    elements, maps = 32 * 64 + 16 * 64, 32 + 16
    assert spent["90%"] == 101 * elements
    assert spent["mean"] == 100 * elements + maps
    assert maps < spent["all"] < elements


@pytest.mark.parametrize(
    ("pruning", "key", "found", "able"),
    [
        ({"rule": "99%"}, "rule", "count", "count"),
        ({"rule": "mean"}, "rule", "mean", "mean"),
        ({"epsilon": {"a": (0.1,) * 32}}, "thresholds", "channel", "channel"),
        ({"means": {"a": (0.1,) * 32}}, "replacement", "mean", "mean"),
    ],
)
def test_a_unit_that_lacks_what_was_recorded_is_refused(trace, pruning, key, found, able):
    with pytest.raises(InputError, match=rf"pruning {key} {found}, but the accelerator's pruning\.{key} is"):
        run(recorded(trace, **pruning))
    run(recorded(trace, **pruning), **{f"pruning.{key}": able})


def test_a_unit_that_can_do_more_is_accepted(trace):
    more = {"pruning.rule": "count", "pruning.thresholds": "channel", "pruning.replacement": "mean"}
    run(recorded(trace), **more)


@pytest.mark.parametrize("side", ["ofm", "ifm"])
def test_shapes_pay_for_the_unit_what_dense_maps_pay(side: str) -> None:
    shapes = chain(
        conv_layer("a", (8, 8, 8), 32, (3, 3), padding=1), conv_layer("b", (32, 8, 8), 16, (3, 3), padding=1)
    )
    dense = with_random_maps(shapes, np.random.default_rng(0), density=1.0, empty_maps=0.0)
    alone, of_shapes, of_maps = (
        run(trace, pruning, **{"pruning.side": side})
        for trace, pruning in ((shapes, None), (shapes, "dynamic"), (dense, "dynamic"))
    )
    assert of_shapes.totals == of_maps.totals
    assert (of_shapes.totals["dram_bytes"] > alone.totals["dram_bytes"]) == (side == "ofm"), "flags lie in DRAM"
