"""The layout of feature maps in an accelerator file: a name, or a section with exceptions."""

from pathlib import Path
from typing import Any

import pytest
from hardware.test_accelerator_errors import GOOD, error_of

from simulator.commands.settings import settings_yaml
from simulator.errors import InputError
from simulator.hardware.accelerator import Accelerator
from simulator.hardware.layout import LAYOUT_NAMES, Layout, lanes_of
from simulator.hardware.load import load_accelerator


@pytest.mark.parametrize("name", LAYOUT_NAMES)
def test_a_name_is_the_layout_of_all_feature_maps(name: str) -> None:
    accelerator = load_accelerator("systolic-256", {"layout": name})
    assert accelerator.layout == Layout(default=name)
    assert accelerator == load_accelerator("systolic-256", {"layout": {"default": name}})


def test_the_default_is_nchw() -> None:
    assert load_accelerator("systolic-256").layout == Layout(default="NCHW")


def test_lanes_are_the_channels_side_by_side() -> None:
    assert [lanes_of(name, 24) for name in LAYOUT_NAMES] == [1, 24, 4, 8, 16, 32, 64]


def test_a_section_names_the_input_and_single_tensors() -> None:
    section = {"default": "NCHW16", "input": "NHWC", "tensors": {"conv1": "NCHW", "a.b": "NCHW4"}}
    layout = load_accelerator("systolic-256", {"layout": section}).layout
    assert (layout.default, layout.input, layout.tensors) == ("NCHW16", "NHWC", {"conv1": "NCHW", "a.b": "NCHW4"})


def test_an_override_inside_a_layout_that_the_file_gives_as_a_name(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_text(f"{GOOD}layout: NCHW8\n", encoding="utf-8")
    layout = load_accelerator(path, {"layout.input": "NHWC"}).layout
    assert (layout.default, layout.input) == ("NCHW8", "NHWC")


def test_accelerators_with_equal_layouts_are_equal_values() -> None:
    sections: list[dict[str, Any]] = [
        {"tensors": {"a": "NHWC", "b": "NCHW4"}},
        {"tensors": {"b": "NCHW4", "a": "NHWC"}},
    ]
    first, second = (load_accelerator("eyeriss", {"layout": section}) for section in sections)
    assert first == second
    assert len({first, second, load_accelerator("eyeriss")}) == 2


def test_what_is_shown_can_be_loaded_again(tmp_path: Path) -> None:
    section = {"default": "NCHW16", "input": "NHWC", "tensors": {"conv1": "NCHW"}}
    accelerator = load_accelerator("eyeriss", {"layout": section})
    path = tmp_path / "again.yaml"
    path.write_text(settings_yaml(accelerator), encoding="utf-8")
    assert load_accelerator(path) == accelerator


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("NCHW5", "a.yaml:22: layout: expected one of NCHW, NHWC, NCHW4, NCHW8, NCHW16, NCHW32, NCHW64, found 'NCHW5'"),
        ("nchw", "a.yaml:22: layout: expected one of NCHW, "),
        ("16", "a.yaml:22: layout: expected a layout such as 'NHWC', or a section with the keys default, input, "),
        ("[NCHW]", "a.yaml:22: layout: expected a layout such as 'NHWC', or a section with the keys default, input, "),
        ("{default: NWHC}", "a.yaml:22: layout.default: expected 'NCHW', 'NHWC', 'NCHW4', "),
        (
            "{inputs: NHWC}",
            "a.yaml:22: unknown key 'layout.inputs' (expected one of: default, input, tensors); did you",
        ),
        ("{tensors: NHWC}", "a.yaml:22: layout.tensors: expected a mapping of names to values, found 'NHWC'"),
        ("{tensors: {conv1: NHCW}}", "a.yaml:22: layout.tensors.conv1: expected 'NCHW', 'NHWC', "),
    ],
)
def test_a_wrong_layout_is_one_clear_line(tmp_path: Path, text: str, message: str) -> None:
    assert message in error_of(tmp_path, f"{GOOD}layout: {text}\n")


def test_a_wrong_override_names_the_key() -> None:
    with pytest.raises(InputError, match="with overrides: layout: expected one of NCHW, "):
        load_accelerator("eyeriss", {"layout": "NCHW3"})


def test_the_json_schema_takes_a_name_or_a_section() -> None:
    schema = Accelerator.model_json_schema()
    name, section = schema["properties"]["layout"]["anyOf"]
    assert name == {"type": "string", "enum": list(LAYOUT_NAMES)}
    assert section == {"$ref": "#/$defs/Layout"}
    assert schema["$defs"]["Layout"]["additionalProperties"] is False
