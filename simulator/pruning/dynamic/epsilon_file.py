"""The file of calibrated epsilons: from `fmapsim calibrate`, for `fmapsim extract --epsilon FILE`. No torch here.

JSON with the keys `fmapsim_epsilons` (the format's version), `network`, `epsilon` (by layer, one number or one for
each channel), `means` (by layer one number per channel, empty where flagged maps become zero), `rule`, `granularity`,
`side`, `provenance` and `results`. Epsilons are absolute.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from simulator.errors import InputError
from simulator.whole_file import whole_file

VERSION_KEY = "fmapsim_epsilons"
VERSION = 1


@dataclass(frozen=True)
class CalibratedEpsilons:
    """What the file holds."""

    network: str
    epsilon: Mapping[str, float | Sequence[float]]
    means: Mapping[str, Sequence[float]] = field(default_factory=dict)
    rule: str = "all"
    granularity: str = "feature_map"
    side: str = "ofm"
    provenance: Mapping[str, Any] = field(default_factory=dict)
    results: Mapping[str, Any] = field(default_factory=dict)

    def save(self, path: Path) -> None:
        """Writes the file whole or not at all. Raises InputError when its folder cannot be written."""
        text = json.dumps({VERSION_KEY: VERSION, **vars(self)}, indent=1)
        with whole_file(path) as temporary:
            temporary.write_text(text + "\n", encoding="utf-8")


def is_calibrated(content: object) -> bool:
    """Whether a JSON value is (meant to be) such a file, and not a plain mapping of layers to epsilons."""
    return isinstance(content, Mapping) and VERSION_KEY in content


def calibrated_epsilons(content: Mapping[str, Any], where: str) -> CalibratedEpsilons:
    """The file's content, checked. Raises InputError that begins with `where`."""
    if content.get(VERSION_KEY) != VERSION:
        raise InputError(f"{where}: {VERSION_KEY} {content.get(VERSION_KEY)!r}, expected {VERSION}")
    known = CalibratedEpsilons.__dataclass_fields__
    for key in content:
        if key not in known and key != VERSION_KEY:
            raise InputError(f"{where}: unknown key '{key}', expected {', '.join(known)}")
    for key in ("network", "epsilon"):
        if key not in content:
            raise InputError(f"{where}: key '{key}' is missing")
    texts = {key: content.get(key, known[key].default) for key in ("network", "rule", "granularity", "side")}
    for key, text in texts.items():
        if not isinstance(text, str):
            raise InputError(f"{where}: {key} is {text!r}, expected a text")
    mappings: dict[str, Mapping[str, Any]] = {}
    for key in ("epsilon", "means", "provenance", "results"):
        value = content.get(key, {})
        if not isinstance(value, Mapping):
            raise InputError(f"{where}: {key} is a {type(value).__name__}, expected keys and values")
        mappings[key] = value
    return CalibratedEpsilons(
        **texts,
        epsilon={
            layer: epsilon_value(value, f"{where}: layer '{layer}'") for layer, value in mappings["epsilon"].items()
        },
        means={
            layer: _means(value, f"{where}: means of layer '{layer}'") for layer, value in mappings["means"].items()
        },
        provenance=mappings["provenance"],
        results=mappings["results"],
    )


def epsilon_value(value: object, where: str) -> float | tuple[float, ...]:
    """A layer's epsilon as it stands in a file: a number of 0 or more, or a list of such. Raises InputError."""
    if isinstance(value, list) and value:
        return tuple(_at_least_0(one, where) for one in value)
    return _at_least_0(value, where)


def _at_least_0(value: object, where: str) -> float:
    if not _is_number(value) or not 0 <= float(value) < float("inf"):  # type: ignore[arg-type]
        raise InputError(f"{where}: found {value}, expected a number of 0 or more, or a list of one per channel")
    return float(value)  # type: ignore[arg-type]


def _means(value: object, where: str) -> tuple[float, ...]:
    if not isinstance(value, list) or not all(_is_number(one) and abs(one) < float("inf") for one in value):
        raise InputError(f"{where}: expected a list of one number per channel")
    return tuple(map(float, value))


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
