"""The way to DRAM in the event loop: one bus with a bandwidth, or a memory system played command by command."""

import math
from collections import deque
from collections.abc import Mapping
from typing import TYPE_CHECKING, Union

import numpy as np
import numpy.typing as npt
import simpy

from simulator.hardware.accelerator import Accelerator
from simulator.machine.dram_use import DramUse

if TYPE_CHECKING:
    from simulator.machine.memory_port import MemoryPort

Ints = npt.NDArray[np.int64]
Runs = tuple[Ints, Ints]


class Bus:
    """A data bus that streams share evenly: requests of different streams are served side by side, each at its part of
    the bandwidth, as a round-robin of small pieces comes to; those of one stream follow each other.

    It knows how much it has served each stream at any time up to now, so that waiting can be put down to what it
    waited for.
    """

    def __init__(self, env: simpy.Environment) -> None:
        self._env = env
        self._queues: dict[str, deque[_Request]] = {}
        self._served_ps: dict[str, float] = {}
        self._updated_ps: float = 0
        self._generation = 0
        self._when_due = self._wake

    @property
    def busy_ps(self) -> int:
        """Picoseconds for which data has moved until now."""
        self._advance()
        return sum(round(served) for served in self._served_ps.values())

    def start(self, stream: str, duration_ps: int, runs: Runs | None = None) -> simpy.Event | None:
        """Hands over a request and returns the event of its end, None where that is now.

        A request that moves nothing waits for nobody.
        """
        if not duration_ps:
            return None
        self._advance()
        request = _Request(self._env, float(duration_ps))
        if stream in self._queues:
            self._queues[stream].append(request)
        else:
            self._queues[stream] = deque((request,))
            self._served_ps.setdefault(stream, 0.0)
        self._plan()
        return request

    def use(self, *, drained: bool) -> DramUse | None:
        """None: a bus knows no commands."""
        return None

    def mark(self) -> dict[str, float]:
        """Picoseconds for which the bus has served each stream until now."""
        self._advance()
        return self._served_ps.copy()

    def since(self, mark: Mapping[str, float]) -> dict[str, int]:
        """Whole picoseconds for which the bus has served each stream since `mark`; streams that it did not serve may be
        missing."""
        self._advance()
        return {stream: round(until) - round(mark.get(stream, 0.0)) for stream, until in self._served_ps.items()}

    def _advance(self) -> None:
        """Serves the streams up to now."""
        if self._env.now != self._updated_ps:
            for request in self._served_until_now():
                request.succeed()

    def _served_until_now(self) -> list["_Request"]:
        """Serves the streams up to now and returns the requests that this ends."""
        ended: list[_Request] = []
        now = self._env.now
        passed = now - self._updated_ps
        queues = self._queues
        if not passed or not queues:
            self._updated_ps = now
            return ended
        self._updated_ps = now
        share, served_ps = passed / len(queues), self._served_ps
        for stream, queue in queues.items():
            head = queue[0]
            left = head.left_ps
            if share < left:
                served_ps[stream] += share
                left -= share
            else:
                served_ps[stream] += left
                left = 0.0
            head.left_ps = left
            if left < _FINISHED_PS:
                served_ps[stream] += left
                ended.append(queue.popleft())
        if ended:
            self._queues = {stream: queue for stream, queue in queues.items() if queue}
        return ended

    def _plan(self) -> None:
        """Looks again when the next request ends, if nothing comes before that."""
        self._generation += 1
        queues = self._queues
        if not queues:
            return
        least = min([queue[0].left_ps for queue in queues.values()])
        delay = math.ceil(least * len(queues) - _FINISHED_PS)
        wake = simpy.Timeout(self._env, delay if delay > 1 else 1, self._generation)
        assert wake.callbacks is not None
        wake.callbacks.append(self._when_due)

    def _wake(self, event: simpy.Event) -> None:
        if event.value != self._generation:
            return
        ended, planned = self._served_until_now(), self._generation
        # Where nothing else waits for its turn at this instant, the end of a request need not queue up behind it.
        alone = self._env.peek() > self._env.now
        for request in ended:
            if alone:
                request.happen()
            else:
                request.succeed()
        if self._generation == planned:  # what goes on has asked for nothing yet
            self._plan()


class _Request(simpy.Event):
    """The end of a request, and what is left of it until then, in picoseconds of the whole bus."""

    def __init__(self, env: simpy.Environment, left_ps: float) -> None:
        super().__init__(env)
        self.left_ps = left_ps

    def happen(self) -> None:
        """Goes on at once with what waits for it: `succeed` without a turn in the queue of events."""
        self._ok, self._value = True, None
        callbacks, self.callbacks = self.callbacks, None  # type: ignore[assignment]
        for callback in callbacks:
            callback(self)


_FINISHED_PS = 1e-3
"""Less than that is left by the rounding of floating-point numbers alone. Ends are rounded up to whole picoseconds, so
that a request never ends before all of it has moved."""


Port = Union[Bus, "MemoryPort"]


def dram_port(env: simpy.Environment, accelerator: Accelerator) -> Port:
    """The way to the accelerator's DRAM."""
    if accelerator.dram.device is None:
        return Bus(env)
    from simulator.machine.memory_port import MemoryPort

    return MemoryPort(env, accelerator)
