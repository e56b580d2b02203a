"""What is wrong with a YAML file, in one line: file, line, key, what was found, what was expected."""

import difflib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from simulator.errors import InputError
from simulator.hardware.units import shown
from simulator.hardware.yaml_file import KeyPath, YamlDocument, key_name

_EXPECTED = {
    "bool_parsing": "expected true or false",
    "bool_type": "expected true or false",
    "dict_type": "expected a mapping of names to values",
    "greater_than": "expected more than {gt}",
    "greater_than_equal": "expected {ge} or more",
    "int_from_float": "expected a whole number",
    "int_parsing": "expected a whole number",
    "int_type": "expected a whole number",
    "less_than_equal": "expected {le} or less",
    "literal_error": "expected {expected}",
    "string_type": "expected text (in quotes when it looks like a number)",
    "union_tag_not_found": "expected a key 'kind'",
    "union_tag_invalid": "kind: expected one of {expected_tags}",
    "too_long": "expected at most {max_length} values",
    "tuple_type": "expected a list in square brackets",
}
"""Our wording for pydantic's error types; the braces name values that pydantic gives with the error."""

_ALSO_CALLED = {"size": "capacity", "frequency": "clock", "memory": "dram"}
"""What others call a key of ours, with letters that do not lead there."""

MANY_KEYS = 9
"""Keys that a message lists before it only counts them."""

MANY_PROBLEMS = 3
"""Mistakes that a message names before it only counts them."""


@dataclass(frozen=True)
class NamedSections:
    """A mapping whose keys are names of the user's, and whose values are all sections of one kind."""

    section: Any
    model_fields: ClassVar[dict[str, Any]] = {}

    def spelled_out(self, value: object) -> object:
        """It has no short form."""
        return value


@dataclass(frozen=True)
class OneOf:
    """A section that is one of several, told apart by its key `kind`."""

    sections: tuple[type[BaseModel], ...]

    @property
    def model_fields(self) -> dict[str, Any]:
        """The keys of all of them."""
        return {key: field for section in self.sections for key, field in section.model_fields.items()}

    def of_kind(self, kind: str) -> type[BaseModel] | None:
        """The section of that kind, None where there is none."""
        return next((s for s in self.sections if kind in get_args(s.model_fields["kind"].annotation)), None)

    def spelled_out(self, value: object) -> object:
        """It has no short form."""
        return value


def known_key(model: Any, key: str, dotted: str) -> Any:
    """The model of section `key`; raises InputError when `model` has no such key."""
    if isinstance(model, NamedSections):
        return model.section
    is_section = isinstance(model, OneOf) or (isinstance(model, type) and issubclass(model, BaseModel))
    fields = model.model_fields if is_section else {}
    if key not in fields:
        raise InputError(f"override '{dotted}': {_unknown_key(key, key, list(fields))}")
    annotation = fields[key].annotation
    options = [annotation, *getattr(annotation, "__args__", ())]
    options += [
        inner
        for option in options
        for inner in getattr(get_args(option)[0] if get_args(option) else None, "__args__", ())
    ]
    sections = tuple(dict.fromkeys(o for o in options if isinstance(o, type) and issubclass(o, BaseModel)))
    if len(sections) > 1 and all("kind" in section.model_fields for section in sections):
        return OneOf(sections)
    section = sections[0] if sections else None
    return NamedSections(section) if section is not None and get_origin(annotation) is dict else section


def _without_kinds(key_path: KeyPath, model: Any) -> KeyPath:
    """A path of keys as the file has them: pydantic puts the kind of a section behind its name."""
    path: list[str | int] = []
    for key in key_path:
        if isinstance(model, OneOf) and (section := model.of_kind(str(key))) is not None:
            model = section
            continue
        path.append(key)
        try:
            model = known_key(model, str(key), str(key))
        except InputError:
            model = None
    return tuple(path)


def _unknown_key(name: str, key: str, allowed: list[str]) -> str:
    expected = f"expected one of: {_listed(allowed)}" if allowed else "expected no further keys here"
    return f"unknown key '{name}' ({expected}){did_you_mean(key, allowed)}"


def did_you_mean(name: str, known: Sequence[str]) -> str:
    """The end of a message about an unknown name: the known name that is nearest, where one is near."""
    near = near_names(name, known)
    return f"; did you mean '{near[0]}'?" if near else ""


def near_names(name: str, known: Sequence[str]) -> list[str]:
    """The known name that is nearest to an unknown one, by its letters or by what it says, where one is near."""
    same = [one for one in known if one == _ALSO_CALLED.get(name)]
    return same or difflib.get_close_matches(name, known, n=1)


