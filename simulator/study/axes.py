"""The parameters of a study as axes: lists, ranges, and linked parameters that change together."""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from simulator.errors import InputError
from simulator.hardware.units import shown
from simulator.hardware.yaml_file import KeyPath, YamlDocument, key_name
from simulator.study.quantity import SCALES, as_number, plain, quantity, same_kind

MOST_VALUES = 10_000
"""More values than this of one parameter are a range that was written wrongly."""

Overrides = Mapping[str, Any]
"""Settings of an accelerator by dotted key, as a file writes them."""


@dataclass(frozen=True)
class Axis:
    """One direction of a study's space. choices: the settings that each of its values stands for."""

    name: str
    choices: tuple[Overrides, ...]

    @property
    def ordered(self) -> bool:
        """Whether its values are numbers that grow, so that neighbours are alike."""
        for key in self.choices[0]:
            column = [as_number(choice[key]) for choice in self.choices]
            numbers = [value for value in column if isinstance(value, int | float) and not isinstance(value, bool)]
            if len(numbers) < len(column) or any(low >= high for low, high in itertools.pairwise(numbers)):
                return False
        return True


def axes_of(parameters: Mapping[str, Any], document: YamlDocument, at: KeyPath) -> tuple[Axis, ...]:
    """The axes of a section `parameters`, which stands at the key path `at` of the document.

    A parameter is a value, a list of values, `{range: {from, to, step}}` (or `factor` in place of step), or under a
    name of its own `{linked: {key: values, key: values}}`, whose keys take their values side by side. Raises InputError
    with file, line, key, what was found and what was expected.
    """
    axes = []
    for name, value in parameters.items():
        path = (*at, name)
        if isinstance(value, Mapping) and set(value) == {"linked"}:
            axes.append(Axis(name, _linked(value["linked"], document, (*path, "linked"))))
        else:
            values = _values(value, document, path)
            _check_different(values, _where(document, path))
            axes.append(Axis(name, tuple({name: one} for one in values)))
    keys = [key for axis in axes for key in axis.choices[0]]
    for key in keys:
        if keys.count(key) > 1:
            raise InputError(f"{_where(document, at)}: {key} is set by more than one parameter")
    return tuple(axes)


def _linked(value: object, document: YamlDocument, path: KeyPath) -> tuple[Overrides, ...]:
    if not isinstance(value, Mapping) or not value:
        raise InputError(f"{_where(document, path)}: expected parameters and their values, found {shown(value)}")
    columns = {key: _values(values, document, (*path, key)) for key, values in value.items()}
    lengths = {key: len(values) for key, values in columns.items()}
    if len(set(lengths.values())) > 1:
        counts = ", ".join(f"{length} of {key}" for key, length in lengths.items())
        raise InputError(f"{_where(document, path)}: expected as many values of each parameter, found {counts}")
    return tuple(dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True))


def _values(value: object, document: YamlDocument, path: KeyPath) -> list[Any]:
    where = _where(document, path)
    if isinstance(value, Mapping) and set(value) == {"range"}:
        return _range(value["range"], _where(document, (*path, "range")))
    values = value if isinstance(value, list) else [value]
    if not values:
        raise InputError(f"{where}: expected one value or more, found an empty list")
    return values


def _check_different(values: Sequence[Any], where: str) -> None:
    seen: list[object] = []
    for value in values:
        number = as_number(value)
        if any(number == other and type(number) is type(other) for other in seen):
            raise InputError(f"{where}: {shown(value)} stands in the list twice")
        seen.append(number)


def _range(value: object, where: str) -> list[Any]:
    """From `from` to `to` at most, each `step` more than the one before, or `factor` times it."""
    if not isinstance(value, Mapping) or set(value) not in ({"from", "to", "step"}, {"from", "to", "factor"}):
        found = ", ".join(map(str, value)) if isinstance(value, Mapping) else shown(value)
        raise InputError(f"{where}: expected from, to and either step or factor, found {found or 'nothing'}")
    first, unit = _parsed(value["from"], where, "from")
    last, last_unit = _parsed(value["to"], where, "to")
    kind = "step" if "step" in value else "factor"
    by, by_unit = _parsed(value[kind], where, kind)
    _check_units(where, unit, {"to": last_unit} | ({"step": by_unit} if kind == "step" else {}))
    if kind == "factor" and by_unit:
        raise InputError(f"{where}: factor: expected a number such as 2, found {shown(value[kind])}")
    if last < first:
        raise InputError(f"{where}: expected 'to' not below 'from', found {value['from']} to {value['to']}")
    if by <= (0 if kind == "step" else 1) or (kind == "factor" and first <= 0):
        raise InputError(
            f"{where}: expected {'a step above 0' if kind == 'step' else 'a factor above 1 and from above 0'}, "
            f"found from {value['from']}, {kind} {value[kind]}"
        )
    numbers = [first]
    while (following := numbers[-1] + by if kind == "step" else numbers[-1] * by) <= last:
        numbers.append(following)
        if len(numbers) > MOST_VALUES:
            raise InputError(f"{where}: more than {MOST_VALUES} values")
    if unit is None:
        return [plain(number) for number in numbers]
    return [f"{(number / SCALES[unit]).normalize():f} {unit}" for number in numbers]


def _parsed(value: object, where: str, key: str) -> tuple[Decimal, str | None]:
    """A number in its base unit, and the unit in which it is written."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return Decimal(repr(value)), None
    found = quantity(value) if isinstance(value, str) else None
    if found is None:
        raise InputError(f"{where}: {key}: expected a number or a quantity such as 64 KiB, found {shown(value)}")
    return found[0] * SCALES[found[1]], found[1]


def _check_units(where: str, unit: str | None, others: Mapping[str, str | None]) -> None:
    for key, other in others.items():
        alike = unit == other if unit is None or other is None else same_kind(unit, other)
        if not alike:
            raise InputError(f"{where}: {key}: expected a unit like {unit or 'none'}, found {other or 'none'}")


def _where(document: YamlDocument, path: KeyPath) -> str:
    return f"{document.path}:{document.line_of(path)}: {key_name(path)}"
