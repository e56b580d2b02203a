"""What the event loop is made of: tasks that hand the turn to each other, and alarms, the only events they need.

A task is a generator. It goes on until it has to wait, says with whom (`Slots.take`, an alarm, a DRAM request) that
its `go` is to be called, and yields. A SimPy process does the same with an event, a place in SimPy's queue and a turn
of its loop for each wait; most waits here end at the instant at which another task gives something away, and that can
call.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Generator
from typing import Any

import simpy

Go = Callable[[Any], None]
"""Lets a task go on; the argument means nothing."""

Steps = Generator[None, Any, None]


class Task(ABC):
    """Something that happens step by step, in `_run`. `go` lets it go on: hand it to whatever the task waits for.

    The last thing that `_run` does is to yield: the generator of one that returned would raise StopIteration in whoever
    called `go` last.
    """

    go: Go

    def begin(self) -> None:
        """Runs the task up to where it first has to wait."""
        steps = self._run()
        self.go = steps.send
        steps.send(None)

    @abstractmethod
    def _run(self) -> Steps:
        """What the task does."""


class Alarm(simpy.Event):
    """Calls `then` after a delay: a SimPy timeout with one callback from the start."""

    _ok, _value = True, None

    def __init__(self, env: simpy.Environment, delay_ps: int, then: Go) -> None:
        self.env = env
        self.callbacks = [then]
        env.schedule(self, delay=delay_ps)


class Slots:
    """Counted permits, like the free places of a car park: `take` one, `give` one back. One task at a time may wait."""

    __slots__ = ("_count", "_waiting")

    def __init__(self, count: int = 0) -> None:
        self._count = count
        self._waiting: Go | None = None

    def take(self, go: Go) -> bool:
        """Takes a permit and returns True, or returns False and calls `go` when there is one, which is taken then."""
        if self._count:
            self._count -= 1
            return True
        self._waiting = go
        return False

    def give(self, _: object = None) -> None:
        """Hands a permit to whoever waits, or keeps it."""
        if self._waiting is None:
            self._count += 1
        else:
            go, self._waiting = self._waiting, None
            go(None)
