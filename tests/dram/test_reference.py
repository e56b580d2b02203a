"""The model beside DRAMsim3 and Ramulator 2.1, and what is said about files that hold no such rows."""

import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from simulator.dram.address_map import address_map
from simulator.dram.patterns import Pattern, runs_of
from simulator.dram.reference import PATTERNS, ComparedRow, Errors, compare, read_reference
from simulator.errors import InputError
from simulator.hardware.dram_device import CONTROLLERS, load_device
from simulator.resources import shipped_folder

SHARED = Path(__file__).parents[3] / "shared" / "reference"
with_shared = [
    pytest.mark.shared,
    pytest.mark.skipif(not (SHARED / "dram.csv").is_file(), reason="needs ../shared/reference/dram.csv"),
]

HEADER = "sim,cfg,map,pat,op,ratio,chunk,stride,skew,load,nbytes_req,ns"
ROW = "dramsim3,DDR4-2400,rowmajor,rand,r,,256,,,sat,65536,5000"


def file_of(folder: Path, *lines: str) -> Path:
    path = folder / "rows.csv"
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def saturated() -> list[ComparedRow]:
    """Every second row that was measured as fast as it goes."""
    return [compare(row) for row in [row for row in read_reference(SHARED / "dram.csv") if row.load == "sat"][::2]]


