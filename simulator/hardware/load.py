"""From a preset's name or a YAML file to a checked `Accelerator`."""

import copy
import difflib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from simulator.errors import InputError
from simulator.hardware.accelerator import Accelerator
from simulator.hardware.units import shown
from simulator.hardware.yaml_file import KeyPath, YamlDocument, key_name, read_yaml
from simulator.resources import shipped_folder

_EXPECTED = {
    "bool_parsing": "expected true or false",
    "bool_type": "expected true or false",
    "dict_type": "expected a mapping of names to values",
    "greater_than": "expected more than {gt}",
    "int_from_float": "expected a whole number",
    "int_parsing": "expected a whole number",
    "int_type": "expected a whole number",
    "literal_error": "expected {expected}",
    "string_type": "expected text (in quotes when it looks like a number)",
    "too_long": "expected at most {max_length} values",
    "tuple_type": "expected a list in square brackets",
}
"""Our wording for pydantic's error types; the braces name values that pydantic gives with the error."""

_TWO_SPELLINGS = {"buffering": "double_buffered", "double_buffered": "buffering"}
"""Keys that say the same."""


def preset_names() -> list[str]:
    """Names of the shipped accelerators, sorted."""
    return sorted(path.stem for path in shipped_folder("hwconfigs").glob("*.yaml"))


def accelerator_path(name_or_path: str | Path) -> Path:
    """The YAML file of a preset's name, or the path itself when it names a file. Raises InputError when neither is."""
    path = Path(name_or_path)
    if path.suffix in (".yaml", ".yml") or path.is_file():
        if not path.is_file():
            raise InputError(f"{path}: no such accelerator file")
        return path
    preset = shipped_folder("hwconfigs") / f"{name_or_path}.yaml"
    if preset.is_file():
        return preset
    near = difflib.get_close_matches(str(name_or_path), preset_names(), n=1)
    hint = f"; did you mean '{near[0]}'?" if near else ""
    raise InputError(
        f"accelerator '{name_or_path}' is neither a file nor a preset (presets: {', '.join(preset_names())}){hint}"
    )


def load_accelerator(
    name_or_path: str | Path | Accelerator, overrides: Mapping[str, object] | None = None
) -> Accelerator:
    """The accelerator of a preset or YAML file, with `overrides` such as {"buffers.ifm.capacity": "64 KiB"} applied.

    An `Accelerator` comes back as it is when there is nothing to override. Raises InputError that names file, line,
    key, what was found and what was expected.
    """
    if isinstance(name_or_path, Accelerator):
        if overrides:
            raise InputError("overrides need the accelerator's name or file, not a loaded Accelerator")
        return name_or_path
    document = read_yaml(accelerator_path(name_or_path))
    data = copy.deepcopy(document.data)
    for dotted, value in (overrides or {}).items():
        _override(data, dotted, value)
        _drop_other_spelling(data, dotted, overrides or {})
    try:
        return Accelerator.model_validate(data)
    except ValidationError as error:
        raise InputError(_first_error(error, document, overrides or {})) from None


def _override(data: dict[str, Any], dotted: str, value: object) -> None:
    section: Any = data
    *parents, key = dotted.split(".")
    model: Any = Accelerator
    for parent in parents:
        model = _known_key(model, parent, dotted)
        inner = section.get(parent, {})
        section[parent] = inner if model is None else model.spelled_out(inner)
        section = section[parent]
        if not isinstance(section, dict):
            raise InputError(f"override '{dotted}': '{parent}' is not a section")
    _known_key(model, key, dotted)
    section[key] = value


def _drop_other_spelling(data: dict[str, Any], dotted: str, overrides: Mapping[str, object]) -> None:
    """An override replaces what the file says, in whichever of its two spellings the file says it."""
    *parents, key = dotted.split(".")
    other = _TWO_SPELLINGS.get(key)
    if other is None or ".".join((*parents, other)) in overrides:
        return
    section = data
    for parent in parents:
        section = section[parent]
    section.pop(other, None)


def _known_key(model: Any, key: str, dotted: str) -> Any:
    """The model of section `key`; raises InputError when `model` has no such key."""
    fields = model.model_fields if isinstance(model, type) and issubclass(model, BaseModel) else {}
    if key not in fields:
        raise InputError(f"override '{dotted}': {_unknown_key(key, key, list(fields))}")
    annotation = fields[key].annotation
    options = [annotation, *getattr(annotation, "__args__", ())]
    return next((o for o in options if isinstance(o, type) and issubclass(o, BaseModel)), None)


def _unknown_key(name: str, key: str, allowed: list[str]) -> str:
    expected = f"expected one of: {', '.join(allowed)}" if allowed else "expected no further keys here"
    near = difflib.get_close_matches(key, allowed, n=1)
    hint = f"; did you mean '{near[0]}'?" if near else ""
    return f"unknown key '{name}' ({expected}){hint}"


def _first_error(error: ValidationError, document: YamlDocument, overrides: Mapping[str, object]) -> str:
    """One line for the first problem; an unknown key comes first, as it is often why another one is missing."""
    problems = sorted(error.errors(include_url=False), key=lambda problem: problem["type"] != "extra_forbidden")
    problem = problems[0]
    key_path: KeyPath = tuple(problem["loc"])
    name = key_name(key_path)
    message = _message(problem, key_path)
    where = f"{document.path}:{_line(document, key_path, message)}"
    if any(_one_leads_to_the_other(key_path, tuple(dotted.split("."))) for dotted in overrides):
        where = f"{document.path} with overrides"
    if problem["type"] not in ("extra_forbidden", "missing") and name:
        message = f"{name}: {message}"
    more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
    return f"{where}: {message}{more}"


def _message(problem: ErrorDetails, key_path: KeyPath) -> str:
    kind, name = problem["type"], key_name(key_path)
    if kind == "extra_forbidden":
        return _unknown_key(name, str(key_path[-1]), _section_keys(key_path[:-1]))
    if kind == "missing":
        return f"value '{name}' is missing" if isinstance(key_path[-1], int) else f"key '{name}' is missing"
    if kind == "value_error":
        text = problem["msg"].removeprefix("Value error, ")
    elif kind in ("model_type", "model_attributes_type"):
        text = f"expected a section with the keys {', '.join(_section_keys(key_path))}"
    elif kind in _EXPECTED:
        text = _EXPECTED[kind].format(**problem.get("ctx", {}))
    else:
        text = problem["msg"]
    if "found" in text or (kind == "value_error" and _section_keys(key_path)):
        return text
    return f"{text}, found {shown(problem['input'])}"


def _line(document: YamlDocument, key_path: KeyPath, message: str) -> int:
    """The line of `key_path`; of the key in it that a whole section's message starts with, if it starts with one."""
    first = re.match(r"'?([a-z_.]+)", message)
    keys = first[1].split(".") if first else []
    while keys and (*key_path, *keys) not in document.lines:
        keys.pop()
    return document.line_of((*key_path, *keys))


def _one_leads_to_the_other(key_path: KeyPath, other: KeyPath) -> bool:
    return all(key == other_key for key, other_key in zip(key_path, other, strict=False))


def _section_keys(key_path: KeyPath) -> list[str]:
    """The keys of the section at `key_path`, none when it is no section."""
    model: Any = Accelerator
    for key in key_path:
        try:
            model = _known_key(model, str(key), str(key))
        except InputError:
            return []
    return list(model.model_fields) if model is not None else []
