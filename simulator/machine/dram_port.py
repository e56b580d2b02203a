"""The way to DRAM in the event loop: one bus with a bandwidth, or a memory system played command by command."""

import math
from collections import deque
from collections.abc import Sequence
from typing import TYPE_CHECKING, Union

import numpy as np
import numpy.typing as npt
import simpy

from simulator.hardware.accelerator import Accelerator
from simulator.machine.dram_use import DramUse
from simulator.machine.task import Alarm, Go

if TYPE_CHECKING:
    from simulator.machine.memory_port import MemoryPort

Ints = npt.NDArray[np.int64]
Runs = tuple[Ints, Ints]
STREAMS: tuple[str, ...] = ("ifm", "kernel", "psum", "ofm")

_PARTS = 12
"""A bus counts in twelfths of a picosecond: one, two, three or four streams divide them evenly, so that nothing is ever
rounded but the instants at which requests end, up to whole picoseconds."""
assert _PARTS % math.lcm(*range(1, len(STREAMS) + 1)) == 0


class Bus:
    """A data bus that streams share evenly: requests of different streams are served side by side, each at its part of
    the bandwidth, as a round-robin of small pieces comes to; those of one stream follow each other.

    It knows how much it has served each stream at any time up to now, so that waiting can be put down to what it
    waited for. As all streams at work are served alike, one number says how far: `_served`, what a stream that had
    been at work all the time would have had. A request ends when this has gone up by as much as the request takes
    (A. Demers, S. Keshav and S. Shenker, "Analysis and simulation of a fair queueing algorithm", 1989).
    """

    def __init__(self, env: simpy.Environment) -> None:
        self._env = env
        self._streams = {name: _Stream() for name in STREAMS}
        self._each = tuple(self._streams.values())
        self._at_work: list[_Stream] = []
        self._served = 0
        self._updated_ps = 0
        self._next: Alarm | None = None
        self._due_ps = 0
        self._waking = False

    @property
    def busy_ps(self) -> int:
        """Picoseconds for which data has moved until now."""
        return sum(self.mark()) // _PARTS

    def start(self, stream: str, duration_ps: int, runs: Runs | None, then: Go) -> bool:
        """Hands over a request and calls `then` at its end; False, and no call, where that is now.

        A request that moves nothing waits for nobody.
        """
        if not duration_ps:
            return False
        asking = self._streams[stream]
        queue = asking.queue
        queue.append((_PARTS * duration_ps, then))
        if len(queue) == 1:
            asking.begin(self._served_now())
            self._at_work.append(asking)
            if not self._waking:
                self._plan()
        return True

    def use(self, *, drained: bool) -> DramUse | None:
        """None: a bus knows no commands."""
        return None

    def mark(self) -> Sequence[int]:
        """How much the bus has served each stream until now; for `served_ps`."""
        served = self._served_now()
        return [
            stream.before + (served if served < stream.end else stream.end) if stream.queue else stream.done
            for stream in self._each
        ]

    def served_ps(self, before: Ints, after: Ints) -> Ints:
        """Whole picoseconds for which the bus has served each of STREAMS between two marks, or many."""
        return (after - before) // _PARTS

    def _served_now(self) -> int:
        """Serves the streams up to now. What ends now is left to the bus's own turn at this instant."""
        now = int(self._env.now)
        if now != self._updated_ps:
            if at_work := self._at_work:
                self._served += (now - self._updated_ps) * _PARTS // len(at_work)
            self._updated_ps = now
        return self._served

    def _plan(self) -> None:
        """Looks again when the next request ends. Where more streams delay that, the look planned before is in vain."""
        at_work = self._at_work
        end = at_work[0].end
        for stream in at_work:
            if stream.end < end:
                end = stream.end
        after_ps = max(0, -((self._served - end) * len(at_work) // _PARTS))  # 0: what ends now, in the bus's own turn
        due_ps = self._updated_ps + after_ps
        if self._next is None or due_ps < self._due_ps:
            self._due_ps = due_ps
            self._next = Alarm(self._env, after_ps, self._wake)

    def _wake(self, alarm: simpy.Event) -> None:
        if alarm is not self._next:
            return
        at_work = self._at_work
        served = self._served + (self._due_ps - self._updated_ps) * _PARTS // len(at_work)
        self._served, self._updated_ps = served, self._due_ps
        told = [stream.finish(served) for stream in at_work if stream.end <= served]
        if told:
            self._waking = True  # what goes on may ask for more, which is planned for below
            self._at_work = [stream for stream in at_work if stream.queue]
            for then in told:
                then(None)
            self._waking = False
        self._next = None
        if self._at_work:
            self._plan()


class _Stream:
    """Requests of one stream, each with what it takes, the first of them under way until `end`.

    done: what those before took; before: that, less what the bus had served when the first began.
    """

    __slots__ = ("before", "done", "end", "queue")

    def __init__(self) -> None:
        self.queue: deque[tuple[int, Go]] = deque()
        self.done = self.before = self.end = 0

    def begin(self, served: int) -> None:
        """The first request is under way."""
        self.before = self.done - served
        self.end = served + self.queue[0][0]

    def finish(self, served: int) -> Go:
        """The first request has ended, the next is under way. Returns whom to tell."""
        size, then = self.queue.popleft()
        self.done += size
        if self.queue:
            self.begin(served)
        return then


Port = Union[Bus, "MemoryPort"]


def dram_port(env: simpy.Environment, accelerator: Accelerator) -> Port:
    """The way to the accelerator's DRAM."""
    if accelerator.dram.device is None:
        return Bus(env)
    from simulator.machine.memory_port import MemoryPort

    return MemoryPort(env, accelerator)
