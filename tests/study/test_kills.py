"""A study that is killed, loses a worker or is interrupted goes on as if nothing had been."""

import collections
import os
import signal
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

POINTS = 60
MANY = {"buffers.ifm.capacity": {"range": {"from": "64 KiB", "to": "120 KiB", "step": "4 KiB"}}}


def started(path: Path, out: Path, workers: int) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "simulator", "study", "run", str(path), "--out", str(out), "--no-figures"]
    return subprocess.Popen(
        [*command, "--workers", str(workers)], stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )


def ended(out: Path) -> int:
    return sum(found.read_bytes().count(b"\n") for found in journals(out))


def wait_for(run: subprocess.Popen[str], out: Path, count: int) -> None:
    while run.poll() is None and ended(out) < count:
        time.sleep(0.01)


def test_kills_lose_and_double_nothing(folder: Path) -> None:
    """Three kills: in the middle, soon after, and near the end; the workers of a killed run end by themselves."""
    path, out = study_file(folder, parameters=MANY), folder / "out"
    orphans: list[psutil.Process] = []
    for goal in (20, 21, 50):
        run = started(path, out, 1)
        wait_for(run, out, goal)
        orphans += psutil.Process(run.pid).children(recursive=True)
        run.kill()
        run.communicate()
        assert goal <= ended(out) < POINTS, f"killed after {ended(out)} points"
    run_study(path, out)
    counts = collections.Counter(one.key for one in outcomes(out))
    assert len(counts) == POINTS
    assert set(counts.values()) == {1}
    run_study(path, folder / "whole")
    first, second = (results(of).drop(columns=[*TOOK]) for of in (out, folder / "whole"))
    pd.testing.assert_frame_equal(first, second)
    assert not psutil.wait_procs(orphans, timeout=20)[1], "a killed run left workers behind"


def test_a_worker_that_is_killed_is_replaced(folder: Path) -> None:
    path, out = study_file(folder, parameters=MANY), folder / "out"
    run = started(path, out, 1)
    wait_for(run, out, 10)
    (worker,) = [child for child in psutil.Process(run.pid).children() if "spawn_main" in " ".join(child.cmdline())]
    os.kill(worker.pid, signal.SIGKILL)
    run.communicate()
    assert run.returncode == 0
    counts = collections.Counter(one.key for one in outcomes(out))
    assert len(counts) == POINTS
    assert set(counts.values()) == {1}
    assert (results(out)["status"] == "done").all()


def test_an_interrupted_run_says_how_to_go_on(folder: Path) -> None:
    path, out = study_file(folder, parameters=MANY), folder / "out"
    run = started(path, out, 1)
    wait_for(run, out, 3)
    run.terminate()
    _, errors = run.communicate()
    assert run.returncode == 130
    assert "the same command goes on from there" in errors
    assert "Traceback" not in errors
    table = pd.read_parquet(out / "results.parquet")
    assert 3 <= len(table) == ended(out) < POINTS
