"""Notes of what happens when in a layer, for a timeline. Nothing here runs unless somebody asks for one."""

from collections import defaultdict
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import simpy

from simulator.hardware.section import Operand
from simulator.machine.dram_port import Runs
from simulator.machine.loader import Requests
from simulator.machine.task import Go

Ints = npt.NDArray[np.int64]


@dataclass
class Times:
    """When requests were asked for and when they had been served, in picoseconds, in the order of asking."""

    asked: list[int] = field(default_factory=list)
    served: list[int] = field(default_factory=list)


class Tap:
    """A way to DRAM that passes every request on and notes when it came and when it ended, by stream."""

    def __init__(self, env: simpy.Environment, dram: Requests) -> None:
        self._env = env
        self._dram = dram
        self.times: defaultdict[str, Times] = defaultdict(Times)

    def start(self, stream: str, duration_ps: int, runs: Runs | None, then: Go) -> bool:
        """Hands over a request and calls `then` at its end; False, and no call, where it moves nothing."""
        times, number = self.times[stream], len(self.times[stream].asked)
        times.asked.append(int(self._env.now))
        times.served.append(int(self._env.now))

        def ended(_: object) -> None:
            times.served[number] = int(self._env.now)
            then(None)

        return self._dram.start(stream, duration_ps, runs, ended)


class LayerWatch:
    """What one layer asks of DRAM, what its array waits for, and what lies in the buffers.

    loading: for its loaders, leaving: for its writer, restoring: for the array, which fetches psums.
    """

    def __init__(self, env: simpy.Environment, dram: Requests) -> None:
        self.loading, self.leaving, self.restoring = (Tap(env, dram) for _ in range(3))
        self.waits: list[tuple[str, int, int]] = []
        self.in_buffers: dict[Operand, tuple[Ints, Ints]] = {}

    def waited(self, cause: str, since_ps: int, duration_ps: int) -> None:
        """Of a wait that began at `since_ps`, so much is put down to `cause`."""
        if duration_ps:
            self.waits.append((cause, since_ps, duration_ps))
