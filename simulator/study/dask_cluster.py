"""Workers of a Dask cluster, wherever they are: on this machine, or brought up by SLURM, LSF and others.

They load traces and fmapsim themselves, from file systems that they share with whoever runs the study.
"""

import contextlib
import importlib.util
from concurrent.futures import CancelledError
from typing import Any

from simulator.errors import InputError
from simulator.study.store import Outcome
from simulator.study.work import Task, perform_all
from simulator.study.workers import lost

TASKS_PER_THREAD = 2
"""One that runs, and one that waits at the worker."""

CONNECT_SECONDS = 30


class DaskWorkers:
    """The workers of the scheduler at an address such as tcp://node1:8786."""

    def __init__(self, address: str) -> None:
        if importlib.util.find_spec("distributed") is None:
            raise InputError("--scheduler needs dask.distributed: pip install 'fmapsim[study]'")
        self._address = address
        self._client: Any = None
        self._futures: dict[Any, Task] = {}

    def __enter__(self) -> "DaskWorkers":
        import distributed

        connect: Any = distributed.Client
        try:
            self._client = connect(self._address, timeout=CONNECT_SECONDS, set_as_default=False)
        except (OSError, ValueError, TypeError) as error:
            raise InputError(f"no Dask scheduler answers at {self._address} ({error})") from None
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(Exception):
            self._client.cancel(list(self._futures), force=True)
        self._futures.clear()
        with contextlib.suppress(Exception):
            self._client.close(timeout=10)

    def free(self) -> int:
        """Two tasks for every thread of every worker that there is now; one where there is none yet."""
        threads: int = sum(self._client.nthreads().values())
        return max(1, TASKS_PER_THREAD * threads) - len(self._futures)

    def submit(self, task: Task) -> None:
        """Hands the task to the scheduler, which gives it to another worker when one is lost."""
        self._futures[self._client.submit(perform_all, task, pure=False)] = task

    def wait(self) -> list[Outcome]:
        """What has come back. Raises InputError when the scheduler is gone or no worker can run the study."""
        import distributed

        wait: Any = distributed.wait
        found: list[Outcome] = []
        while self._futures and not found:
            with self._client.as_current():
                try:
                    finished = wait(list(self._futures), return_when="FIRST_COMPLETED").done
                except CancelledError as error:
                    raise self._mistake(error) from None
            for future in finished:
                # Where the worker that held a result is gone, the scheduler has it computed again.
                if future.status not in ("lost", "pending"):
                    found += self._outcomes(future, self._futures.pop(future))
        return found

    def _outcomes(self, future: Any, task: Task) -> list[Outcome]:
        from distributed import KilledWorker

        try:
            outcomes: list[Outcome] = future.result()
        except KilledWorker:
            if len(task.jobs) == 1:
                return [lost(task.jobs[0].key, "lost by the cluster")]
            for single in task.single():
                self.submit(single)
            return []
        except InputError:
            raise
        except Exception as error:
            raise self._mistake(error) from None
        return outcomes

    def _mistake(self, error: BaseException) -> InputError:
        reason = f"{type(error).__name__}: {error}"
        return InputError(f"the Dask cluster at {self._address} cannot go on ({reason}); run the same command again")
