import json
from pathlib import Path

import pytest
from cli_inputs import Run

from simulator.hardware.load import accelerator_path, load_accelerator, preset_names


def test_list_names_every_preset(run: Run) -> None:
    ran = run("hardware", "list")
    assert ran.code == 0
    assert max(map(len, ran.out.splitlines())) <= 80
    for name in preset_names():
        assert f"\n{name} " in ran.out
    eyeriss = next(line for line in ran.out.splitlines() if line.startswith("eyeriss "))
    assert eyeriss.split() == ["eyeriss", "168", "200", "MHz", "108", "KiB", "480", "MB/s"]


def test_list_as_json(run: Run) -> None:
    found = {entry["name"]: entry for entry in run("hardware", "list", "--json").json}
    assert sorted(found) == preset_names()
    assert found["eyeriss"]["buffer_bytes"] == 108 * 1024
    assert found["eyeriss"]["macs"] == 168
    assert Path(found["eyeriss"]["path"]).is_file()


@pytest.mark.parametrize("name", preset_names())
def test_what_show_prints_is_the_same_accelerator(run: Run, tmp_path: Path, name: str) -> None:
    ran = run("hardware", "show", name)
    assert ran.code == 0
    assert ran.out.splitlines()[0] == f"# {accelerator_path(name)}"
    copy = tmp_path / "copy.yaml"
    copy.write_text(ran.out, encoding="utf-8")
    assert load_accelerator(copy) == load_accelerator(name)


def test_show_writes_units_and_defaults(run: Run) -> None:
    out = run("hardware", "show", "eyeriss").out
    for line in ("clock: 200 MHz", "capacity: 100 KiB", "bandwidth: 480 MB/s", "mac: 2.2 pJ", "concat: in_place"):
        assert f"{line}\n" in out


def test_show_as_json(run: Run) -> None:
    shown = run("hardware", "show", "eyeriss", "--json").json
    assert shown["settings"]["buffers"]["ifm"]["capacity"] == 100 * 1024


def test_check(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(run("hardware", "show", "eyeriss").out.replace("name: eyeriss", "name: mine"), encoding="utf-8")
    ran = run("hardware", "check", path)
    assert (ran.code, ran.err) == (0, "")
    assert ran.out == "ok: mine, 168 MACs at 200 MHz, 108 KiB of buffers, DRAM of 480 MB/s\n"
    assert run("hardware", "check", path, "--json").json == {"ok": True, "name": "mine"}


def test_check_names_line_and_key(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(run("hardware", "show", "eyeriss").out.replace("columns: 14", "colums: 14"), encoding="utf-8")
    assert run("hardware", "check", path).mistake().startswith(f"{path}:7: unknown key 'array.colums'")


def test_schema_is_one(run: Run) -> None:
    schema = json.loads(run("hardware", "schema").out)
    assert schema["type"] == "object"
    assert {"array", "buffers", "dram", "energy"} <= set(schema["properties"])
    assert schema["$schema"].startswith("https://json-schema.org/")
