"""Where tasks run: in this process, in processes beside it, or on a cluster."""

from typing import Protocol, Self

from simulator.study.store import Outcome
from simulator.study.work import Task, perform

ATTEMPTS = 3
"""How often a simulation may take its worker down with it before it counts as failed."""


class Workers(Protocol):
    """Takes tasks and hands out outcomes as they come. A context manager, which stops what still runs."""

    def __enter__(self) -> Self:
        """Starts them."""

    def __exit__(self, *_: object) -> None:
        """Stops them; what they were at is lost."""

    def free(self) -> int:
        """How many more tasks it would take now so that no worker idles."""

    def submit(self, task: Task) -> None:
        """Hands over a task."""

    def wait(self) -> list[Outcome]:
        """Outcomes that have come, one or more; empty when nothing is left to wait for.

        Raises InputError where no worker can go on.
        """


class ThisProcess:
    """No workers: each task runs when somebody waits for it."""

    def __init__(self) -> None:
        self._tasks: list[Task] = []

    def __enter__(self) -> "ThisProcess":
        return self

    def __exit__(self, *_: object) -> None:
        self._tasks.clear()

    def free(self) -> int:
        """One task at a time."""
        return 1 - len(self._tasks)

    def submit(self, task: Task) -> None:
        """Keeps the task until `wait`."""
        self._tasks.append(task)

    def wait(self) -> list[Outcome]:
        """Runs the next job."""
        if not self._tasks:
            return []
        first, *others = self._tasks.pop(0).single()
        self._tasks[:0] = others
        return list(perform(first))


def lost(key: str, why: str) -> Outcome:
    """The outcome of a simulation that took down every worker it was given to."""
    return Outcome(key, "failed", {}, f"its worker ended {ATTEMPTS} times ({why}): out of memory?")
