"""Quantities in study files: `64 KiB` as a number, and back in the unit it was written in."""

import re
from collections.abc import Mapping
from decimal import Decimal

from simulator.hardware import units
from simulator.hardware.units import quantity_text

TABLES: tuple[Mapping[str, Decimal], ...] = (
    units.BYTE_UNITS,
    units.HERTZ_UNITS,
    units.BANDWIDTH_UNITS,
    units.CYCLE_BANDWIDTH_UNITS,
    units.PICOSECOND_UNITS,
    units.PICOJOULE_UNITS,
    units.PICOJOULE_PER_BYTE_UNITS,
    units.MILLIWATT_UNITS,
    units.SQUARE_MICROMETRE_UNITS,
    units.BIT_UNITS,
)
"""The units of each kind of quantity, with what one of them is in the kind's base unit."""

SCALES: Mapping[str, Decimal] = {unit: scale for table in TABLES for unit, scale in table.items()}

_NUMBER = r"[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?"
_UNIT = "|".join(re.escape(unit) for unit in sorted(SCALES, key=len, reverse=True))
_WHOLE = re.compile(rf"\s*({_NUMBER})\s*({_UNIT})\s*")
WITHIN = re.compile(rf"(?<![\w.'\"])({_NUMBER})\s*({_UNIT})(?![\w/'\"])")
"""A quantity inside of an expression."""


def quantity(text: str) -> tuple[Decimal, str] | None:
    """Number and unit of a quantity as it is written; None where the text is none."""
    found = _WHOLE.fullmatch(text)
    return (Decimal(found[1]), found[2]) if found else None


def base_unit(value: object) -> str | None:
    """The base unit of a value that is written as a quantity: `B` of 64 KiB; None for any other value."""
    found = quantity(value) if isinstance(value, str) else None
    if found is None:
        return None
    table = next(table for table in TABLES if found[1] in table)
    return next(unit for unit, scale in table.items() if scale == 1)


def text(value: object, unit: str | None) -> str:
    """A value of a setting as files write it: 65536 in bytes as 64 KiB. unit: its base unit, None for plain values."""
    if unit is None or not isinstance(value, int | float) or value != value:
        return str(value)
    table = next(table for table in TABLES if table.get(unit) == 1)
    fitting = {name: scale for name, scale in table.items() if unit != "B" or name == "B" or "i" in name}
    return quantity_text(plain(Decimal(repr(value))), fitting)


def as_number(value: object) -> object:
    """A quantity in its base unit, as int where it is whole; any other value as it is."""
    found = quantity(value) if isinstance(value, str) else None
    return value if found is None else plain(found[0] * SCALES[found[1]])


def plain(number: Decimal) -> int | float:
    """An int where the number is whole, else a float."""
    return int(number) if number == number.to_integral_value() else float(number)


def same_kind(unit: str, other: str) -> bool:
    """Whether two units measure the same."""
    return any(unit in table and other in table for table in TABLES)
