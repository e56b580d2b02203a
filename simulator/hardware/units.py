"""Quantities with units, as written in accelerator files: `108 KiB`, `200 MHz`, `25.6 GB/s`, `3.9 pJ/bit`.

Every quantity is stored as a plain number in one base unit (bytes, hertz, bytes per second or cycle, picojoules,
picoseconds, milliwatts, bits, square micrometres), which the field that holds it names.
"""

import math
import re
from collections.abc import Callable, Mapping
from decimal import Decimal, DecimalException
from typing import Annotated

from pydantic import BeforeValidator, WithJsonSchema

_QUANTITY = re.compile(r"^\s*([0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?)\s*([A-Za-z/µ]+2?)\s*$")
_GREEK_MU = "\N{GREEK SMALL LETTER MU}"

_DECIMAL_PREFIXES = {"": 1, "k": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}
_BINARY_PREFIXES = {"Ki": 2**10, "Mi": 2**20, "Gi": 2**30}

BYTE_UNITS = {prefix + "B": Decimal(scale) for prefix, scale in (_DECIMAL_PREFIXES | _BINARY_PREFIXES).items()}
HERTZ_UNITS = {prefix + "Hz": Decimal(scale) for prefix, scale in _DECIMAL_PREFIXES.items()}
CYCLE_BANDWIDTH_UNITS = {"B/cycle": Decimal(1), "bit/cycle": Decimal("0.125")}
BANDWIDTH_UNITS = {unit + "/s": scale for unit, scale in BYTE_UNITS.items()}
PICOSECOND_UNITS = {"ps": Decimal(1), "ns": Decimal(10**3), "us": Decimal(10**6), "µs": Decimal(10**6)}
PICOJOULE_UNITS = {"fJ": Decimal("0.001"), "pJ": Decimal(1), "nJ": Decimal(1000)}
PICOJOULE_PER_BYTE_UNITS = {
    "fJ/bit": Decimal("0.008"),
    "pJ/bit": Decimal(8),
    "pJ/B": Decimal(1),
    "nJ/B": Decimal(1000),
}
MILLIWATT_UNITS = {"uW": Decimal("0.001"), "µW": Decimal("0.001"), "mW": Decimal(1), "W": Decimal(1000)}
BIT_UNITS = {"bit": Decimal(1)}
SQUARE_MICROMETRE_UNITS = {"um2": Decimal(1), "µm2": Decimal(1), "mm2": Decimal(10**6)}


def parse_quantity(text: object, units: dict[str, Decimal], what: str, example: str) -> float:
    """The number that `text` states, in the base unit of `units`.

    `what` and `example` word the error: "a size", "108 KiB". Raises ValueError when `text` is not a number followed by
    one of `units`; a bare number is refused too, because its unit could only be guessed.
    """
    match = _QUANTITY.match(text.replace(_GREEK_MU, "µ")) if isinstance(text, str) else None
    if match is None or match[2] not in units:
        meant = near_quantities(text, units)
        raise ValueError(f"expected {what} such as '{example}' (units: {', '.join(units)}), found {shown(text)}{meant}")
    try:
        number = float(Decimal(match[1]) * units[match[2]])
    except DecimalException:
        number = math.inf
    if not math.isfinite(number):
        raise ValueError(f"expected {what} that fits into a number, found {shown(text)}")
    return number


def near_quantities(text: object, units: Mapping[str, Decimal]) -> str:
    """The end of a message about `text`: what it says in units that differ in the case of a letter, decimal or binary.

    Nothing where there is no such unit, or where b stands for B: a bit is no byte.
    """
    match = _QUANTITY.match(text) if isinstance(text, str) else None
    if match is None or match[2] in units:
        return ""
    number, unit = match[1], match[2]
    spellings = (unit.lower(), f"{unit[0]}i{unit[1:]}".lower())
    near = [one for one in units if one.lower() in spellings and one.count("B") == unit.count("B")]
    return f"; did you mean {' or '.join(f'{number} {one}' for one in near)}?" if near else ""


