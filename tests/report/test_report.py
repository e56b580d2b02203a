"""Reports on disk and side by side."""

import dataclasses
import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from builders import chain, small_accelerator, with_random_maps

import simulator
from simulator.errors import InputError
from simulator.report.compare import compare, compare_layers
from simulator.report.report import Report, lost_percent
from simulator.report.save import TABLES
from simulator.report.spread import NETWORK, SPREAD_OF
from simulator.trace.shapes import conv_layer


def report(outputs: int = 8) -> Report:
    trace = chain(conv_layer("a", (4, 8, 8), outputs, (3, 3)), conv_layer("b", (outputs, 6, 6), 4, (3, 3)))
    return simulator.simulate(trace, small_accelerator())


def test_a_saved_report_comes_back_the_same(tmp_path: Path) -> None:
    original = report()
    folder = simulator.save_report(original, tmp_path / "out")
    again = simulator.load_report(folder)
    for table in TABLES:
        pd.testing.assert_frame_equal(getattr(again, table), getattr(original, table))
    assert again.totals == original.totals
    assert dict(again.meta) == json.loads(json.dumps(dict(original.meta)))
    names = sorted(path.name for path in folder.iterdir())
    assert names == sorted(["report.json", *(f"{table}.parquet" for table in TABLES)])


def test_the_documented_columns_are_there() -> None:
    columns = set(report().layers.columns)
    assert columns >= {
        "layer",
        "operator",
        "macs_dense",
        "macs_effectual",
        "macs_performed",
        "cycles",
        "compute_cycles",
        "stall_cycles",
        "utilisation",
        "dram_bytes",
        "skippable_bytes",
        "skipped_bytes",
        "skip_lost_percent",
        "energy_pj",
    }
    assert report().traffic.columns.tolist() == ["layer", "operand", "level", "direction", "bytes"]
    assert set(report().totals) >= {
        "cycles",
        "seconds",
        "dram_bytes",
        "energy_pj",
        "macs_dense",
        "macs_effectual",
        "macs_performed",
    }


def test_json_totals_are_the_reports(tmp_path: Path) -> None:
    original = report()
    saved = json.loads((simulator.save_report(original, tmp_path) / "report.json").read_text())
    assert saved["totals"] == dict(original.totals)
    assert sum(saved["energy_pj"].values()) == pytest.approx(original.totals["energy_pj"])


def test_comparison_is_relative_to_the_first() -> None:
    table = compare({"small": report(8), "large": report(16)}).set_index("report")
    assert table.loc["small", "dram_bytes_change"] == 0
    expected = 100 * (table.loc["large", "dram_bytes"] / table.loc["small", "dram_bytes"] - 1)
    assert table.loc["large", "dram_bytes_change"] == pytest.approx(expected)


def test_layer_comparison_puts_the_largest_difference_first() -> None:
    table = compare_layers({"small": report(8), "large": report(16)})
    assert table["difference"].abs().is_monotonic_decreasing
    assert set(table["layer"]) == {"a", "b"}


def test_bad_folders_and_counts_are_one_clear_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="not a report folder"):
        simulator.load_report(tmp_path)
    with pytest.raises(InputError, match="at least two reports, found 1"):
        compare({"one": report()})
    for quantity in ("speed", "operator", "layer"):
        with pytest.raises(InputError, match=f"no figure '{quantity}'"):
            compare_layers({"a": report(), "b": report()}, quantity)
    blocker = tmp_path / "file"
    blocker.write_text("")
    with pytest.raises(InputError, match="cannot be written"):
        simulator.save_report(report(), blocker / "out")
    folder = simulator.save_report(report(), tmp_path / "damaged")
    (folder / "layers.parquet").write_bytes(b"nothing")
    with pytest.raises(InputError, match="damaged report"):
        simulator.load_report(folder)


def test_what_is_lost_of_the_skippable_is_a_share_of_sums() -> None:
    trace = with_random_maps(
        chain(conv_layer("a", (4, 8, 8), 16, (1, 1)), conv_layer("b", (16, 8, 8), 8, (1, 1))),
        np.random.default_rng(0),
        images=3,
        empty_maps=0.5,
    )
    found = simulator.simulate(trace, small_accelerator(layout="NCHW16"), pruning="dynamic")
    rows = found.layers
    assert (rows["skippable_bytes"] > 0).all()
    shares = 100 * (1 - rows["skipped_bytes"] / rows["skippable_bytes"])
    assert rows["skip_lost_percent"].tolist() == pytest.approx(shares.clip(lower=0).tolist())
    totals = found.totals
    expected = 100 * (1 - totals["skipped_bytes"] / totals["skippable_bytes"])
    assert totals["skip_lost_percent"] == pytest.approx(max(expected, 0))
    assert [lost_percent(*pair) for pair in ((0, 0), (0, 64), (50, 64), (64, 48), (64, 0))] == [0, 0, 0, 25, 100]


