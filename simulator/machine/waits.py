"""What the array of a layer waited for: noted while it runs, put down to the streams once it has."""

import numpy as np
import numpy.typing as npt
import simpy

from simulator.machine.dram_port import STREAMS, Port
from simulator.machine.watch import LayerWatch

Ints = npt.NDArray[np.int64]

_NUMBER = {stream: number for number, stream in enumerate(STREAMS)}


class Waits:
    """Waits, one after another: when each began and ended, how far the bus was then, and what the array waited for.

    A wait is put down to the streams that the bus served meanwhile; time in which it stood still, to what the array was
    waiting for.
    """

    def __init__(self, env: simpy.Environment, dram: Port) -> None:
        self._env, self._dram = env, dram
        self._times: list[float] = []
        self._marks: list[int] = []
        self._causes: list[str] = []

    def begin(self) -> None:
        """The array has to wait from now on."""
        self._times.append(self._env.now)
        self._marks += self._dram.mark()

    def end(self, cause: str) -> None:
        """It goes on; it waited for `cause`, one of STREAMS."""
        self.begin()
        self._causes.append(cause)

    def charged_ps(self, watch: LayerWatch | None = None) -> dict[str, int]:
        """Picoseconds put down to each of STREAMS, which add up to the time waited; `watch` is told of each part."""
        times = np.array(self._times, np.int64).reshape(-1, 2)
        marks = np.array(self._marks, np.int64).reshape(-1, 2, len(STREAMS))
        causes = np.array([_NUMBER[cause] for cause in self._causes], np.int64)
        waited = times[:, 1] - times[:, 0]
        shares = self._dram.served_ps(marks[:, 0], marks[:, 1])
        moved = shares.sum(axis=1)
        for wait in np.flatnonzero(moved > waited).tolist():  # rounded up, and to be kept within the wait
            shares[wait] = [share * int(waited[wait]) // int(moved[wait]) for share in shares[wait].tolist()]
        rest = waited - shares.sum(axis=1)
        if watch is not None:
            parts = zip(self._causes, times[:, 0].tolist(), shares.tolist(), rest.tolist(), strict=True)
            for cause, since, served, left in parts:
                for stream, share in zip(STREAMS, served, strict=True):
                    watch.waited(stream, since, share)
                watch.waited(cause, since, left)
        of_cause = [int(rest[causes == number].sum()) for number in range(len(STREAMS))]
        return {stream: int(shares[:, number].sum()) + of_cause[number] for stream, number in _NUMBER.items()}