def shown(value: object) -> str:
    """A value as a user would recognise it in an error message: as YAML writes it, cut short."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return str(value).lower()
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:56]} ..."


def quantity_text(value: float, scales: Mapping[str, Decimal]) -> str:
    """`value` with all its digits, in the largest unit that fits: `108 KiB`, `25.6 GB/s`.

    A unit with a binary prefix fits a whole number of it only.
    """
    exact = Decimal(repr(value))
    fitting = [
        (scale, unit) for unit, scale in scales.items() if scale <= exact and (scale % 1024 or not exact % scale)
    ]
    scale, unit = max(fitting, default=min((scale, unit) for unit, scale in scales.items()))
    return f"{(exact / scale).normalize():f} {unit}"


def _validator(units: dict[str, Decimal], what: str, example: str, whole: bool) -> Callable[[object], float]:
    def validate(value: object) -> float:
        number = parse_quantity(value, units, what, example)
        if whole and number >= 2**63:
            raise ValueError(f"expected {what} below 2^63 {next(iter(units))}, found {shown(value)}")
        if whole and number != int(number):
            raise ValueError(f"expected a whole number of {next(iter(units))}, found {shown(value)}")
        return int(number) if whole else number

    return validate


def _schema(units: dict[str, Decimal], example: str) -> WithJsonSchema:
    alternatives = "|".join(re.escape(unit) for unit in units)
    return WithJsonSchema(
        {
            "type": "string",
            "pattern": rf"^\s*[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?\s*({alternatives})\s*$",
            "examples": [example],
        }
    )


Bytes = Annotated[
    int, BeforeValidator(_validator(BYTE_UNITS, "a size", "108 KiB", True)), _schema(BYTE_UNITS, "108 KiB")
]
Hertz = Annotated[
    float, BeforeValidator(_validator(HERTZ_UNITS, "a frequency", "200 MHz", False)), _schema(HERTZ_UNITS, "200 MHz")
]
BytesPerSecond = Annotated[
    float,
    BeforeValidator(_validator(BANDWIDTH_UNITS, "a bandwidth", "25.6 GB/s", False)),
    _schema(BANDWIDTH_UNITS, "25.6 GB/s"),
]
BytesPerCycle = Annotated[
    float,
    BeforeValidator(_validator(CYCLE_BANDWIDTH_UNITS, "a bandwidth", "64 B/cycle", False)),
    _schema(CYCLE_BANDWIDTH_UNITS, "64 B/cycle"),
]
Picoseconds = Annotated[
    int, BeforeValidator(_validator(PICOSECOND_UNITS, "a time", "45 ns", True)), _schema(PICOSECOND_UNITS, "45 ns")
]
Picojoules = Annotated[
    float,
    BeforeValidator(_validator(PICOJOULE_UNITS, "an energy", "0.2 pJ", False)),
    _schema(PICOJOULE_UNITS, "0.2 pJ"),
]
PicojoulesPerByte = Annotated[
    float,
    BeforeValidator(_validator(PICOJOULE_PER_BYTE_UNITS, "an energy per data", "3.9 pJ/bit", False)),
    _schema(PICOJOULE_PER_BYTE_UNITS, "3.9 pJ/bit"),
]
Milliwatts = Annotated[
    float, BeforeValidator(_validator(MILLIWATT_UNITS, "a power", "25 mW", False)), _schema(MILLIWATT_UNITS, "25 mW")
]
SquareMicrometres = Annotated[
    float,
    BeforeValidator(_validator(SQUARE_MICROMETRE_UNITS, "an area", "67 um2", False)),
    _schema(SQUARE_MICROMETRE_UNITS, "67 um2"),
]
Bits = Annotated[int, BeforeValidator(_validator(BIT_UNITS, "a width", "16 bit", True)), _schema(BIT_UNITS, "16 bit")]
