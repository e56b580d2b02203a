import csv
from pathlib import Path

import pytest
from cli_inputs import Run

from simulator.hardware.dram_device import device_names, device_path

HEADER = "sim,cfg,map,pat,op,ratio,chunk,stride,skew,load,nbytes_req,ns"
ROWS = (
    "dramsim3,DDR4-2400,rowmajor,rand,r,,256,,,sat,65536,4000",
    "ramulator2,DDR4-2400,bgint,tri,,,1024,,1,sat,65536,4000",
    "ramulator2,LPDDR5-6400,bgint,seq,w,,,,,half,65536,5000",
)


@pytest.fixture
def reference(tmp_path: Path) -> Path:
    path = tmp_path / "rows.csv"
    path.write_text("\n".join((HEADER, *ROWS)), encoding="utf-8")
    return path


def test_list_names_every_dram(run: Run) -> None:
    ran = run("dram", "list")
    assert ran.code == 0
    assert max(map(len, ran.out.splitlines())) <= 80
    for name in device_names():
        assert f"\n{name} " in ran.out
    ddr4 = next(line for line in ran.out.splitlines() if line.startswith("DDR4-2400 "))
    assert " ".join(ddr4.split()) == "DDR4-2400 hybrid 19.2 GB/s 1 4 × 4 8 KiB 64 B"
    found = {entry["name"]: entry for entry in run("dram", "list", "--json").json}
    assert sorted(found) == device_names()
    assert found["HBM2-2000"]["peak_bytes_per_second"] == 256e9


@pytest.mark.parametrize(
    "arguments",
    [
        ("DDR4-2400",),
        ("DDR4-2400", "--pattern", "seq", "--write"),
        ("--pattern", "random", "--chunk", "64", "HBM2-2000"),
        ("run", "DDR3-1600", "--pattern", "stride", "--stride", "64 KiB"),
        ("LPDDR5-6400", "--pattern", "mix", "--ratio", 3, "--no-skew", "--controller", "dramsim3"),
        ("GDDR6-14000", "--pattern", "streams", "--chunk", "2 KiB", "--map", "rowmajor", "--load", "50 %"),
    ],
)
def test_a_pattern_says_what_happened(run: Run, arguments: tuple[object, ...]) -> None:
    ran = run("dram", *arguments, "--bytes", "256 KiB")
    assert (ran.code, ran.err) == (0, "")
    assert max(map(len, ran.out.splitlines())) <= 80
    for what in ("bandwidth", "row hits", "activations", "pJ/bit", "turnaround", "bank group", "refresh", "idle"):
        assert what in ran.out
    found = run("dram", *arguments, "--bytes", "256 KiB", "--json").json
    assert sum(found["time_percent"].values()) == pytest.approx(100)
    assert min(found["time_percent"].values()) >= 0
    assert sum(stream["bytes"] for stream in found["streams"]) == found["bytes"]
    assert found["bytes_per_second"] * found["nanoseconds"] / 1e9 == pytest.approx(found["bytes"])
    assert 100 * found["bytes_per_second"] / found["peak_bytes_per_second"] == pytest.approx(found["percent_of_peak"])
    assert found["activates"] == found["row_misses"] + found["row_conflicts"]
    energy = found["energy_pj"]
    assert sum(energy.values()) == pytest.approx(2 * energy["total"])
    if found["reads"]:
        assert 0 < found["read_latency_ns"]["p50"] <= found["read_latency_ns"]["p95"] <= found["read_latency_ns"]["p99"]
    else:
        assert found["read_latency_ns"] is None


def test_streams_share_the_bandwidth(run: Run) -> None:
    found = run("dram", "DDR4-2400", "--pattern", "mix", "--ratio", 3, "--json").json
    read, written = found["streams"]
    assert (read["name"], written["name"]) == ("read", "written")
    assert read["bytes"] == 3 * written["bytes"]
    assert found["pattern"] == {"kind": "mix", "chunk": 256, "ratio": 3, "skew": True}


def test_load_is_an_upper_bound(run: Run) -> None:
    assert run("dram", "DDR4-2400", "--load", "25%", "--json").json["percent_of_peak"] == pytest.approx(25, abs=0.3)


