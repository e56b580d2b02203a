"""The README's Python example runs, and its commands exist. That its links lead somewhere is `test_docs.py`'s."""

from pathlib import Path

import pytest
from docs_pages import ROOT, blocks_of

README = ROOT / "README.md"


def test_the_python_example_runs(capsys: pytest.CaptureFixture[str]) -> None:
    (code,) = (block.text for block in blocks_of(README) if block.language == "python")
    exec(compile(code, "README.md", "exec"), {})
    assert "macs_effectual" in capsys.readouterr().out


def test_the_commands_that_need_no_images_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from simulator.cli import main

    monkeypatch.chdir(tmp_path)
    commands = [words for block in blocks_of(README) for words in block.commands if "mynet" not in " ".join(words)]
    assert len(commands) >= 5
    first = next(command for command in commands if command[0] == "simulate")  # draws the figures for all of them
    for command in commands:
        undrawn = ["--no-figures"] if command[0] == "simulate" and command is not first else []
        assert main([*command, *undrawn]) == 0, command
