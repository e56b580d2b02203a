"""An accelerator's settings written back as YAML with units, so that what is shown can be saved and changed."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, get_args, get_type_hints

import yaml

from simulator.hardware import units
from simulator.hardware.accelerator import Accelerator
from simulator.hardware.section import Section
from simulator.hardware.units import quantity_text

_UNITS: list[tuple[Any, Mapping[str, Decimal]]] = [
    (units.Bytes, {unit: scale for unit, scale in units.BYTE_UNITS.items() if unit == "B" or "i" in unit}),
    (units.Hertz, units.HERTZ_UNITS),
    (units.BytesPerSecond, {unit: scale for unit, scale in units.BANDWIDTH_UNITS.items() if "i" not in unit}),
    (units.BytesPerCycle, {"B/cycle": Decimal(1)}),
    (units.Picoseconds, {unit: scale for unit, scale in units.PICOSECOND_UNITS.items() if unit != "us"}),
    (units.Picojoules, {"pJ": Decimal(1)}),
    (units.PicojoulesPerByte, {"pJ/B": Decimal(1)}),
    (units.Milliwatts, {"mW": Decimal(1)}),
    (units.SquareMicrometres, {"um2": Decimal(1)}),
    (units.Bits, units.BIT_UNITS),
]
"""The units in which each kind of quantity is written."""

_SEQUENCE = "tag:yaml.org,2002:seq"


class _Dumper(yaml.SafeDumper):
    """One key per line, lists in brackets."""


_Dumper.add_representer(list, lambda dumper, items: dumper.represent_sequence(_SEQUENCE, items, flow_style=True))


def settings(section: Section) -> dict[str, Any]:
    """The values of an accelerator or one of its sections as an accelerator file writes them, defaults included.

    Keys without a value are left out.
    """
    hints = get_type_hints(type(section), include_extras=True)
    written = {name: _written(getattr(section, name), hints[name]) for name in section.written_fields()}
    return {name: value for name, value in written.items() if value not in (None, [], {})}


def settings_yaml(accelerator: Accelerator) -> str:
    """All settings as YAML that `load_accelerator` reads back to the same accelerator."""
    return yaml.dump(settings(accelerator), Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=1000)


def _written(value: Any, hint: Any) -> Any:
    if value is None:
        return None
    if isinstance(value, Section):
        return settings(value)
    if isinstance(value, tuple) and value and isinstance(value[0], Section):
        return [settings(entry) for entry in value]
    if isinstance(value, dict):
        return {key: settings(inner) if isinstance(inner, Section) else inner for key, inner in value.items()}
    for kind, scales in _UNITS:
        if kind == hint or kind in get_args(hint):
            return quantity_text(value, scales)
    return list(value) if isinstance(value, tuple) else value