def test_a_file_of_ones_own(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(device_path("DDR4-2400").read_text(encoding="utf-8").replace("tRP: 16", "tRP: 32"), "utf-8")
    own, shipped = (
        run("dram", name, "--pattern", "stride", "--stride", "64 KiB", "--map", "rowmajor", "--json").json
        for name in (path, "DDR4-2400")
    )
    assert own["percent_of_peak"] < 0.9 * shipped["percent_of_peak"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("DDR4-240", "DRAM 'DDR4-240' is neither a file nor a preset (presets: DDR3-1600, "),
        ("DDR4-240", "did you mean 'DDR4-2400'?"),
        ("none.yaml", "none.yaml: no such DRAM file"),
        ("DDR4-2400 --ratio 2", "--ratio belongs to --pattern mix, not seq"),
        ("DDR4-2400 --pattern mix --write", "--write belongs to --pattern seq or random, not mix"),
        ("DDR4-2400 --no-skew", "--skew belongs to --pattern mix or streams, not seq"),
        ("DDR4-2400 --pattern walk", "'--pattern'"),
        ("DDR4-2400 --controller gem5", "'--controller'"),
        ("DDR4-2400 --pattern random --chunk 0", "--chunk: expected whole bytes from 1 B to 256 MiB, found '0'"),
        ("DDR4-2400 --bytes 4GHz", "--bytes: expected a size such as 256 or '4 KiB', found '4GHz'"),
        ("DDR4-2400 --bytes 5TB", "--bytes: expected whole bytes from 1 B to 4 GiB"),
        ("DDR4-2400 --load 0", "--load: expected a percentage of the peak from 0.01 to 100"),
        ("DDR4-2400 --load half", "--load: expected a percentage"),
        ("DDR4-2400 --map zigzag", "address map 'zigzag': found 'zigzag', expected one of rowmajor, "),
        ("DDR4-2400 --map co:3", "address map 'co:3': expected "),
        ("DDR4-2400 --chnk 3", "No such option"),
        ("compare", "Missing argument"),
        ("compare none.csv", "none.csv: cannot be read (No such file or directory)"),
    ],
)
def test_mistakes_are_one_line(run: Run, arguments: str, message: str) -> None:
    assert message in run("dram", *arguments.split()).mistake()


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("tCCD_L: 6", "tCCDL: 6", ": unknown key 'timing.tCCDL' (expected one of: clock, BL, "),
        ("tCCD_L: 6", "tCCDL: 6", "did you mean 'tCCD_L'?"),
        ("channels: 1", "channels: 3", ": organisation: channels must be a power of two, found 3"),
        ("833 ps", "833", ": timing.clock: expected a time such as '45 ns' (units: ps, ns, us, µs), found 833"),
        (
            "tREFI: 9364",
            "tREFI: 100",
            ": timing: tREFI (100) must be more than tRFC + tRP + tRAS or tRCD, the longer (488)",
        ),
        ("channels: 1", "channels: 128", ": organisation: channels must be at most 64, found 128"),
        ("row: 8 KiB", "row: 8 MiB", ": organisation: row (8388608 B) must hold at most 4096 bursts (64 B)"),
        ("tRAS: 39", "tRAS: -1", ": timing.tRAS: expected 0 or more, found -1"),
        ("tRAS: 39", "tRAS: yes", ": timing.tRAS: expected a whole number, found true"),
        ("tRAS: 39", "tRAS: 99999999999", ": timing.tRAS: expected 1073741824 or less, found 99999999999"),
        ("tRFC: 433", "#", ": key 'timing.tRFC' is missing"),
        ("4.2 nJ  ", "4.2 nW  ", ": energy.activate: expected an energy such as"),
    ],
)
def test_mistakes_in_a_file_are_named(run: Run, tmp_path: Path, old: str, new: str, message: str) -> None:
    path = tmp_path / "mine.yaml"
    text = device_path("DDR4-2400").read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")
    found = run("dram", path).mistake()
    assert found.startswith(f"{path}:")
    line = text[: text.index(old)].count("\n") + 1
    assert message in found
    if old not in (
        "channels: 1",
        "row: 8 KiB",
        "tREFI: 9364",
        "tRFC: 433",
    ):  # of these, the section or its first key is named
        assert found.startswith(f"{path}:{line}:")


def test_compare_prints_errors(run: Run, reference: Path) -> None:
    ran = run("dram", "compare", reference)
    assert ran.code == 0
    assert max(map(len, ran.out.splitlines())) <= 80
    for what in ("DDR4-2400", "rand", "tri", "all"):
        assert what in ran.out
    assert "LPDDR5" not in ran.out


def test_compare_as_json(run: Run, reference: Path, tmp_path: Path) -> None:
    out = tmp_path / "made" / "rows.csv"
    ran = run("dram", "compare", reference, "--json", "--out", out)
    found = ran.json
    assert set(found) == {"mape", "worst", "rows", "devices", "patterns", "simulators"}
    assert found["devices"]["DDR4-2400"] == {key: found[key] for key in ("mape", "worst", "rows")}
    assert list(found["patterns"]) == ["rand", "tri"]
    assert set(found["simulators"]) == {"dramsim3", "ramulator2"}
    own = found["simulators"]["ramulator2"]
    assert own["devices"] == {"DDR4-2400": {key: own[key] for key in ("mape", "worst", "rows")}}
    written = list(csv.DictReader(out.open(encoding="utf-8")))
    assert [row["sim"] for row in written] == ["dramsim3", "ramulator2"]
    errors = [abs(float(row["error_percent"])) for row in written]
    assert found["mape"] == pytest.approx(sum(errors) / 2, abs=0.001)
    assert found["worst"] == pytest.approx(max(errors), abs=0.001)
    for row in written:
        error = 100 * (float(row["simulated_ns"]) / float(row["ns"]) - 1)
        assert float(row["error_percent"]) == pytest.approx(error, abs=0.01)


def test_compare_at_half_the_rate(run: Run, reference: Path) -> None:
    found = run("dram", "compare", reference, "--load", "half", "--json").json
    assert list(found["devices"]) == ["LPDDR5-6400"]


def test_a_bad_reference_leaves_nothing(run: Run, reference: Path, tmp_path: Path) -> None:
    reference.write_text(f"{HEADER}\n{ROWS[0].replace('rand', 'walk')}\n", encoding="utf-8")
    out = tmp_path / "made" / "rows.csv"
    assert ":2: pat: expected one of " in run("dram", "compare", reference, "--out", out).mistake()
    assert not out.parent.exists()
    reference.write_text(f"{HEADER}\n{ROWS[0]}\n", encoding="utf-8")
    assert run("dram", "compare", reference, "--load", "half").mistake() == f"{reference}: no rows with load half"
    assert "is a folder" in run("dram", "compare", reference, "--out", tmp_path).mistake()