@pytest.mark.parametrize("granularity", ["feature_map", "tile"])
@pytest.mark.parametrize("side", ["ofm", "ifm"])
def test_what_was_flagged_is_counted_where_the_unit_sits(side: str, granularity: str) -> None:
    trace = with_random_maps(
        chain(conv_layer("a", (4, 8, 8), 16, (1, 1)), conv_layer("b", (16, 8, 8), 8, (1, 1))),
        np.random.default_rng(0),
        images=3,
        empty_maps=0.5,
    )
    unit = {"granularity": granularity, "side": side} | ({"tile": [4, 4]} if granularity == "tile" else {})
    accelerator = small_accelerator(pruning=unit)
    found, dense = (simulator.simulate(trace, accelerator, pruning=how) for how in ("dynamic", None))
    size = 8 if granularity == "feature_map" else 4
    expected = []
    for layer in trace.layers:
        tensor = layer.output if side == "ofm" else layer.inputs[0]
        maps = np.stack([trace.nonzero(tensor, image) for image in range(3)])
        parts = maps.reshape(3, len(maps[0]), 8 // size, size, 8 // size, size)
        expected.append((~parts.any(axis=(3, 5))).sum() * size * size / 3)
    assert found.layers["flagged_elements"].tolist() == pytest.approx(expected)
    assert min(expected) > 0
    for each in (found, dense):
        ofm, ifm = [16 * 64, 8 * 64], [4 * 64, 16 * 64]
        assert each.layers["prunable_elements"].tolist() == (ofm if side == "ofm" else ifm)
    assert found.totals["flagged_share"] == pytest.approx(sum(expected) / sum(found.layers["prunable_elements"]))
    assert dense.totals["flagged_elements"] == dense.totals["flagged_share"] == 0


def test_reports_without_these_figures_still_have_totals() -> None:
    old = report()
    columns = ["skippable_bytes", "skipped_bytes", "skip_lost_percent"]
    flags = ["prunable_elements", "flagged_elements"]
    old = dataclasses.replace(old, layers=old.layers.drop(columns=[*columns, *flags]))
    assert [old.totals[name] for name in (*columns, *flags, "flagged_share")] == [0, 0, 0, 0, 0, 0]


def test_the_spread_is_of_the_batches_own_figures() -> None:
    """Each image simulated alone, then mean, percentiles and the worst image of what was found."""
    trace = with_random_maps(
        chain(conv_layer("a", (4, 8, 8), 16, (1, 1)), conv_layer("b", (16, 8, 8), 8, (1, 1))),
        np.random.default_rng(1),
        images=5,
        empty_maps=0.5,
    )
    alone = [
        simulator.simulate(trace, small_accelerator(layout="NCHW"), images=[image], pruning="dynamic")
        for image in range(5)
    ]
    spread = simulator.simulate(trace, small_accelerator(layout="NCHW"), pruning="dynamic").spread
    assert len(spread) == len(SPREAD_OF) * (1 + len(trace.layers))
    for row in spread.to_dict("records"):
        if row["layer"] == NETWORK:
            values = [float(report.totals[row["quantity"]]) for report in alone]
        else:
            values = [float(report.layers.set_index("layer")[row["quantity"]][row["layer"]]) for report in alone]
        print(row, values)
        assert row["mean"] == pytest.approx(np.mean(values))
        assert [row["p5"], row["p50"], row["p95"]] == pytest.approx(np.percentile(values, [5, 50, 95]).tolist())
        assert row["worst"] == max(values)
        assert row["worst_images"] == str(int(np.argmax(values)))
    network = spread[(spread["layer"] == NETWORK) & (spread["quantity"] == "dram_bytes")]
    assert network["p5"].item() < network["p95"].item() <= network["worst"].item()


def test_the_columns_that_the_documentation_explains_are_there() -> None:
    """Each row of the table in docs/reading-reports.md names columns of layers."""
    page = (Path(__file__).parents[2] / "docs" / "reading-reports.md").read_text(encoding="utf-8")
    firsts = [line.split("|")[1] for line in page.splitlines() if line.startswith("| ")]
    named = [name for cell in firsts for name in re.findall(r"`([a-z_0-9]+)`", cell)]
    report = simulator.simulate(chain(conv_layer("a", (4, 8, 8), 8, (3, 3))), small_accelerator())
    assert [name for name in named if name not in report.layers.columns] == []
    assert {"statistical_cycles", "cycles", "dram_bytes", "utilisation"} <= set(named)
