"""From a preset's name or a YAML file to a checked `Accelerator`."""

import copy
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from simulator.errors import InputError
from simulator.hardware.accelerator import Accelerator
from simulator.hardware.dram import FLAT_KEYS
from simulator.hardware.yaml_file import ENDINGS, YamlDocument, read_yaml
from simulator.near_file import near_file
from simulator.resources import shipped_folder
from simulator.validated import validated

_TWO_SPELLINGS = {"buffering": "double_buffered", "double_buffered": "buffering"}
"""Keys that say the same."""


def preset_names() -> list[str]:
    """Names of the shipped accelerators, sorted."""
    return sorted(path.stem for path in shipped_folder("hwconfigs").glob("*.yaml"))


def accelerator_path(name_or_path: str | Path) -> Path:
    """The YAML file of a preset's name, or the path itself when it names a file. Raises InputError when neither is."""
    path = Path(name_or_path)
    if path.suffix in ENDINGS or path.is_file():
        if not path.is_file():
            raise InputError(f"{path}: no such accelerator file{near_file(path, ENDINGS)}")
        return path
    preset = shipped_folder("hwconfigs") / f"{name_or_path}.yaml"
    if preset.is_file():
        return preset
    from simulator.hardware.validation import did_you_mean  # only mistakes need it

    presets = preset_names()
    raise InputError(
        f"accelerator '{name_or_path}' is neither a file nor a preset (presets: {', '.join(presets)})"
        f"{near_file(path, ENDINGS) or did_you_mean(str(name_or_path), presets)}"
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
    return accelerator_of(read_accelerator(name_or_path), overrides)


def read_accelerator(name_or_path: str | Path) -> YamlDocument:
    """The YAML of a preset or file, unchecked but for its syntax. Raises InputError as `load_accelerator` does."""
    return read_yaml(accelerator_path(name_or_path))


def accelerator_of(document: YamlDocument, overrides: Mapping[str, object] | None = None) -> Accelerator:
    """The accelerator of a document that has been read, as `load_accelerator` makes it; the document stays as it is."""
    data = copy.deepcopy(document.data)
    for dotted, value in (overrides or {}).items():
        _override(data, dotted, value)
        _drop_other_spelling(data, dotted, overrides or {})
    try:
        return validated(Accelerator, data)
    except ValidationError as error:
        from simulator.hardware.validation import problems_text  # only mistakes need it

        raise InputError(problems_text(error, Accelerator, document, overrides or {})) from None


def _override(data: dict[str, Any], dotted: str, value: object) -> None:
    from simulator.hardware.validation import known_key  # files that nothing overrides do without

    section: Any = data
    *parents, key = dotted.split(".")
    model: Any = Accelerator
    for parent in parents:
        model = known_key(model, parent, dotted)
        inner = section.get(parent, {})
        section[parent] = inner if model is None else model.spelled_out(inner)
        section = section[parent]
        if not isinstance(section, dict):
            raise InputError(f"override '{dotted}': '{parent}' is not a section")
    known_key(model, key, dotted)
    section[key] = value


def _drop_other_spelling(data: dict[str, Any], dotted: str, overrides: Mapping[str, object]) -> None:
    """An override replaces what the file says, in whichever of its two spellings the file says it.

    A DRAM's standard replaces the figures of a plain bandwidth.
    """
    if dotted == "dram.standard":
        for given in [key for key in data["dram"] if key in FLAT_KEYS and f"dram.{key}" not in overrides]:
            del data["dram"][given]
    *parents, key = dotted.split(".")
    other = _TWO_SPELLINGS.get(key)
    if other is None or ".".join((*parents, other)) in overrides:
        return
    section = data
    for parent in parents:
        section = section[parent]
    section.pop(other, None)
