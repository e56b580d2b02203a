"""Study files: what they may say, and what a mistake is answered with."""

from pathlib import Path
from typing import Any

import pytest
from study_inputs import study_file

from simulator.errors import InputError
from simulator.study.axes import Axis
from simulator.study.constraints import parsed
from simulator.study.run import planned
from simulator.study.study_file import load_study


def axis(folder: Path, parameters: dict[str, Any]) -> Axis:
    (found,) = load_study(study_file(folder, parameters=parameters)).axes["eyeriss"]
    return found


@pytest.mark.parametrize(
    ("written", "values"),
    [
        ("64 KiB", ["64 KiB"]),
        (["64 KiB", "96 KiB"], ["64 KiB", "96 KiB"]),
        ({"range": {"from": "16 KiB", "to": "100 KiB", "factor": 2}}, ["16 KiB", "32 KiB", "64 KiB"]),
        ({"range": {"from": "512 KiB", "to": "1 MiB", "step": "0.25 MiB"}}, ["512 KiB", "768 KiB", "1024 KiB"]),
        ({"range": {"from": "0.5 GB/s", "to": "1 GB/s", "step": "200 MB/s"}}, ["0.5 GB/s", "0.7 GB/s", "0.9 GB/s"]),
        ({"range": {"from": 4, "to": 12, "step": 4}}, [4, 8, 12]),
        ({"range": {"from": 0.1, "to": 0.3, "step": 0.1}}, [0.1, 0.2, 0.3]),
    ],
)  # fmt: skip
def test_a_parameter_is_a_value_a_list_or_a_range(folder: Path, written: object, values: list[object]) -> None:
    found = axis(folder, {"buffers.ifm.capacity": written})
    assert [choice["buffers.ifm.capacity"] for choice in found.choices] == values


def test_linked_parameters_change_together(folder: Path) -> None:
    linked = {"array.rows": [4, 8], "array.columns": {"range": {"from": 16, "to": 32, "factor": 2}}}
    found = axis(folder, {"shape": {"linked": linked}})
    assert found.name == "shape"
    assert found.choices == ({"array.rows": 4, "array.columns": 16}, {"array.rows": 8, "array.columns": 32})
    assert found.ordered


def test_an_accelerators_own_parameters_replace_the_common_ones(folder: Path) -> None:
    entry = {"preset": "edge-npu", "name": "npu", "parameters": {"buffers.ifm.capacity": ["1 MiB"]}}
    study = load_study(study_file(folder, accelerators=["eyeriss", entry]))
    assert [axis.name for axis in study.axes["eyeriss"]] == ["buffers.ifm.capacity", "dram.bandwidth"]
    assert study.axes["npu"][-1].choices == ({"buffers.ifm.capacity": "1 MiB"},)


MISTAKES: list[tuple[dict[str, Any], str]] = [
    ({"traces": None}, "study.yaml:1: key 'traces' is missing"),
    ({"trces": ["one"]}, "unknown key 'trces'"),
    ({"traces": ["nowhere"]}, "'nowhere' is no trace file"),
    ({"traces": ["one.trace.safetensors", "../one.trace.safetensors"]}, "found 'one' twice"),
    ({"images": 68}, "expected a selection in quotes"),
    ({"images": "0:9"}, "images 0:9: no image 8; there are 2"),
    ({"images": "0:1", "batch": 2}, "images 0:1: 1 images of 'one' do not divide into batches of 2"),
    ({"accelerators": ["eyeris"]}, "accelerator 'eyeris' is neither a file nor a preset"),
    ({"accelerators": ["eyeriss", "eyeriss"]}, "accelerators: 'eyeriss' stands there twice"),
    ({"pruning": "static"}, "pruning[0]: expected 'none' or 'dynamic', found 'static'"),
    ({"objectives": ["dram_byte"]}, "objectives: found 'dram_byte', expected objectives among dram_bytes, cycles, "),
    ({"search": {"method": "random"}}, "designs: expected a number with random"),
    ({"search": {"method": "grid", "designs": 3}}, "designs: expected none with grid"),
    ({"parameters": {"buffers.ifm.capacty": ["64 KiB"]}}, "unknown key 'capacty'"),
    ({"parameters": {"buffers.ifm.capacity": ["64"]}}, "buffers.ifm.capacity: expected a size such as '108 KiB'"),
    ({"parameters": {"buffers.ifm.capacity": []}}, "expected one value or more, found an empty list"),
    ({"parameters": {"buffers.ifm.capacity": ["64 KiB", "65536 B"]}}, "'65536 B' stands in the list twice"),
    ({"parameters": {"x": {"range": {"from": 1, "to": 2}}}}, "x.range: expected from, to and either step or factor"),
    ({"parameters": {"x": {"range": {"from": 2, "to": 1, "step": 1}}}}, "expected 'to' not below 'from', found 2 to 1"),
    ({"parameters": {"x": {"range": {"from": 1, "to": 9, "factor": 1}}}}, "a factor above 1"),
    ({"parameters": {"x": {"range": {"from": "1 KiB", "to": "1 GHz", "factor": 2}}}}, "a unit like KiB, found GHz"),
    ({"parameters": {"x": {"range": {"from": 0, "to": 1, "step": 1e-9}}}}, "more than 10000 values"),
    ({"parameters": {"x": {"linked": {"array.rows": [1, 2], "array.columns": [1]}}}}, "1 of array.columns, 2 of array"),
    ({"parameters": {"x": {"linked": {"array.rows": [1]}}, "array.rows": [2]}}, "array.rows is set by more than one"),
    ({"constraints": ["buffers.ifm.capacity <"]}, "constraints[0]: cannot read"),
    ({"constraints": ["__import__('os').system('true')"]}, "Call is not allowed"),
    ({"constraints": ["buffers.ifm.capacity"]}, "gives 65536, expected a condition"),
    ({"constraints": ["buffers.ifm.size < 1 KiB"]}, "unknown name 'buffers.ifm.size'"),
    ({"constraints": ["accelerator < 3"]}, "cannot evaluate 'accelerator < 3'"),
]  # fmt: skip


