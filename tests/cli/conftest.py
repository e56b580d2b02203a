"""Runs commands inside the test's own process, as `fmapsim` would."""

from pathlib import Path

import pytest
from cli_inputs import Ran, Run, tiny_shapes, tiny_trace

from simulator.cli import main


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs `fmapsim` with arguments on a terminal of 80 columns, or as many as COLUMNS says."""
    monkeypatch.setenv("COLUMNS", "80")

    def run_command(*arguments: object) -> Ran:
        capsys.readouterr()
        code = main([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return Ran(code, captured.out, captured.err)

    return run_command


@pytest.fixture(scope="session")
def trace_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A recorded trace of three images."""
    return tiny_trace().save(tmp_path_factory.mktemp("traces") / "tiny")


@pytest.fixture(scope="session")
def shapes_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A trace of shapes only."""
    return tiny_shapes().save(tmp_path_factory.mktemp("traces") / "shapes")
