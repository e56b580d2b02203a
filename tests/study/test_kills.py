"""A study that is killed, loses a worker or is interrupted goes on as if nothing had been."""

import collections
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import psutil
from study_inputs import study_file

from simulator.study.folder import TOOK, results
from simulator.study.run import run_study
from simulator.study.store import journals, outcomes

POINTS = 40
MANY = {"buffers.ifm.capacity": {"range": {"from": "64 KiB", "to": "100 KiB", "step": "4 KiB"}}}


def started(path: Path, out: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "simulator", "study", "run", str(path), "--out", str(out), "--no-figures"]
    return subprocess.Popen([*command, "--workers", "1"], stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def ended(out: Path) -> int:
    return sum(found.read_bytes().count(b"\n") for found in journals(out))


def wait_for(run: subprocess.Popen[str], out: Path, count: int) -> None:
    while run.poll() is None and ended(out) < count:
        time.sleep(0.01)


def test_whatever_stops_a_study_loses_and_doubles_nothing(folder: Path) -> None:
    """SIGTERM, SIGKILL, at last a worker that is killed; a killed run leaves no workers behind."""
    path, out = study_file(folder, accelerators=["systolic-256"], parameters=MANY), folder / "out"

    run = started(path, out)
    wait_for(run, out, 3)
    run.terminate()
    _, errors = run.communicate()
    assert run.returncode == 130, errors
    assert "the same command goes on from there" in errors
    assert "Traceback" not in errors
    assert 3 <= len(pd.read_parquet(out / "results.parquet")) == ended(out) < POINTS

    run = started(path, out)
    wait_for(run, out, 15)
    orphans = psutil.Process(run.pid).children(recursive=True)
    run.kill()
    run.communicate()
    assert 15 <= ended(out) < POINTS, f"killed after {ended(out)} points"

    run = started(path, out)
    wait_for(run, out, 22)
    (worker,) = [child for child in psutil.Process(run.pid).children() if "spawn_main" in " ".join(child.cmdline())]
    worker.kill()
    _, errors = run.communicate()
    assert run.returncode == 0, errors

    counts = collections.Counter(one.key for one in outcomes(out))
    assert len(counts) == POINTS
    assert set(counts.values()) == {1}
    run_study(path, folder / "whole")
    first, second = (results(of).drop(columns=[*TOOK]) for of in (out, folder / "whole"))
    pd.testing.assert_frame_equal(first, second)
    assert not psutil.wait_procs(orphans, timeout=20)[1], "a killed run left workers behind"