@pytest.mark.parametrize(("changes", "message"), MISTAKES, ids=lambda value: value if isinstance(value, str) else "")
def test_a_mistake_names_file_key_and_what_was_expected(folder: Path, changes: dict[str, Any], message: str) -> None:
    path = study_file(folder, **changes)
    with pytest.raises(InputError) as error:
        list(planned(path).strategy.rounds())
    assert message in str(error.value)
    assert "study.yaml" in str(error.value)


def test_a_wrong_objective_is_named_alone(folder: Path) -> None:
    with pytest.raises(InputError, match=r"found 'energy_p', .*, agreement; did you mean 'energy_pj'\?$") as error:
        load_study(study_file(folder, objectives=["dram_bytes", "energy_p"]))
    assert "[" not in str(error.value).split("objectives:")[1]


@pytest.mark.parametrize(
    ("text", "holds"),
    [
        ("buffers.ifm.capacity + buffers.kernel.capacity <= 72 KiB", True),
        ("buffers.ifm.capacity < 64 KiB", False),
        ("1 KiB < buffers.ifm.capacity <= 0.0625 MiB", True),
        ("dram.name == 'DDR4-2400' or not buffers.ifm.capacity > 1 MiB", True),
        ("max(array.rows, 3 * array.columns) == 42 and pruning in ['none', 'off']", True),
        ("clock == 200 MHz", True),
        ("array.rows % 5 == 2", True),
    ],
)
def test_constraints_are_expressions_over_settings(text: str, holds: bool) -> None:
    values = {
        "buffers.ifm.capacity": 65536, "buffers.kernel.capacity": 8192, "dram.name": "x", "array.rows": 12,
        "array.columns": 14, "pruning": "none", "clock": 200e6,
    }  # fmt: skip
    assert parsed(text, "here").holds(values.__getitem__) is holds


@pytest.mark.parametrize(
    "text", ["[x for x in a]", "a.b()", "(lambda: 1)()", "a[0]", "f'{a}'", "2 ** 99", "a if b else c"]
)
def test_constraints_are_never_code(text: str) -> None:
    with pytest.raises(InputError, match="cannot read"):
        parsed(text, "here")


def test_a_constraint_excludes_settings_that_are_no_accelerator(folder: Path) -> None:
    parameters = {"buffers.ifm.capacity": ["64 KiB", "96 KiB"], "buffers.ofm.capacity": ["32 KiB", "80 KiB"]}
    excluding = study_file(folder, parameters=parameters, constraints=["buffers.ofm.capacity < buffers.ifm.capacity"])
    plan = planned(excluding)
    (designs,) = plan.strategy.rounds()
    assert len(designs) == 6, [hardware.overrides for hardware, _ in designs]
    with pytest.raises(InputError, match="expected parts that fit into the 65536 B of ifm"):
        list(planned(study_file(folder, parameters=parameters)).strategy.rounds())
