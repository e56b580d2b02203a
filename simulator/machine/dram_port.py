"""The way to DRAM in the event loop: one bus with a bandwidth, or a memory system played command by command."""

import math
from collections import deque
from collections.abc import Generator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Union

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
        self._updated_ps = 0
        self._generation = 0

    @property
    def busy_ps(self) -> int:
        """Picoseconds for which data has moved until now."""
        return sum(self.served_ps().values())

    def start(self, stream: str, duration_ps: int, runs: Runs | None = None) -> simpy.Event | None:
        """Hands over a request and returns the event of its end, None where that is now.

        A request that moves nothing waits for nobody.
        """
        if not duration_ps:
            return None
        self._advance()
        request = _Request(float(duration_ps), self._env.event())
        self._queues.setdefault(stream, deque()).append(request)
        self._plan()
        return request.end

    def transfer(self, stream: str, duration_ps: int, runs: Runs | None = None) -> Generator[simpy.Event, Any, None]:
        """Waits until the request of `stream` has been served."""
        if (end := self.start(stream, duration_ps)) is not None:
            yield end

    def use(self, *, drained: bool) -> DramUse | None:
        """None: a bus knows no commands."""
        return None

    def served_ps(self) -> dict[str, int]:
        """Picoseconds for which the bus has served each stream until now."""
        self._advance()
        return {stream: round(served) for stream, served in self._served_ps.items()}

    def _advance(self) -> None:
        """Serves the streams up to now."""
        now = int(self._env.now)
        passed, self._updated_ps = now - self._updated_ps, now
        if not passed or not self._queues:
            return
        share = passed / len(self._queues)
        for stream in list(self._queues):
            queue = self._queues[stream]
            head = queue[0]
            served = min(share, head.left_ps)
            head.left_ps -= served
            self._served_ps[stream] = self._served_ps.get(stream, 0.0) + served
            if head.left_ps < _FINISHED_PS:
                self._served_ps[stream] += head.left_ps
                queue.popleft().end.succeed()
                if not queue:
                    del self._queues[stream]

    def _plan(self) -> None:
        """Looks again when the next request ends, if nothing comes before that."""
        self._generation += 1
        if not self._queues:
            return
        least = min(queue[0].left_ps for queue in self._queues.values())
        wake = self._env.timeout(max(1, math.ceil(least * len(self._queues) - _FINISHED_PS)), value=self._generation)
        assert wake.callbacks is not None
        wake.callbacks.append(self._wake)

    def _wake(self, event: simpy.Event) -> None:
        if event.value == self._generation:
            self._advance()
            self._plan()


@dataclass
class _Request:
    """What is left of a request, in picoseconds of the whole bus."""

    left_ps: float
    end: simpy.Event


_FINISHED_PS = 0.5
"""Less than that is left by rounding alone."""


Port = Union[Bus, "MemoryPort"]


def dram_port(env: simpy.Environment, accelerator: Accelerator) -> Port:
    """The way to the accelerator's DRAM."""
    if accelerator.dram.device is None:
        return Bus(env)
    from simulator.machine.memory_port import MemoryPort

    return MemoryPort(env, accelerator)
