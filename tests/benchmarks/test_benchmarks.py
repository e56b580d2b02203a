"""The benchmarks run and report what they measure. How fast anything is, is not for a test to say."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from builders import chain, with_random_maps

from benchmarks import __main__ as command
from benchmarks import compression, dram, import_time, mapping, scale_sim, simulating, skipping, study, zigzag
from benchmarks.options import Options
from benchmarks.process import ProcessError, measure, task
from benchmarks.results import Row, markdown, skipped, text_line
from simulator.trace.shapes import conv_layer
from simulator.validation.scale_sim_data import ALEXNET_CSV, COMPUTE_CYCLES


@pytest.mark.parametrize(
    ("figure", "bound", "sense", "expected"),
    [
        (1.5, 1.5, "at most", "pass"),
        (1.6, 1.5, "at most", "FAIL"),
        (100, 100, "at least", "pass"),
        (99, 100, "at least", "FAIL"),
        (5, 5, "exactly", "pass"),
        (4, 5, "exactly", "FAIL"),
        (4, None, "at most", "info"),
        (None, None, "at most", "skipped"),
    ],
)
def test_a_row_keeps_its_bound_or_not(figure: float | None, bound: float | None, sense: str, expected: str) -> None:
    assert Row("b", "w", figure, "s", bound, sense).status == expected  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("figure", "shown"), [(0.01744, "0.0174 s"), (2.0, "2 s"), (1234.5, "1,234 s"), (12.34, "12.3 s"), (0, "0 s")]
)
def test_figures_are_shown_with_three_digits_and_their_unit(figure: float, shown: str) -> None:
    assert Row("b", "w", figure, "s").cells()[2] == shown


def test_tables_hold_every_row() -> None:
    rows = [Row("import", "a|b", 0.2, "s", 0.5, note="fast"), skipped("scale_sim", "peer", "no network")]
    page = markdown(rows, {"Python": "CPython 3"}, "python -m benchmarks")
    assert "- Python: CPython 3\n" in page
    assert "| import | a\\|b | 0.2 s | ≤ 0.5 s | pass | fast |" in page
    assert "| scale_sim | peer | – |  | skipped | no network |" in page
    assert "no network" in text_line(rows[1])


def test_a_measured_process_reports_its_own_memory_and_output() -> None:
    small = measure([sys.executable, "-c", "print('done')"])
    large = measure([sys.executable, "-c", "block = bytearray(200 * 2**20); block[::4096] = b'x' * len(block[::4096])"])
    assert small.output == "done\n"
    assert small.cpu_s > 0
    assert 200 < large.peak_mib < 200 + 2 * small.peak_mib, f"{small.peak_mib} and {large.peak_mib} MiB"


def test_a_failing_process_says_why() -> None:
    with pytest.raises(ProcessError, match=r"exit status 3: .*no such thing"):
        measure([sys.executable, "-c", "import sys; print('no such thing', file=sys.stderr); sys.exit(3)"])


def test_the_measuring_side_stays_small() -> None:
    code = "import sys, benchmarks.__main__; print([m for m in ('numpy', 'torch', 'simulator') if m in sys.modules])"
    assert measure([sys.executable, "-c", code]).output.strip() == "[]"


def test_quick_import_benchmark() -> None:
    rows = list(import_time.run(Options(quick=True)))
    assert [row.what for row in rows][:3] == ["import simulator", "import all that simulating needs", "fmapsim --help"]
    assert {row.status for row in rows if "torch" in row.what} == {"pass"}


def test_quick_simulating_benchmark(tmp_path: Path) -> None:
    shapes = chain(conv_layer("first", (3, 16, 16), 8, (3, 3)), conv_layer("second", (8, 14, 14), 4, (3, 3)))
    with_random_maps(shapes, np.random.default_rng(0)).save(tmp_path / "small.trace.safetensors")
    rows = list(simulating.run(Options(quick=True, traces=tmp_path, data=tmp_path / "none")))
    assert [row.what.split(":")[0] for row in rows] == [
        "small, eyeriss, none",
        "small, eyeriss, dynamic",
        "peak RSS, the largest (small)",
    ]
    assert all("2 layers" in row.note for row in rows[:2])


def test_quick_dram_benchmark() -> None:
    rows = list(dram.run(Options(quick=True)))
    assert [row.what.split(",")[0] for row in rows] == ["DDR4-2400"] * 4
    assert all(row.figure and row.figure > 0 for row in rows)


def test_quick_mapping_benchmark() -> None:
    time, compulsory, least = mapping.run(Options(quick=True))
    assert time.what == "vgg16, 108 KiB: CPU of the slowest layer"
    assert "17 distinct layers" in time.note, time.note
    assert compulsory.figure is not None
    assert least.figure is not None
    assert compulsory.figure >= least.figure >= 1, f"{compulsory.figure} and {least.figure}"


def test_quick_compression_benchmark() -> None:
    together, *each = compression.run(Options(quick=True))
    assert together.what.startswith("squeezenet1_1, ")
    assert "6 codecs together" in together.what
    codecs = [row.what.rpartition(" ")[2] for row in each]
    assert codecs == ["bitmap", "eyeriss_rlc", "zero_run_length", "csc", "n_m", "entropy"]
    assert together.figure == pytest.approx(sum(row.figure or 0 for row in each) / 1e3)


def test_quick_study_benchmark() -> None:
    one, twice, shared, memory = study.run(Options(quick=True))
    assert one.what == "2 points of squeezenet1_1 on eyeriss, one worker"
    assert all(row.figure and row.figure > 0 for row in (one, twice, shared, memory))


def test_quick_zigzag_benchmark() -> None:
    rows = list(zigzag.run(Options(quick=True)))
    if rows[0].status == "skipped":
        pytest.skip(rows[0].note)
    assert [row.what.split(": ")[1].split(",")[0] for row in rows] == [
        "CPU",
        "CPU without imports",
        "peak RSS",
        "cycles",
        "energy",
    ]
    assert all(row.what.startswith("resnet18, conv1 alone") for row in rows)
    assert all(row.figure and row.figure > 0 for row in rows)
    assert "(" not in rows[3].what, "both count the same layers"


def test_our_side_of_the_zigzag_comparison_has_all_layers() -> None:
    found = json.loads(measure(task("simulate_network", zigzag.NETWORK, zigzag.PRESET)).output)
    assert (found["layers"], found["all_layers"]) == (21, 31)
    assert found["cycles"] < found["all_cycles"]
    assert found["energy_pj"] < found["all_energy_pj"]


def test_without_traces_and_data_nothing_is_simulated(tmp_path: Path) -> None:
    (row,) = simulating.run(Options(traces=tmp_path, data=tmp_path / "none"))
    assert row.status == "skipped"
    assert "nets" in row.note


def test_scale_sim_topology_and_layout() -> None:
    assert scale_sim.topology() == ALEXNET_CSV
    assert scale_sim.topology(1).splitlines() == ALEXNET_CSV.splitlines()[:2]
    lines = scale_sim.layout(scale_sim.topology(1)).splitlines()
    assert [line.split(",")[0] for line in lines] == ["Layer name", "Conv1"]
    assert all(line.endswith(",") for line in lines)


def test_cycles_are_read_from_scale_sims_report() -> None:
    report = (
        "LayerID, Total Cycles (incl. prefetch), Total Cycles, Stall Cycles, Overall Util %, Mapping Efficiency %, "
        "Compute Util %,\n0, 116210, 112290, 7, 91.683, 94.531, 90.78,\n1, 9, 5.0, 0.0, 1, 1, 1,\n"
    )
    assert scale_sim.compute_cycles(report) == [112_283, 5]


def test_our_side_of_the_comparison_gives_the_reference_cycles(tmp_path: Path) -> None:
    path = tmp_path / "alexnet.csv"
    path.write_text(scale_sim.topology())
    found = json.loads(measure(task("simulate_topology", path, scale_sim.PRESET)).output)
    assert found == COMPUTE_CYCLES[scale_sim.PRESET]


def test_command_line_writes_both_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    good, bad = Row("import", "good", 1.0, "s", 2.0), Row("import", "bad", 3.0, "s", 2.0)
    table, page = tmp_path / "out.json", tmp_path / "out.md"
    arguments = ["import", "--json", str(table), "--markdown", str(page)]
    monkeypatch.setitem(command.BENCHMARKS, "import", lambda options: iter([good]))
    assert command.main(arguments) == 0
    monkeypatch.setitem(command.BENCHMARKS, "import", lambda options: iter([good, bad]))
    assert command.main(arguments) == 1
    found = json.loads(table.read_text(encoding="utf-8"))
    assert [row["status"] for row in found["rows"]] == ["pass", "FAIL"]
    assert {"processor", "Python", "packages", "fmapsim"} <= set(found["environment"])
    assert "python -m benchmarks import --markdown out.md" in page.read_text(encoding="utf-8")


def test_a_benchmark_that_breaks_off_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(command.BENCHMARKS, "import", lambda options: iter(measure([sys.executable, "-c", "oops"])))
    (row,) = command.run_all(["import"], Options())
    assert row.status == "FAIL"
    assert "NameError" in row.note


def test_an_unknown_benchmark_is_named() -> None:
    root = Path(command.__file__).parents[1]
    result = subprocess.run(
        [sys.executable, "-m", "benchmarks", "speed"], cwd=root, capture_output=True, text=True, check=False
    )
    assert result.returncode == 2
    assert f"no benchmark 'speed'; there are {', '.join(command.BENCHMARKS)}" in result.stderr


def test_quick_skipping_benchmark() -> None:
    """Cycles of a small network on SCNN, without a bound on time."""
    (row,) = skipping.run(Options(quick=True))
    assert row.bound is None
    assert row.figure is not None
    assert row.figure > 0
