"""The same study on a Dask cluster: a scheduler and two workers in processes of their own, one of which is killed."""

import collections
import contextlib
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from study_inputs import study_file

from simulator.errors import InputError
from simulator.study.dask_cluster import DaskWorkers
from simulator.study.folder import TOOK, results
from simulator.study.run import run_study
from simulator.study.store import outcomes

pytest.importorskip("distributed")


@contextlib.contextmanager
def cluster() -> Iterator[tuple[Any, ...]]:
    """Gives the address, the scheduler and two workers."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    address = f"tcp://127.0.0.1:{port}"
    python, quiet = [sys.executable, "-m"], {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    worker = [*python, "distributed.cli.dask_worker", address, "--nthreads", "1", "--no-nanny", "--no-dashboard"]
    lines = [[*python, "distributed.cli.dask_scheduler", "--port", str(port), "--no-dashboard"], worker, worker]
    processes = [subprocess.Popen(line, **quiet) for line in lines]  # type: ignore[call-overload]
    try:
        yield address, *processes
    finally:
        for process in processes:
            process.kill()
            process.wait()


def test_a_cluster_that_loses_a_worker_finds_the_same(folder: Path) -> None:
    sizes = {"buffers.ifm.capacity": {"range": {"from": "64 KiB", "to": "100 KiB", "step": "4 KiB"}}}
    path = study_file(folder, accelerators=["systolic-256"], parameters=sizes)
    killed = threading.Event()
    with cluster() as (address, _, *workers):

        def kill_one(done: int, total: int) -> None:
            assert total == 40
            if done >= 10 and not killed.is_set():
                workers[0].kill()
                killed.set()

        summary = run_study(path, folder / "out", scheduler=address, progress=kill_one)
    assert killed.is_set()
    assert (summary.done, summary.failed, summary.ran) == (40, 0, 40)
    counts = collections.Counter(one.key for one in outcomes(folder / "out"))
    assert set(counts.values()) == {1}
    run_study(path, folder / "here")
    first, second = (results(folder / of).drop(columns=[*TOOK]) for of in ("out", "here"))
    pd.testing.assert_frame_equal(first, second)


def test_results_lost_with_their_worker_are_computed_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("simulator.study.dask_cluster.perform_all", list)
    tasks: list[Any] = [(number,) for number in range(8)]
    with cluster() as (address, _, *workers), DaskWorkers(address) as running:
        running._client.wait_for_workers(2, timeout=30)
        for task in tasks:
            running.submit(task)
        futures = list(running._futures)
        until = time.monotonic() + 30
        while not all(future.done() for future in futures) and time.monotonic() < until:
            time.sleep(0.01)
        # The other worker stands still until the scheduler has noticed that one is gone.
        workers[1].send_signal(signal.SIGSTOP)
        workers[0].kill()
        until = time.monotonic() + 30
        while not any(future.status == "lost" for future in futures) and time.monotonic() < until:
            time.sleep(0.01)
        lost = [future for future in futures if future.status == "lost"]
        workers[1].send_signal(signal.SIGCONT)
        found: list[Any] = []
        while len(found) < len(tasks):
            found += running.wait()
    assert lost
    assert sorted(found) == list(range(8))


def test_a_scheduler_that_is_gone_is_a_mistake(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("simulator.study.dask_cluster.perform_all", time.sleep)
    with cluster() as (address, scheduler, *_), DaskWorkers(address) as running:
        running._client.wait_for_workers(2, timeout=30)
        running.submit(60)  # type: ignore[arg-type]
        scheduler.kill()
        with pytest.raises(InputError, match=rf"the Dask cluster at {address} cannot go on"):
            running.wait()


def test_no_scheduler_is_a_mistake(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("simulator.study.dask_cluster.CONNECT_SECONDS", 0.2)
    with (
        pytest.raises(InputError, match=r"no Dask scheduler answers at tcp://127\.0\.0\.1:9"),
        DaskWorkers("tcp://127.0.0.1:9"),
    ):
        pass
