"""The same study on a Dask cluster: a scheduler and two workers in processes of their own, one of which is killed."""

import collections
import contextlib
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

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
def cluster() -> Iterator[tuple[str, list[subprocess.Popen[bytes]]]]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    address = f"tcp://127.0.0.1:{port}"
    python, quiet = [sys.executable, "-m"], {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    worker = [*python, "distributed.cli.dask_worker", address, "--nthreads", "1", "--no-nanny", "--no-dashboard"]
    lines = [[*python, "distributed.cli.dask_scheduler", "--port", str(port), "--no-dashboard"], worker, worker]
    processes = [subprocess.Popen(line, **quiet) for line in lines]  # type: ignore[call-overload]
    try:
        yield address, processes[1:]
    finally:
        for process in processes:
            process.kill()
            process.wait()


def test_a_cluster_that_loses_a_worker_finds_the_same(folder: Path) -> None:
    sizes = {"buffers.ifm.capacity": {"range": {"from": "64 KiB", "to": "100 KiB", "step": "4 KiB"}}}
    path = study_file(folder, accelerators=["systolic-256"], parameters=sizes)
    killed = threading.Event()
    with cluster() as (address, workers):

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


def test_no_scheduler_is_a_mistake(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("simulator.study.dask_cluster.CONNECT_SECONDS", 0.2)
    with (
        pytest.raises(InputError, match=r"no Dask scheduler answers at tcp://127\.0\.0\.1:9"),
        DaskWorkers("tcp://127.0.0.1:9"),
    ):
        pass
