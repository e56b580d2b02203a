"""The form of measurement files: what is written is read again, and what is wrong is named."""

import csv
import json
from pathlib import Path

import pytest
from measured import RUN, measurement

from simulator.errors import InputError
from simulator.measure.nsight import read_counters
from simulator.measure.schema import Measurement, Spread, read_measurement, write_measurement

COMMITTED = sorted((Path(__file__).parents[2] / "measurements").glob("*.json"))


def test_a_file_is_read_as_it_was_written(tmp_path: Path) -> None:
    made = measurement(RUN)
    write_measurement(made, tmp_path / "m.json")
    assert read_measurement(tmp_path / "m.json") == made


@pytest.mark.parametrize("path", COMMITTED, ids=lambda path: path.stem)
def test_committed_measurements_hold_runs_of_a_named_device(path: Path) -> None:
    found = read_measurement(path)
    assert found.networks
    assert found.ceiling("copy_bandwidth")
    assert found.device.name
    assert found.command.startswith("fmapsim measure ")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": 2}, "format 2, expected 1"),
        ({"networks": [{"network": "x"}]}, "networks.0.batch: Field required"),
        ({"speed": 3}, "speed: Extra inputs are not permitted"),
        ({"device": {"kind": "tpu", "name": "x"}}, "device.kind"),
    ],
)
def test_a_file_of_another_form_is_refused(tmp_path: Path, change: dict[str, object], message: str) -> None:
    data = json.loads(measurement(RUN).model_dump_json()) | change
    (tmp_path / "m.json").write_text(json.dumps(data))
    with pytest.raises(InputError, match=message):
        read_measurement(tmp_path / "m.json")


def test_what_is_no_json_is_refused(tmp_path: Path) -> None:
    (tmp_path / "m.json").write_text("{")
    with pytest.raises(InputError, match="not a measurement file"):
        read_measurement(tmp_path / "m.json")
    with pytest.raises(InputError, match="no such measurement file"):
        read_measurement(tmp_path / "n.json")


def test_quartiles_lie_between_neighbouring_readings() -> None:
    assert Spread.of([4, 1, 3, 2]) == Spread(median=2.5, lower=1.75, upper=3.25, least=1, samples=4)
    assert Spread.of([7.0]).upper == 7
    with pytest.raises(ValueError, match="least ≤ lower"):
        Spread(median=1, lower=2, upper=3, least=1, samples=3)


def test_the_largest_copy_is_the_ceiling() -> None:
    made: Measurement = measurement(RUN)
    assert made.ceiling("copy_bandwidth") == 1e10
    assert made.ceiling("copy_bandwidth", size_bytes=1 << 20) == 4e10
    assert made.ceiling("matrix_rate", "bf16") is None


NSIGHT = """==PROF== Connected
"ID","Kernel Name","thread Domain:Push/Pop_Range","dram__bytes.sum"
"","","","Kbyte"
"0","implicit_gemm","<default domain>:fmapsim 0 convolution:none","1,200.5"
"1","bn_fw_inf","<default domain>:fmapsim 1 native_batch_norm:none","300"
"2","transform","<default domain>:fmapsim 0 convolution:none","100"
"3","memset","","7"
"""


def test_counters_go_to_the_operators_whose_ranges_kernels_ran_in(tmp_path: Path) -> None:
    (tmp_path / "c.csv").write_text(NSIGHT)
    found = read_counters(tmp_path / "c.csv")
    assert found.total == 1_607_500
    assert [found.of(numbers) for numbers in ([0], [1], [0, 1], [2])] == [1_300_500, 300_000, 1_600_500, None]


def test_counters_are_read_as_the_profiler_writes_them(tmp_path: Path) -> None:
    """Columns and cells of Nsight Compute 2025.3 on an H200."""
    titles = ["ID", "thread Domain:Push/Pop_Range:PL_Type:PL_Value:CLR_Type:Color:Msg_Type:Msg", "dram__bytes.sum"]
    domain = '570  "<default domain>:fmapsim {} convolution:none:none:none:none:none:none" '
    rows = [["0", domain.format(0), "5,120"], ["1", domain.format(0), "143,032,064"], ["2", domain.format(3), "9"]]
    with (tmp_path / "c.csv").open("w", newline="") as file:
        file.write("==WARNING== Note: Running with uncontrolled GPU caches.\n")
        csv.writer(file, quoting=csv.QUOTE_ALL).writerows([titles, ["", "", "byte"], *rows])
    found = read_counters(tmp_path / "c.csv")
    assert (found.total, found.by_operator) == (143_037_193, {0: 143_037_184, 3: 9})


def test_a_spread_is_one_line_of_the_file(tmp_path: Path) -> None:
    write_measurement(measurement(RUN), tmp_path / "m.json")
    lines = (tmp_path / "m.json").read_text().splitlines()
    spreads = [line.strip() for line in lines if '"median"' in line]
    assert len(spreads) == 2 + 1 + len(RUN.operators)
    for line in spreads:
        assert line.startswith('"latency_us": {')
        assert line.rstrip(",").endswith("}")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("dram__bytes.sum", "sm__cycles", "no column 'dram__bytes.sum'"),
        ("Kbyte", "%", "unit of dram__bytes.sum is '%'"),
        ('"300"', '"n/a"', "line 4: dram__bytes.sum is no number"),
    ],
)
def test_other_files_of_a_profiler_are_refused(tmp_path: Path, old: str, new: str, message: str) -> None:
    (tmp_path / "c.csv").write_text(NSIGHT.replace(old, new))
    with pytest.raises(InputError, match=message):
        read_counters(tmp_path / "c.csv")