@dataclass(frozen=True)
class _Problem:
    """One mistake: its line, whether an override plays a part in it, and what is wrong."""

    line: int
    overridden: bool
    message: str


def problems_text(
    error: ValidationError,
    model: type[BaseModel],
    document: YamlDocument,
    overrides: Mapping[str, object] | None = None,
) -> str:
    """One line for what is wrong in a document that should have been a `model`: file, line, key, mistake.

    Up to `MANY_PROBLEMS` are named, unknown keys first, as one is often why another key is missing. overrides: values
    that are not the file's, by dotted key.
    """
    problems = _problems(error, model, document, overrides or {})
    first, *others = problems[:MANY_PROBLEMS]
    text = f"{document.path}{' with overrides' if first.overridden else f':{first.line}'}: {first.message}"
    before = first
    for problem in others:
        where = "with overrides" if problem.overridden else f"line {problem.line}"
        text += f"; {problem.message}" if problem.overridden and before.overridden else f"; {where}: {problem.message}"
        before = problem
    return text + (f" (and {len(problems) - MANY_PROBLEMS} more)" if len(problems) > MANY_PROBLEMS else "")


def _problems(
    error: ValidationError, model: type[BaseModel], document: YamlDocument, overrides: Mapping[str, object]
) -> list[_Problem]:
    """All mistakes, one for each key, without the missing keys that unknown ones were meant for."""
    details = error.errors(include_url=False)
    found: dict[KeyPath, _Problem] = {}
    meant = set()
    for detail in sorted(details, key=lambda detail: detail["type"] != "extra_forbidden"):
        key_path = _without_kinds(tuple(detail["loc"]), model)
        if key_path in found or (detail["type"] == "missing" and key_path in meant):
            continue
        if detail["type"] == "extra_forbidden":
            section = key_path[:-1]
            meant |= {(*section, key) for key in near_names(str(key_path[-1]), _section_keys(model, section))}
        name = key_name(key_path)
        message = _message(detail, key_path, model)
        line = _line(document, key_path, message)
        if detail["type"] not in ("extra_forbidden", "missing") and name:
            message = f"{name}: {message}"
        overridden = any(_one_leads_to_the_other(key_path, tuple(dotted.split("."))) for dotted in overrides)
        found[key_path] = _Problem(line, overridden, message)
    return list(found.values())


def _message(problem: ErrorDetails, key_path: KeyPath, model: type[BaseModel]) -> str:
    kind, name = problem["type"], key_name(key_path)
    if kind == "extra_forbidden":
        return _unknown_key(name, str(key_path[-1]), _section_keys(model, key_path[:-1]))
    if kind == "missing":
        return f"value '{name}' is missing" if isinstance(key_path[-1], int) else f"key '{name}' is missing"
    if kind == "value_error":
        text = problem["msg"].removeprefix("Value error, ")
    elif kind in ("model_type", "model_attributes_type"):
        text = f"expected a section with the keys {_listed(_section_keys(model, key_path))}"
    elif kind in _EXPECTED:
        text = _EXPECTED[kind].format(**problem.get("ctx", {}))
    else:
        text = problem["msg"]
    if "found" in text or (kind == "value_error" and _section_keys(model, key_path)):
        return text
    return f"{text}, found {shown(problem['input'])}"


def _line(document: YamlDocument, key_path: KeyPath, message: str) -> int:
    """The line of `key_path`; of the key in it that a whole section's message starts with, if it starts with one."""
    first = re.match(r"'?([A-Za-z_.]+)", message)
    keys = first[1].split(".") if first else []
    while keys and (*key_path, *keys) not in document.lines:
        keys.pop()
    return document.line_of((*key_path, *keys))


def _one_leads_to_the_other(key_path: KeyPath, other: KeyPath) -> bool:
    return all(key == other_key for key, other_key in zip(key_path, other, strict=False))


def _section_keys(model: Any, key_path: KeyPath) -> list[str]:
    """The keys of the section at `key_path` of `model`, none when it is no section."""
    for key in key_path:
        try:
            model = known_key(model, str(key), str(key))
        except InputError:
            return []
    return list(model.model_fields) if model is not None else []


def _listed(keys: Sequence[str]) -> str:
    """Keys in a message: all of a few, the first of many."""
    return ", ".join(keys if len(keys) <= MANY_KEYS else (*keys[:MANY_KEYS], f"… {len(keys) - MANY_KEYS} more"))
