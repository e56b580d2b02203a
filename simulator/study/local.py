"""Worker processes on this machine. Each has a pipe; whichever end dies, the other one notices.

A worker that dies takes its task with it, and the task goes to a new worker. A killed study leaves no workers behind:
their pipes close, and they end with the simulation that they are at.
"""

import contextlib
import multiprocessing
import os
import signal
from collections import deque
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess

from simulator.errors import InputError
from simulator.study.store import Outcome
from simulator.study.work import Task, perform
from simulator.study.workers import ATTEMPTS, lost

TASKS_PER_PROCESS = 400
"""Tasks after which a process makes room for a new one, so that what libraries keep does not add up."""

_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


@dataclass
class _Worker:
    process: BaseProcess
    pipe: Connection
    task: Task | None = None
    left: list[str] = field(default_factory=list)
    """Keys of its task's jobs that have not come back."""
    tasks: int = 0


class LocalWorkers:
    """So many processes. Not forked: threads of numerical libraries do not survive that."""

    def __init__(self, count: int) -> None:
        self._context = multiprocessing.get_context("spawn")
        self._count = count
        self._workers: list[_Worker] = []
        self._waiting: deque[Task] = deque()
        self._deaths: dict[str, int] = {}

    def __enter__(self) -> "LocalWorkers":
        return self

    def __exit__(self, *_: object) -> None:
        for worker in self._workers:
            worker.process.terminate()
        for worker in self._workers:
            worker.process.join()
            worker.pipe.close()
        self._workers = []

    def _started(self) -> _Worker:
        ours, theirs = self._context.Pipe()
        process = self._context.Process(target=_serve, args=(theirs,), daemon=True)
        with _one_thread_each():
            process.start()
        theirs.close()
        return _Worker(process, ours)

    def free(self) -> int:
        """A task for every process that is idle or not started yet."""
        return self._count - sum(worker.task is not None for worker in self._workers) - len(self._waiting)

    def submit(self, task: Task) -> None:
        """Gives the task to an idle process, or keeps it for the next one that is."""
        self._waiting.append(task)
        self._hand_out()

    def wait(self) -> list[Outcome]:
        """What has come back. Raises InputError when a worker says that it cannot go on."""
        self._hand_out()
        busy = {worker.pipe: worker for worker in self._workers if worker.task is not None}
        if not busy:
            return []
        found: list[Outcome] = []
        for pipe in wait(list(busy)):
            worker = busy[pipe]  # type: ignore[index]
            try:
                message = worker.pipe.recv()
            except (EOFError, OSError):
                found += self._bury(worker)
                continue
            if isinstance(message, InputError):
                raise message
            found.append(message)
            worker.left.remove(message.key)
            if not worker.left:
                self._idle(worker)
        self._hand_out()
        return found or self.wait()

    def _hand_out(self) -> None:
        while self._waiting:
            worker = next((worker for worker in self._workers if worker.task is None), None)
            if worker is None:
                if len(self._workers) == self._count:
                    return
                worker = self._started()
                self._workers.append(worker)
            worker.task = self._waiting.popleft()
            worker.left = [job.key for job in worker.task.jobs]
            worker.tasks += 1
            with contextlib.suppress(OSError):  # it has died: reading from it says so
                worker.pipe.send(worker.task)

    def _idle(self, worker: _Worker) -> None:
        worker.task = None
        if worker.tasks >= TASKS_PER_PROCESS:
            self._retire(worker)

    def _retire(self, worker: _Worker) -> None:
        worker.pipe.close()
        worker.process.join()
        self._workers.remove(worker)

    def _bury(self, worker: _Worker) -> list[Outcome]:
        """Forgets a dead worker. What it had not finished runs again, but for the job that it died of too often."""
        assert worker.task is not None
        unfinished = [task for task in worker.task.single() if task.jobs[0].key in worker.left]
        self._retire(worker)
        died_of = worker.left[0]
        self._deaths[died_of] = self._deaths.get(died_of, 0) + 1
        failed = []
        if self._deaths[died_of] >= ATTEMPTS:
            unfinished.pop(0)
            failed = [lost(died_of, _how(worker.process.exitcode))]
        self._waiting.extendleft(reversed(unfinished))
        return failed


def _how(exit_code: int | None) -> str:
    return f"signal {-exit_code}" if exit_code is not None and exit_code < 0 else f"exit status {exit_code}"


@contextlib.contextmanager
def _one_thread_each():  # type: ignore[no-untyped-def]
    """Processes that share the cores do not start threads of their own for linear algebra, unless the user says so."""
    before = {name: os.environ.get(name) for name in _THREADS}
    os.environ.update({name: value or "1" for name, value in before.items()})
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]


def _serve(pipe: Connection) -> None:
    """A worker process: outcomes of one task after another, until the other end of the pipe closes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the process that collects the results decides
    with contextlib.suppress(EOFError, OSError):
        while True:
            task = pipe.recv()
            try:
                for outcome in perform(task):
                    pipe.send(outcome)
            except InputError as error:
                pipe.send(error)
