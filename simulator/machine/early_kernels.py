"""The first kernel tile of a layer, fetched while layers before still run."""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import simpy

from simulator.hardware.section import Operand
from simulator.machine.dram_port import Port
from simulator.machine.loader import Loader, OperandStream
from simulator.machine.occupancy import Occupancy

Ints = npt.NDArray[np.int64]


class EarlyKernels:
    """The kernels of a layer that is to come.

    Its first tile may take what the layers until then leave free of the kernel buffer, and only once the running layer
    has asked for all that it loads from DRAM: none of it waits for kernels of another layer. One tile, because its
    layer cannot begin without it: what a store of the running layer waits, the next layer no longer does. Further tiles
    would have come while their layer works, and would make it wait for its IFM instead. room_bytes: what the other
    operands' tiles leave to kernels in each of these layers.
    """

    def __init__(
        self, env: simpy.Environment, dram: Port, stream: OperandStream, prefetch: int, room_bytes: int
    ) -> None:
        self._env = env
        self._size = int(stream.tile_bytes[0])
        self._room = room_bytes
        self._free = 0
        self._begun = False
        self._waiting: tuple[int, simpy.Event] | None = None
        self._loader = Loader(env, dram, "kernel", stream, prefetch, gate=self)

    @property
    def there_bytes(self) -> Ints:
        """The sizes of the tiles that have taken their places."""
        return self._loader.stream.tile_bytes[: self._loader.entered]

    def admit(self, number: int) -> simpy.Event | None:
        """None where tile `number` may take its place now, or else the event after which it may."""
        if self._fits(number):
            return None
        event = self._env.event()
        self._waiting = number, event
        return event

    def follow(self, running: Mapping[Operand, Loader], held: Occupancy) -> None:
        """Tiles may come while another layer runs, the one with these loaders."""
        self._loader.note_in(held)
        self._free = 0
        asked = [(loader, _last_from_dram(loader)) for loader in running.values()]

        def changed() -> None:
            if all(loader.entered >= wanted for loader, wanted in asked):
                own = running.get("kernel")
                self._offer(self._room - (0 if own is None else int(own.stream.tile_bytes[own.left :].sum())))

        for loader in running.values():
            loader.changed = changed
        changed()

    def begin(self) -> Loader:
        """The layer begins: its loader goes on like any other."""
        self._begun = True
        self._offer(self._room)
        return self._loader

    def _offer(self, free_bytes: int) -> None:
        self._free = free_bytes
        if self._waiting is not None and self._fits(self._waiting[0]):
            _, event = self._waiting
            self._waiting = None
            event.succeed()

    def _fits(self, number: int) -> bool:
        return self._begun or (number == 0 and self._size <= self._free)


def _last_from_dram(loader: Loader) -> int:
    """How many tiles have entered once nothing is left to load from DRAM. Kernels count in any case: they need room."""
    durations = loader.stream.duration_ps
    return len(durations) if loader.name == "kernel" else int(np.flatnonzero(durations).max(initial=-1)) + 1
