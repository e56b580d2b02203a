"""Running a study: every point once, failures kept apart, and nothing that has ended runs again."""

from pathlib import Path

import pandas as pd
import pytest
from study_inputs import study_file

import simulator
from simulator.errors import InputError
from simulator.study.folder import TOOK, about, results
from simulator.study.run import Summary, run_study
from simulator.study.store import outcomes


def small_study(folder: Path, **changes: object) -> Path:
    """On a preset whose layers are planned faster."""
    return study_file(folder, **{"accelerators": ["systolic-256"], **changes})


def test_results_are_what_simulating_each_point_gives(folder: Path) -> None:
    summary = run_study(study_file(folder, images="0:2"), folder / "out")
    fixed = ("buffers.ifm.read_energy", "buffers.ifm.write_energy")
    assert summary == Summary(points=16, done=16, failed=0, ran=16, excluded=0, energies_left_behind=fixed)
    table = results(folder / "out")
    assert len(table) == 16
    assert about(folder / "out").units == {"buffers.ifm.capacity": "B", "dram.bandwidth": "B/s"}
    for row in table.iloc[[0, 3, 5, 14]].to_dict("records"):
        report = simulator.simulate(
            simulator.load_trace(folder / f"{row['trace']}.trace.safetensors"),
            "eyeriss",
            pruning=row["pruning"],
            overrides={
                "buffers.ifm.capacity": f"{row['buffers.ifm.capacity']} B",
                "dram.bandwidth": f"{row['dram.bandwidth']:.0f} B/s",
            },
        )
        for name in ("cycles", "dram_bytes", "energy_pj", "kernel_bytes", "skippable_bytes"):
            assert row[name] == report.totals[name], name
        assert row["energy_mac_pj"] == report.energy_by_component()["mac"]
        assert row["buffer_bytes"] == row["buffers.ifm.capacity"] + 8 * 1024
        assert row["top1"] == (0.5 if row["trace"] == "one" else 0.75)
        assert (row["pruning_unit_area_um2"] > 0) == (row["pruning"] == "dynamic")


def test_the_table_is_written_for_other_tools(folder: Path) -> None:
    run_study(small_study(folder), folder / "out")
    table = pd.read_parquet(folder / "out" / "results.parquet")
    assert table["buffers.ifm.capacity"].dtype == "int64"
    assert table["cycles"].dtype == "Int64"
    assert table["energy_pj"].dtype == "float64"
    assert list(table.columns[:7]) == [
        "trace", "accelerator", "buffers.ifm.capacity", "dram.bandwidth", "pruning", "images", "batch"
    ]  # fmt: skip


def test_what_has_ended_never_runs_again(folder: Path) -> None:
    run_study(small_study(folder), folder / "out")
    before = results(folder / "out")
    assert run_study(small_study(folder), folder / "out").ran == 0
    grown = {"buffers.ifm.capacity": ["64 KiB", "96 KiB", "80 KiB"], "dram.bandwidth": ["1 GB/s", "4 GB/s"]}
    assert run_study(small_study(folder, parameters=grown), folder / "out").ran == 8
    assert len({one.key for one in outcomes(folder / "out")}) == len(list(outcomes(folder / "out"))) == 24
    assert run_study(small_study(folder), folder / "out") == Summary(16, 16, 0, 0, 0)
    pd.testing.assert_frame_equal(results(folder / "out"), before)  # points of the larger study do not show


def test_an_interrupted_study_goes_on(folder: Path) -> None:
    def stop_at_five(done: int, total: int) -> None:
        assert total == 16
        if done == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_study(small_study(folder), folder / "out", progress=stop_at_five)
    assert len(results(folder / "out")) == 5
    assert run_study(small_study(folder), folder / "out").ran == 11
    run_study(small_study(folder), folder / "whole")
    first, second = (results(folder / name).drop(columns=[*TOOK]) for name in ("out", "whole"))
    pd.testing.assert_frame_equal(first, second)


def test_points_that_fail_are_recorded_and_do_not_stop_the_rest(folder: Path) -> None:
    too_small = small_study(folder, parameters={"buffers.kernel.capacity": ["8 KiB", "16 B"]})
    summary = run_study(too_small, folder / "out")
    assert (summary.done, summary.failed) == (4, 4)
    table = results(folder / "out").set_index("buffers.kernel.capacity")
    assert (table.loc[8192, "status"] == "done").all()
    failed = table.loc[16]
    assert (failed["status"] == "failed").all()
    assert failed["error"].str.contains("layer 'first': .*buffers.kernel", regex=True).all(), failed["error"].iloc[0]
    assert failed["cycles"].isna().all()
    assert run_study(too_small, folder / "out").ran == 0
    assert run_study(too_small, folder / "out", retry_failed=True).ran == 4


def test_a_mistake_is_found_before_anything_runs(folder: Path) -> None:
    wrong = small_study(folder, parameters={"buffers.kernel.capacity": ["8 KiB", "8 KB/s"]})
    with pytest.raises(InputError, match=r"kernel\.capacity: expected a size"):
        run_study(wrong, folder / "out")
    assert not (folder / "out").exists()


def test_a_folder_holds_one_study(folder: Path) -> None:
    run_study(small_study(folder), folder / "out")
    with pytest.raises(InputError, match=r"holds the study 'small', and .*study\.yaml is 'large'"):
        run_study(small_study(folder, name="large"), folder / "out")


def test_an_empty_folder_is_no_study(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no study here"):
        results(tmp_path)


def test_a_trace_that_changes_meanwhile_is_noticed(folder: Path) -> None:
    def exchange(done: int, total: int) -> None:
        one, two = (folder / f"{name}.trace.safetensors" for name in ("one", "two"))
        if done == 1:
            two.write_bytes(one.read_bytes())

    with pytest.raises(InputError, match="is not the one that the study began with"):
        run_study(small_study(folder), folder / "out", progress=exchange)


def test_shapes_have_no_images(folder: Path) -> None:
    summary = run_study(
        small_study(folder, traces=["paper/tiny", "one.trace.safetensors"], parameters=None), folder / "out"
    )
    assert summary.done == 4, results(folder / "out")["error"].tolist()
    assert results(folder / "out")["images"].tolist() == ["", "", "0:1", "0:1"]
