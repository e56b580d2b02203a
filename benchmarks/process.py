"""Fresh processes, and what they took: the operating system's own count of CPU time and peak memory.

The peak is the process's largest resident set. It starts at what the parent holds when it starts the child, which is
why this side of the benchmarks imports neither numpy nor torch.
"""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
TASKS = Path(__file__).resolve().parent / "tasks"


class ProcessError(Exception):
    """A measured process ended with an error; the message holds the last line that it wrote."""


@dataclass(frozen=True)
class Measured:
    """Wall time, CPU time (user and system, of the process and those that it waited for), peak memory, and output."""

    wall_s: float
    cpu_s: float
    peak_bytes: int
    output: str

    @property
    def peak_mib(self) -> float:
        """Peak resident set in MiB."""
        return self.peak_bytes / 2**20


def measure(command: Sequence[str | Path]) -> Measured:
    """Runs a command to its end, with this checkout first on Python's path. Raises ProcessError when it fails.

    Bytecode is kept whatever the environment says, as an installed package has it: compiling sources is not measured.
    Numpy's BLAS has one thread, peers' too: others would spin while numpy is imported, and count as CPU time.
    """
    path = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
    with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as errors:
        start = time.perf_counter()
        process = subprocess.Popen(
            [str(part) for part in command],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=errors,
            env={**os.environ, "PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "", "OPENBLAS_NUM_THREADS": "1"},
        )
        try:
            _, status, usage = os.wait4(process.pid, 0)
        except BaseException:
            process.kill()
            process.wait()
            raise
        wall = time.perf_counter() - start
        process.returncode = os.waitstatus_to_exitcode(status)
        output.seek(0)
        text = output.read().decode(errors="replace")
        if process.returncode:
            errors.seek(0)
            written = (text + errors.read().decode(errors="replace")).strip().splitlines() or ["no output"]
            raise ProcessError(f"exit status {process.returncode}: {written[-1]}")
    unit = 1 if sys.platform == "darwin" else 1024
    return Measured(wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * unit, text)


def task(name: str, *arguments: str | Path, python: str | Path = sys.executable) -> list[str | Path]:
    """The command that runs `tasks/NAME.py`, without its folder on Python's path."""
    return [python, "-P", TASKS / f"{name}.py", *arguments]


def repeated(command: Sequence[str | Path], times: int) -> list[Measured]:
    """Several runs of a command, one after another."""
    return [measure(command) for _ in range(times)]


def least(runs: Sequence[Measured], figure: Callable[[Measured], float]) -> float:
    """The smallest value: what the work costs when nothing else disturbs it."""
    return min(figure(run) for run in runs)
