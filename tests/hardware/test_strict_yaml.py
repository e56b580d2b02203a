"""YAML that is not what an accelerator file may hold: one clear line instead of a traceback, a hang or a guess."""

from pathlib import Path

import pytest

from simulator.errors import InputError
from simulator.hardware.yaml_file import key_name, read_yaml


def error_of(folder: Path, content: str | bytes) -> str:
    path = folder / "a.yaml"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(InputError) as caught:
        read_yaml(path)
    assert "\n" not in str(caught.value)
    return str(caught.value).removeprefix(f"{folder}/")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "a.yaml:1: the file is empty"),
        ("# only a comment\n", "a.yaml:1: the file is empty"),
        ("- a\n- b\n", "a.yaml:1: expected a mapping of sections such as 'array:' and 'dram:'"),
        ("\nhello\n", "a.yaml:2: expected a mapping of sections"),
        ("a:\n\tb: 1\n", "a.yaml:2: not valid YAML (a tab; indent with blanks)"),
        ("a: {b: 1\nc: 2\n", "not valid YAML (while parsing a flow mapping"),
        ("a: 1\n---\nb: 2\n", "a.yaml:2: not valid YAML (expected a single document in the stream, but found another"),
        ("a: *b\n", "a.yaml:1: not valid YAML (found undefined alias 'b')"),
        ("a: &b {c: 1}\nd:\n  <<: *b\n", "a.yaml:3: merge key 'd.<<' is not supported; write the keys out"),
        ("? [a, b]\n: 3\n", "a.yaml:1: expected a key, found a list or mapping in its place"),
        ("a:\n  b: !!python/object:os.system x\n", "a.yaml:2: a.b: could not determine a constructor for the tag"),
        ("a: !!int abc\n", "a.yaml:1: a: cannot read 'abc'"),
        ("a: 2020-13-45\n", "a.yaml:1: a: cannot read '2020-13-45' (month must be in 1..12)"),
        ("a: 1\nb: \x00\n", "a.yaml:2: not valid YAML (character #x0000)"),
        (b"a: 1\nb: \xd7\n", "a.yaml:2: not UTF-8 text"),
        ("a: &b\n  c: *b\n", "a.yaml:1: not an accelerator file (more than 10000 values, or endless aliases)"),
        ("[" * 20_000, "a.yaml:1: not an accelerator file (nested too deeply)"),
        ("a: 1\nb:\n  c: 2\n  c: 3\n", "a.yaml:4: key 'b.c' stands twice (first on line 3)"),
    ],
)
def test_message(tmp_path: Path, content: str | bytes, message: str) -> None:
    assert message in error_of(tmp_path, content)


def test_aliases_that_multiply_end_quickly(tmp_path: Path) -> None:
    lines = ["a0: &a0 [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 12)]
    assert "more than 10000 values" in error_of(tmp_path, "\n".join(lines))


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        read_yaml(tmp_path)


def test_anchors_and_a_byte_order_mark_are_read(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_text("a: &x {b: 1}\nc: *x\n", encoding="utf-8-sig")
    assert read_yaml(path).data == {"a": {"b": 1}, "c": {"b": 1}}


def test_every_value_knows_its_line(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_text("a: 1\nb:\n  c: 2\n  d: [3,\n    4]\n", encoding="utf-8")
    document = read_yaml(path)
    assert [document.line_of(key) for key in [("a",), ("b",), ("b", "c"), ("b", "d", 1)]] == [1, 2, 3, 5]
    assert document.line_of(("b", "missing")) == 2
    assert document.line_of(("missing",)) == 1


def test_key_names() -> None:
    assert key_name(("array", "unroll", "rows", 0)) == "array.unroll.rows[0]"
    assert key_name(()) == ""
