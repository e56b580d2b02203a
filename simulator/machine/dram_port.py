"""The way to DRAM in the event loop: one bus with a bandwidth, or a memory system played command by command."""

from collections import deque
from collections.abc import Generator
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
    """A data bus: one request at a time, in the order in which they are made.

    It knows whose request it served at any time up to now, so that waiting can be put down to what it waited for.
    """

    def __init__(self, env: simpy.Environment) -> None:
        self._env = env
        self._free_at_ps = 0
        self._booked: deque[tuple[int, int, str]] = deque()
        self._served_ps: dict[str, int] = {}

    @property
    def busy_ps(self) -> int:
        """Picoseconds for which data has moved until now."""
        return sum(self.served_ps().values())

    def start(self, stream: str, duration_ps: int, runs: Runs | None = None) -> simpy.Event | None:
        """Books the bus for a request and returns the event of its end, None where that is now.

        A request that moves nothing waits for nobody.
        """
        if not duration_ps:
            return None
        start = max(self._free_at_ps, int(self._env.now))
        self._free_at_ps = start + duration_ps
        self._booked.append((start, self._free_at_ps, stream))
        return self._env.timeout(self._free_at_ps - int(self._env.now))

    def transfer(self, stream: str, duration_ps: int, runs: Runs | None = None) -> Generator[simpy.Event, Any, None]:
        """Waits until the bus is free and the request of `stream` has been served."""
        if (end := self.start(stream, duration_ps)) is not None:
            yield end

    def use(self, *, drained: bool) -> DramUse | None:
        """None: a bus knows no commands."""
        return None

    def served_ps(self) -> dict[str, int]:
        """Picoseconds for which the bus has served each stream until now."""
        now = int(self._env.now)
        while self._booked and self._booked[0][1] <= now:
            start, end, stream = self._booked.popleft()
            self._served_ps[stream] = self._served_ps.get(stream, 0) + end - start
        served = dict(self._served_ps)
        if self._booked and self._booked[0][0] < now:
            start, _, stream = self._booked[0]
            served[stream] = served.get(stream, 0) + now - start
        return served


Port = Union[Bus, "MemoryPort"]


def dram_port(env: simpy.Environment, accelerator: Accelerator) -> Port:
    """The way to the accelerator's DRAM."""
    if accelerator.dram.device is None:
        return Bus(env)
    from simulator.machine.memory_port import MemoryPort

    return MemoryPort(env, accelerator)
