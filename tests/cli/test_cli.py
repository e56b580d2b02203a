"""What all commands share: help, version, exit codes, and how failures look."""

import errno
import subprocess
import sys
from pathlib import Path

import pytest
from cli_inputs import Run

import simulator
from simulator.commands import networks

COMMANDS = (
    "demo",
    "networks",
    "extract",
    "prune",
    "quantise",
    "sparsify",
    "criteria",
    "calibrate",
    "sparsity",
    "simulate",
    "compare",
    "trace list",
    "trace show",
    "hardware list",
    "hardware show",
    "hardware check",
    "hardware schema",
    "dram list",
    "dram run",
    "dram compare",
)


def test_version(run: Run) -> None:
    ran = run("--version")
    assert (ran.code, ran.out) == (0, f"fmapsim {simulator.__version__}\n")


@pytest.mark.parametrize("group", ["", "trace", "hardware", "dram"])
def test_without_a_command_the_help_is_printed(run: Run, group: str) -> None:
    ran = run(*group.split())
    assert ran.code == 0
    assert ran.out == run(*group.split(), "--help").out
    for command in COMMANDS:
        if command.startswith(group):
            assert f"  {command.removeprefix(group).split()[0]} " in ran.out


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself_with_an_example_at_80_columns(run: Run, command: str) -> None:
    ran = run(*command.split(), "--help")
    assert ran.code == 0
    assert "Example" in ran.out
    assert f"    fmapsim {command}" in ran.out
    assert max(map(len, ran.out.splitlines())) <= 80


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("simulat", "No such command 'simulat'"),
        ("networks --jsn", "No such option"),
        ("simulate x --hardware eyeriss", "Missing option '--out' (see `fmapsim simulate --help`)"),
        ("simulate x --out y --hardware eyeriss --batch 0", "'--batch'"),
        ("simulate x --out y --hardware eyeriss --pruning some", "'--pruning'"),
        ("compare", "Missing argument"),
    ],
)
def test_usage_errors_are_one_line(run: Run, arguments: str, message: str) -> None:
    assert message in run(*arguments.split()).mistake()


def test_interrupting_is_one_line_and_130(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(networks, "console", interrupt)
    ran = run("networks")
    assert (ran.code, ran.out, ran.err) == (130, "", "fmapsim: interrupted\n")


def test_a_full_disk_is_one_line(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", "out/report.json")

    monkeypatch.setattr(networks, "console", fail)
    assert run("networks").mistake() == "out/report.json: No space left on device"


def test_a_bug_is_not_hidden(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr(networks, "console", fail)
    with pytest.raises(RuntimeError, match="a bug"):
        run("networks")


def test_a_reader_that_leaves_causes_no_noise() -> None:
    script = "import sys; from simulator.cli import main; sys.exit(main(['hardware', 'schema']))"
    process = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()
    assert process.stderr.read() == b""
    process.stderr.close()
    process.wait()


def test_python_m_simulator_is_fmapsim() -> None:
    ran = subprocess.run([sys.executable, "-m", "simulator", "--version"], capture_output=True, text=True, check=True)
    assert ran.stdout.startswith("fmapsim ")


def test_simulating_needs_no_torch(trace_file: Path, tmp_path: Path) -> None:
    script = "import sys; sys.modules['torch'] = None; from simulator.cli import main; sys.exit(main(sys.argv[1:]))"
    for arguments in (
        ["networks"],
        ["trace", "show", str(trace_file), "--layers"],
        ["simulate", str(trace_file), "--hardware", "eyeriss", "--out", str(tmp_path), "--pruning", "dynamic"],
        ["compare", str(tmp_path / "baseline"), str(tmp_path), "--layers"],
    ):
        ran = subprocess.run([sys.executable, "-c", script, *arguments], capture_output=True, text=True)
        assert (ran.returncode, ran.stderr) == (0, ""), arguments


def test_starting_loads_nothing_heavy() -> None:
    script = "import sys, simulator.cli; print(sorted({name.split('.')[0] for name in sys.modules}))"
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    for package in ("torch", "pandas", "numpy", "matplotlib", "simpy", "pyarrow"):
        assert f"'{package}'" not in ran.stdout
