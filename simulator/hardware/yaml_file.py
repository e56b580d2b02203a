"""YAML read strictly: duplicate keys are errors, and every value knows the line it came from."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from simulator.errors import InputError
from simulator.near_file import near_file

KeyPath = tuple[str | int, ...]

ENDINGS = (".yaml", ".yml")
"""Of YAML files."""

MAX_VALUES = 10_000
"""More values than this is no accelerator: a wrong file, or aliases that multiply."""


@dataclass(frozen=True)
class YamlDocument:
    """The plain data of a YAML file and the 1-based line of every key path in it."""

    path: Path
    data: dict[str, Any]
    lines: dict[KeyPath, int]

    def line_of(self, key_path: KeyPath) -> int:
        """The line of `key_path`, or of its nearest parent that stands in the file."""
        for length in range(len(key_path), -1, -1):
            if key_path[:length] in self.lines:
                return self.lines[key_path[:length]]
        return 1


def key_name(key_path: KeyPath) -> str:
    """A key path as messages show it: `array.unroll.rows[0]`."""
    return "".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in key_path).removeprefix(".")


class _OtherFileError(Exception):
    """Raised with a line and the reason why this cannot be the kind of file that was expected."""


def read_yaml(
    path: Path, kind: str = "an accelerator", content: str = "sections such as 'array:' and 'dram:'"
) -> YamlDocument:
    """The document at `path`. kind, content: what messages say that it should be and hold.

    Raises InputError with file and line when the file cannot be read, is not YAML, holds a key twice, or is not a
    mapping.
    """
    lines: dict[KeyPath, int] = {}
    try:
        node = _compose(path, _read_text(path))
        if node is None:
            raise InputError(f"{path}:1: the file is empty")
        data = _build(node, (), lines, path)
    except _OtherFileError as error:
        line, reason = error.args
        raise InputError(f"{path}:{line}: not {kind} file ({reason})") from None
    if not isinstance(data, dict):
        line = node.start_mark.line + 1
        raise InputError(f"{path}:{line}: expected a mapping of {content}")
    return YamlDocument(path, data, lines)


def _read_text(path: Path) -> str:
    try:
        content = path.read_bytes()
    except OSError as error:
        near = near_file(path, ENDINGS) if isinstance(error, FileNotFoundError) else ""
        raise InputError(f"{path}: cannot be read ({error.strerror or error}){near}") from None
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise InputError(f"{path}:{line}: not UTF-8 text") from None


def _compose(path: Path, text: str) -> yaml.Node | None:
    try:
        node: yaml.Node | None = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise InputError(f"{path}:{line}: not valid YAML ({_why(error, line)})") from None
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise InputError(f"{path}:{line}: not valid YAML (character #x{error.character:04x})") from None
    except RecursionError:
        raise _OtherFileError(1, "nested too deeply") from None
    return node


def _why(error: yaml.MarkedYAMLError, line: int) -> str:
    problem = error.problem or "unreadable"
    if "'\\t'" in problem:
        return "a tab; indent with blanks"
    if error.context_mark is None or error.context_mark.line + 1 == line:
        return problem
    if problem.startswith("but "):
        return f"{error.context}, {problem}"
    return f"{error.context} that starts on line {error.context_mark.line + 1}: {problem}"


def _build(node: yaml.Node, key_path: KeyPath, lines: dict[KeyPath, int], path: Path) -> Any:
    line = node.start_mark.line + 1
    lines.setdefault(key_path, line)
    if len(lines) > MAX_VALUES or len(key_path) > 100:
        raise _OtherFileError(line, f"more than {MAX_VALUES} values, or endless aliases")
    if isinstance(node, yaml.MappingNode):
        return _build_mapping(node, key_path, lines, path)
    if isinstance(node, yaml.SequenceNode):
        return [_build(item, (*key_path, index), lines, path) for index, item in enumerate(node.value)]
    loader = yaml.SafeLoader("")
    try:
        return loader.construct_object(node, deep=True)
    except yaml.MarkedYAMLError as error:
        raise InputError(f"{path}:{line}: {key_name(key_path)}: {error.problem}") from None
    except (yaml.YAMLError, ValueError) as error:
        raise InputError(f"{path}:{line}: {key_name(key_path)}: cannot read '{node.value}' ({error})") from None


def _build_mapping(node: yaml.MappingNode, key_path: KeyPath, lines: dict[KeyPath, int], path: Path) -> dict[str, Any]:
    mapping: dict[str, Any] = {}
    for key_node, value_node in node.value:
        line = key_node.start_mark.line + 1
        if not isinstance(key_node, yaml.ScalarNode):
            raise InputError(f"{path}:{line}: expected a key, found a list or mapping in its place")
        key = str(key_node.value)
        name = key_name((*key_path, key))
        if key == "<<":
            raise InputError(f"{path}:{line}: merge key '{name}' is not supported; write the keys out")
        if key in mapping:
            raise InputError(f"{path}:{line}: key '{name}' stands twice (first on line {lines[(*key_path, key)]})")
        lines[(*key_path, key)] = line
        mapping[key] = _build(value_node, (*key_path, key), lines, path)
    return mapping
