"""The README's Python example runs, and its commands exist."""

import re
import shlex
from pathlib import Path

import pytest

README = Path(__file__).parent.parent / "README.md"


def test_the_python_example_runs(capsys: pytest.CaptureFixture[str]) -> None:
    (code,) = re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), re.S)
    exec(compile(code, "README.md", "exec"), {})
    assert "macs_effectual" in capsys.readouterr().out


def test_the_commands_that_need_no_images_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from simulator.cli import main

    monkeypatch.chdir(tmp_path)
    commands = [
        shlex.split(line.strip())[1:]
        for line in README.read_text(encoding="utf-8").splitlines()
        if line.startswith("    fmapsim ") and "mynet" not in line
    ]
    assert len(commands) >= 5
    for command in commands:
        assert main(command) == 0, command


def test_pictures_and_pages_exist() -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", README.read_text(encoding="utf-8")):
        assert (README.parent / target).is_file(), target
