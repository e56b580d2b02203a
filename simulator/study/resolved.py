"""The accelerator that a design stands for: checked, told apart by its content, with the values of its parameters."""

import functools
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from simulator.errors import InputError
from simulator.hardware.accelerator import Accelerator
from simulator.hardware.load import accelerator_of, read_accelerator
from simulator.hardware.section import Section
from simulator.hardware.yaml_file import YamlDocument
from simulator.study.constraints import Constraint
from simulator.study.quantity import as_number
from simulator.study.space import Design
from simulator.study.study_file import Study

Scalar = int | float | str | bool | None

_KEPT = 512
"""Resolved accelerators that are remembered: those with and without pruning, and on the next trace, follow soon."""


@dataclass(frozen=True)
class Hardware:
    """An accelerator of the study with settings. digest: of all that it is; values: of the study's parameters."""

    accelerator: str
    overrides: Mapping[str, Any]
    digest: str
    values: Mapping[str, Scalar]


class HardwareOfStudy:
    """Resolves designs. parameters: the settings whose values results show."""

    def __init__(self, study: Study, parameters: Sequence[str]) -> None:
        """Reads the accelerators' files; raises InputError where one cannot be read."""
        self._study = study
        self._parameters = parameters
        self._documents: dict[str, YamlDocument] = {}
        for index, entry in enumerate(study.section.accelerators):
            beside = study.folder / entry.preset
            try:
                self._documents[entry.label] = read_accelerator(beside if beside.is_file() else entry.preset)
            except InputError as error:
                raise InputError(f"{study.where('accelerators', index)}: {error}") from None
        self._resolved: dict[str, Hardware] = {}
        self._load = functools.lru_cache(maxsize=_KEPT)(self._loaded)

    def accelerator(self, design: "Design | Hardware") -> Accelerator:
        """The accelerator itself. Raises InputError with file, key, what was found and expected."""
        return self._load(design.accelerator, _text(design.overrides))

    def unchanged(self, label: str) -> Accelerator:
        """An accelerator as its file has it. Raises InputError where that alone is none."""
        return self._load(label, _text({}))

    def _loaded(self, label: str, overrides: str) -> Accelerator:
        try:
            return accelerator_of(self._documents[label], json.loads(overrides))
        except InputError as error:
            raise InputError(f"{self._study.document.path}: accelerator '{label}': {error}") from None

    def resolved(self, design: Design) -> Hardware | None:
        """The hardware of a design, None where a constraint of the study excludes it.

        Raises InputError for settings that are wrong, unless a constraint excludes these.
        """
        if not self._allowed(design):
            return None
        name = f"{design.accelerator} {_text(design.overrides)}"
        if name not in self._resolved:
            accelerator = self.accelerator(design)
            values = {key: _value(accelerator, design.overrides, key) for key in self._parameters}
            self._resolved[name] = Hardware(design.accelerator, design.overrides, digest(accelerator), values)
        return self._resolved[name]

    def _allowed(self, design: Design) -> bool:
        """Whether all constraints hold; of settings that are no accelerator, those that name only what was set."""
        try:
            accelerator: Accelerator | None = self.accelerator(design) if self._study.constraints else None
            problem = None
        except InputError as error:
            accelerator, problem = None, error
        for constraint in self._study.constraints:
            try:
                if not constraint.holds(lambda name: _named(name, design, accelerator)):
                    return False
            except KeyError as error:
                if problem is None:
                    raise _unknown(constraint, str(error.args[0])) from None
        if problem is not None:
            raise problem
        return True


def _unknown(constraint: Constraint, name: str) -> InputError:
    return InputError(
        f"{constraint.where}: '{constraint.text}': unknown name '{name}' (expected a setting such as "
        "buffers.ifm.capacity, accelerator or pruning)"
    )


def _named(name: str, design: Design, accelerator: Accelerator | None) -> object:
    """What a constraint's name stands for; raises KeyError for one that stands for nothing."""
    if name == "accelerator":
        return design.accelerator
    if name == "pruning":
        return design.pruning
    if accelerator is None:
        return as_number(design.overrides[name])
    value = setting(accelerator, name)
    if isinstance(value, Section | dict):
        raise KeyError(name)
    return list(value) if isinstance(value, tuple) else value


def setting(accelerator: Accelerator, dotted: str) -> Any:
    """The value of a setting in its base unit, or a whole section. Raises KeyError where there is none."""
    value: Any = accelerator
    for key in dotted.split("."):
        if isinstance(value, dict) and key in value:
            value = value[key]
        elif isinstance(value, Section) and key in type(value).model_fields:
            value = getattr(value, key)
        else:
            raise KeyError(dotted)
    return value


def _value(accelerator: Accelerator, overrides: Mapping[str, Any], key: str) -> Scalar:
    """A parameter's value for the table: a number in its base unit, or text."""
    try:
        value = setting(accelerator, key)
    except KeyError:  # a parameter of another accelerator's, in a section that this one has not
        return None
    if isinstance(value, int | float | str | bool) or value is None:
        return value
    written = overrides.get(key, _short(value))
    return written if isinstance(written, str) else json.dumps(written)


def _short(value: Any) -> Any:
    """A section by the name that stands for it in a file, or in full."""
    if not isinstance(value, Section):
        return json.loads(json.dumps(value, default=lambda inner: inner.model_dump(mode="json")))
    named = getattr(type(value), "named_key", None)
    return getattr(value, named) if named else value.model_dump(mode="json")


def digest(accelerator: Accelerator) -> str:
    """The SHA-256 of everything that an accelerator is, with its memory's file; only its description does not count."""
    written = accelerator.model_dump(mode="json", exclude={"description"})
    device = accelerator.dram.device
    whole = [written, None if device is None else device.model_dump(mode="json")]
    return hashlib.sha256(_text(whole).encode()).hexdigest()


def _text(value: Any) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"))
