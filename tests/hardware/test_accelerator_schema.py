"""The accelerator's models: immutable values, and a JSON Schema that editors can use on the YAML files."""

import json
from typing import Any

import pytest
import yaml
from pydantic import ValidationError

from simulator.hardware.accelerator import Accelerator
from simulator.hardware.load import load_accelerator, preset_names
from simulator.resources import shipped_folder

SCHEMA: dict[str, Any] = Accelerator.model_json_schema()


def preset_data(name: str) -> dict[str, Any]:
    data = yaml.safe_load((shipped_folder("hwconfigs") / f"{name}.yaml").read_text(encoding="utf-8"))
    assert isinstance(data, dict)
    return data


def resolved(schema: dict[str, Any]) -> dict[str, Any]:
    """The schema that a reference, or a choice with one reference in it, points to."""
    for choice in [schema, *schema.get("anyOf", [])]:
        if "$ref" in choice:
            target: dict[str, Any] = SCHEMA["$defs"][choice["$ref"].rpartition("/")[2]]
            return target
        if "discriminator" in choice:
            kinds = [resolved({"$ref": reference}) for reference in choice["discriminator"]["mapping"].values()]
            return {"properties": {key: value for kind in kinds for key, value in kind["properties"].items()}}
    return schema


def unknown_keys(data: dict[str, Any], schema: dict[str, Any], where: str = "") -> list[str]:
    schema = resolved(schema)
    if isinstance(schema.get("additionalProperties"), dict):  # a mapping from names of the user's
        return []
    properties = schema.get("properties", {})
    found = []
    for key, value in data.items():
        if key not in properties:
            found.append(f"{where}{key}")
        elif isinstance(value, dict):
            found += unknown_keys(value, properties[key], f"{where}{key}.")
    return found


def test_the_schema_is_json_and_closed() -> None:
    assert json.loads(json.dumps(SCHEMA)) == SCHEMA
    assert SCHEMA["additionalProperties"] is False
    assert all(section["additionalProperties"] is False for section in SCHEMA["$defs"].values())


@pytest.mark.parametrize("name", preset_names())
def test_the_schema_knows_every_key_of_a_preset(name: str) -> None:
    assert unknown_keys(preset_data(name), SCHEMA) == []


@pytest.mark.parametrize("name", preset_names())
def test_a_json_schema_validator_accepts_the_preset(name: str) -> None:
    jsonschema = pytest.importorskip("jsonschema", reason="jsonschema is no dependency of fmapsim")
    jsonschema.validate(preset_data(name), SCHEMA)


def test_a_json_schema_validator_refuses_a_wrong_unit() -> None:
    jsonschema = pytest.importorskip("jsonschema", reason="jsonschema is no dependency of fmapsim")
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(preset_data("eyeriss") | {"clock": "200 MB"}, SCHEMA)


def test_quantities_are_text_with_a_unit_in_the_schema() -> None:
    clock = SCHEMA["properties"]["clock"]
    assert clock["type"] == "string"
    assert clock["examples"] == ["200 MHz"]


def test_an_accelerator_is_frozen_all_the_way_down() -> None:
    accelerator = load_accelerator("eyeriss")
    with pytest.raises(ValidationError, match="frozen"):
        accelerator.clock = 1.0
    with pytest.raises(ValidationError, match="frozen"):
        accelerator.array.zeros.ifm = "none"


def test_accelerators_are_values() -> None:
    assert load_accelerator("eyeriss") == load_accelerator("eyeriss")
    assert len({load_accelerator("eyeriss"), load_accelerator("eyeriss"), load_accelerator("scnn")}) == 2


def test_a_cycle_is_one_over_the_clock() -> None:
    assert load_accelerator("eyeriss").cycle_ps == 5000


def test_a_shared_buffer_is_its_owners() -> None:
    buffers = load_accelerator("nvdla-2048").buffers
    assert buffers.home("kernel") == "ifm"
    assert buffers.of("kernel") is buffers.ifm
    assert buffers.home("ofm") == "ofm"