class TestBesideTheSimulators:
    pytestmark = with_shared

    @pytest.mark.parametrize(("simulator", "mean"), [("dramsim3", 3), ("ramulator2", 5)])
    def test_errors_of_the_total_time_are_small(
        self, saturated: list[ComparedRow], simulator: str, mean: float
    ) -> None:
        own = [found for found in saturated if found.row.values["sim"] == simulator]
        errors = Errors.of(own)
        assert errors.rows > 100
        assert errors.mape <= mean, f"{errors.mape:.2f} %"
        assert errors.worst <= 25, f"{errors.worst:.1f} %"
        for name in {found.row.values["cfg"] for found in own}:
            device = Errors.of([found for found in own if found.row.values["cfg"] == name])
            assert device.mape <= 8, f"{name}: {device.mape:.2f} %"

    def test_they_are_as_small_as_they_were(self, saturated: list[ComparedRow]) -> None:
        assert Errors.of(saturated).mape < 0.6

    def test_half_the_rate_is_delivered_where_it_can_be(self) -> None:
        rows = read_reference(SHARED / "dram.csv")
        half = [row for row in rows if row.load == "half"]
        full = {_key(row.values): float(row.values["pct_peak"]) for row in rows if row.load == "sat"}
        checked = 0
        for row in half:
            if full.get(_key(row.values), 0) > 50:
                found = compare(row)
                assert found.percent == pytest.approx(50, abs=3), f"line {row.line}: {found.percent:.1f} %"
                checked += 1
        assert checked > 80

    def test_patterns_and_maps_are_those_of_the_reference(self) -> None:
        spec = importlib.util.spec_from_file_location("dram_patterns", SHARED / "dram_patterns.py")
        assert spec is not None
        assert spec.loader is not None
        theirs: Any = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(theirs)
        seen = set()
        for row in read_reference(SHARED / "dram.csv"):
            burst, kind = row.device.organisation.burst, row.values["pat"]
            needed = {column: row.values[column] for column in PATTERNS[kind][1]}
            parameters = {"pat": kind, **{name: text if name == "op" else int(text) for name, text in needed.items()}}
            key = (burst, row.total_bytes, *parameters.items())
            if key in seen or row.total_bytes > 1_500_000:
                continue
            seen.add(key)
            addresses, writes = theirs.gen(parameters, row.total_bytes, burst)
            runs = runs_of(row.pattern, row.total_bytes, burst)
            lengths = np.abs(runs.bursts)
            before = np.cumsum(lengths) - lengths
            bursts = np.repeat(runs.first - before, lengths) + np.arange(lengths.sum())
            assert np.array_equal(bursts, addresses // burst), parameters
            assert np.array_equal(np.repeat(runs.bursts < 0, lengths), writes), parameters
        assert len(seen) > 50


def _key(values: dict[str, str]) -> tuple[str, ...]:
    names = ("sim", "cfg", "map", "pat", "op", "ratio", "chunk", "stride", "skew")
    return tuple(values[name] for name in names)


def test_a_row_is_read(tmp_path: Path) -> None:
    (row,) = read_reference(file_of(tmp_path, HEADER, ROW))
    assert (row.line, row.load, row.total_bytes, row.nanoseconds) == (2, "sat", 65536, 5000)
    assert row.pattern == Pattern("random", chunk=256)
    assert row.device == load_device(shipped_folder("hwconfigs") / "dram" / "dramsim3" / "DDR4-2400.yaml")
    found = compare(row)
    assert found.error == pytest.approx(100 * (found.nanoseconds / 5000 - 1))
    assert found.reference_percent == pytest.approx(100 * 65536 / 5000 / (64 / (4 * 0.83)))


def test_a_device_that_the_simulator_was_not_run_with_is_the_preset(tmp_path: Path) -> None:
    (row,) = read_reference(file_of(tmp_path, HEADER, ROW.replace("DDR4-2400", "HBM3-6400")))
    assert row.device == load_device("HBM3-6400")


def test_without_the_bytes_asked_for_those_moved_count(tmp_path: Path) -> None:
    (row,) = read_reference(file_of(tmp_path, HEADER.replace("nbytes_req", "bytes"), ROW))
    assert row.total_bytes == 65536


@pytest.mark.parametrize("chunk", [64, 100, 4096])
@pytest.mark.parametrize("kind", ["rwmix", "tri", "rand", "stride", "seq"])
def test_any_sizes_play(tmp_path: Path, kind: str, chunk: int) -> None:
    line = f"ramulator2,LPDDR5-6400,hybrid,{kind},w,3,{chunk},{chunk},1,half,10001,900.5"
    (row,) = read_reference(file_of(tmp_path, HEADER, line))
    assert compare(row).nanoseconds > 0


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("dramsim3", "gem5", ":2: sim: expected one of ramulator2, dramsim3, found 'gem5'"),
        ("DDR4-2400", "DDR9", ":2: cfg: expected a DRAM that dramsim3 was run with or a preset (DDR3-1600, "),
        ("DDR4-2400", "../eyeriss", ":2: cfg: expected a DRAM"),
        ("rowmajor", "zigzag", ":2: map: address map 'zigzag': found 'zigzag', expected one of rowmajor, "),
        ("rand", "walk", ":2: pat: expected one of seq, stride, rand, rwmix, tri, found 'walk'"),
        (",r,", ",x,", ":2: op: expected one of r, w, found 'x'"),
        (",256,", ",,", ":2: chunk: expected a whole number from 1 to 268435456, found ''"),
        (",256,", ",-4,", ":2: chunk: expected a whole number from 1 to 268435456, found '-4'"),
        ("sat", "full", ":2: load: expected one of sat, half, found 'full'"),
        ("65536", "1e5", ":2: nbytes_req: expected a whole number from 1 to 4294967296, found '1e5'"),
        ("5000", "nan", ":2: ns: expected a time above 0, found 'nan'"),
        ("5000", "0", ":2: ns: expected a time above 0, found '0'"),
        (",5000", "", ":2: expected as many values as there are columns"),
        (",5000", ",5000,1", ":2: expected as many values as there are columns"),
    ],
)
def test_a_bad_row_is_named(tmp_path: Path, old: str, new: str, message: str) -> None:
    with pytest.raises(InputError) as caught:
        read_reference(file_of(tmp_path, HEADER, ROW.replace(old, new)))
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", ": the file is empty"),
        (HEADER.encode(), ": no rows below the header"),
        (HEADER.replace("pat,", "").encode(), ":1: column 'pat' is missing (expected sim, cfg, "),
        (HEADER.replace("nbytes_req", "n").encode(), ":1: column 'bytes' is missing"),
        (b"\xff\xfe\x00", ": not UTF-8 text"),
    ],
)
def test_a_file_without_rows_is_named(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "rows.csv"
    path.write_bytes(content)
    with pytest.raises(InputError) as caught:
        read_reference(path)
    assert str(caught.value).startswith(f"{path}{message}")


def test_controllers_are_named_as_the_simulators() -> None:
    folders = {path.name for path in (shipped_folder("hwconfigs") / "dram").iterdir() if path.is_dir()}
    assert folders == set(CONTROLLERS)


@pytest.mark.parametrize("simulator", CONTROLLERS)
def test_every_map_suits_every_device(simulator: str) -> None:
    for path in (shipped_folder("hwconfigs") / "dram" / simulator).glob("*.yaml"):
        organisation = load_device(path).organisation
        for order in ("rowmajor", "bgint", "bankint", "hybrid"):
            banks, rows = address_map(order, organisation).tables(organisation)
            pins = organisation.channels * organisation.pseudo_channels
            assert len(np.unique(banks)) == pins * organisation.bank_groups * organisation.banks
            assert not rows.any()
