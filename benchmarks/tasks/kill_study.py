"""Kills a study of 500 points again and again, and compares what it found with an undisturbed run.

Arguments: how many kills, a seed, and `local` or `dask`. Local: the process that runs the study is killed (SIGKILL) at
random moments and started again. Dask: a scheduler and two workers, each a process of its own; one worker is killed
half-way, and the study goes on with the other. Prints JSON; exits with 1 where a point is missing, there twice or
different.
"""

import collections
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pandas as pd

import simulator
from benchmarks.process import ROOT
from simulator.study.folder import TOOK
from simulator.study.store import journals, outcomes

STUDY = """
name: killed
traces: [stem.trace.safetensors, middle.trace.safetensors]
accelerators: [eyeriss, systolic-256]
parameters:
  buffers.ifm.capacity: {range: {from: 104 KiB, to: 200 KiB, step: 4 KiB}}
  dram.bandwidth: [0.5 GB/s, 1 GB/s, 2 GB/s, 4 GB/s, 8 GB/s]
"""
POINTS = 500


def main() -> None:
    kills, seed, where = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        study = folder / "study.yaml"
        study.write_text(STUDY, encoding="utf-8")
        layers = simulator.network_trace("cifar_resnet20").layers
        for part, count in {"stem": 6, "middle": 12}.items():
            simulator.trace_from_layers(part, layers[:count]).save(folder / part)
        start = time.monotonic()
        subprocess.run(command(study, folder / "whole", "--workers", "2"), check=True, stdout=subprocess.DEVNULL)
        undisturbed = time.monotonic() - start
        start = time.monotonic()
        killed = (
            on_dask(study, folder / "killed") if where == "dask" else locally(study, folder / "killed", kills, seed)
        )
        found = compared(folder / "whole", folder / "killed")
        found |= {"killed_at_points": killed, "undisturbed_s": undisturbed, "disturbed_s": time.monotonic() - start}
    print(json.dumps(found))
    good = found["points"] == found["results"] == POINTS and not (found["twice"] or found["different"])
    sys.exit(0 if good else 1)


def command(study: Path, out: Path, *options: str) -> list[str]:
    return [sys.executable, "-m", "simulator", "study", "run", str(study), "--out", str(out), "--no-figures", *options]


def locally(study: Path, out: Path, kills: int, seed: int) -> list[int]:
    """Kills at random moments, as far apart as leaves points for all of them; returns how many had ended at each."""
    chance, killed = random.Random(seed), []
    for _ in range(kills):
        already = ended(out)
        run = subprocess.Popen(command(study, out, "--workers", "2"), stderr=subprocess.DEVNULL)
        goal = already + chance.randint(1, 2 * POINTS // (kills + 1) - 10)
        while run.poll() is None and ended(out) < min(goal, POINTS - 5):
            time.sleep(chance.uniform(0.01, 0.3))
        run.send_signal(signal.SIGKILL)
        run.wait()
        killed.append(ended(out))
    subprocess.run(command(study, out, "--workers", "2"), check=True, stdout=subprocess.DEVNULL)
    return killed


def on_dask(study: Path, out: Path) -> list[int]:
    """A cluster of three processes; one of its two workers is killed when half the points have ended."""
    address = "tcp://127.0.0.1:18786"
    python = [sys.executable, "-m"]
    scheduler = [*python, "distributed.cli.dask_scheduler", "--port", "18786", "--no-dashboard"]
    worker = [*python, "distributed.cli.dask_worker", address, "--nthreads", "1", "--no-nanny", "--no-dashboard"]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "cwd": ROOT}
    cluster = [subprocess.Popen(line, **quiet) for line in (scheduler, worker, worker)]  # type: ignore[call-overload]
    try:
        run = subprocess.Popen(command(study, out, "--scheduler", address))
        while run.poll() is None and ended(out) < POINTS // 2:
            time.sleep(0.1)
        os.kill(cluster[1].pid, signal.SIGKILL)
        killed = [ended(out)]
        assert run.wait() == 0
    finally:
        for process in cluster:
            process.kill()
    return killed


def ended(out: Path) -> int:
    """Lines in all journals."""
    return sum(path.read_bytes().count(b"\n") for path in journals(out)) if out.is_dir() else 0


def compared(whole: Path, killed: Path) -> dict[str, object]:
    """How the results of both runs differ, but for the time that points took."""
    first, second = (pd.read_parquet(folder / "results.parquet").drop(columns=[*TOOK]) for folder in (whole, killed))
    counts = collections.Counter(outcome.key for outcome in outcomes(killed))
    different = 0 if first.equals(second) else int((first.astype(str) != second.astype(str)).any(axis=1).sum()) or 1
    return {
        "points": len(pd.read_parquet(killed / "points.parquet")),
        "results": len(second),
        "failed": int((second["status"] == "failed").sum()),
        "twice": sum(count > 1 for count in counts.values()),
        "different": different,
    }


if __name__ == "__main__":
    main()
