"""The first kernel tiles of layers, fetched while layers before still run."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import numpy.typing as npt
import simpy

from simulator.hardware.section import Operand
from simulator.machine.loader import Loader, OperandStream, Requests
from simulator.machine.occupancy import Occupancy
from simulator.machine.task import Go

Ints = npt.NDArray[np.int64]


class EarlyKernels:
    """The kernels of a layer that is to come: its first tile may come before, the others wait until it begins.

    One tile, because its layer cannot begin without it: what a store of the running layer waits, the next layer no
    longer does. Further tiles would have come while their layer works, and would make it wait for its IFM instead.
    """

    def __init__(self, env: simpy.Environment, dram: Requests, stream: OperandStream, prefetch: int) -> None:
        self.first_tile_bytes = int(stream.tile_bytes[0])
        self.single = int(stream.loads.sum()) == 1
        self.allowed = False
        self._begun = False
        self._waiting: Go | None = None
        self.loader = Loader(env, dram, "kernel", stream, prefetch, gate=self)
        self.loader.begin()

    def admit(self, number: int, go: Go) -> bool:
        """Whether tile `number` may take its place now; if not, `go` is called once it may."""
        if self._begun or (self.allowed and number == 0):
            return True
        self._waiting = go
        return False

    def allow(self) -> None:
        """The first tile may come."""
        self.allowed = True
        self._go_on()

    def begin(self) -> None:
        """The layer begins: its loader goes on like any other."""
        self.allowed = self._begun = True
        self._go_on()

    def _go_on(self) -> None:
        if self._waiting is not None:
            go, self._waiting = self._waiting, None
            go(None)


class KernelPrefetch:
    """Lets the first kernel tiles of later layers in while layer `index` runs: in their order, each once the running
    layer has asked for all that it loads from DRAM (none of it waits for kernels of another layer) and while every
    layer until its own has room for it beside its own kernels and the other tiles that came early.

    room_bytes: what the other operands' tiles leave to kernels in a layer; own_bytes: what its kernels take at most.
    """

    def __init__(
        self,
        index: int,
        coming: Mapping[int, EarlyKernels],
        room_bytes: Mapping[int, int],
        own_bytes: Mapping[int, int],
    ) -> None:
        self._index = index
        self._coming = coming
        self._room = room_bytes
        self._own = own_bytes

    @property
    def there_bytes(self) -> Ints:
        """The sizes of the tiles that have taken their places, in the order in which they did."""
        there = [early.first_tile_bytes for early in self._coming.values() if early.loader.entered]
        return np.array(there, np.int64)

    def follow(self, running: Mapping[Operand, Loader], held: Occupancy) -> None:
        """Tiles may come from now on, beside these loaders."""
        for early in self._coming.values():
            early.loader.note_in(held, early=True)
        asked = [(loader, _last_from_dram(loader)) for loader in running.values()]
        own = running.get("kernel")

        def changed() -> None:
            if all(loader.entered >= wanted for loader, wanted in asked):
                self._offer(0 if own is None else int(own.stream.tile_bytes[own.left :].sum()))

        for loader in running.values():
            loader.changed = changed
        changed()

    def _offer(self, own_left_bytes: int) -> None:
        for layer, early in self._coming.items():
            if early.allowed:
                continue
            if not self._fits(layer, early, own_left_bytes):
                return
            early.allow()

    def _fits(self, layer: int, early: EarlyKernels, own_left_bytes: int) -> bool:
        """Whether the tile fits in every layer until its own, with the tiles that each of them keeps for later ones."""
        for running, room in self._room.items():
            if running >= layer:
                continue
            kept = sum(of.first_tile_bytes for other, of in self._coming.items() if of.allowed and other > running)
            own = own_left_bytes if running == self._index else self._own[running]
            if own + kept + early.first_tile_bytes > room:
                return False
        return True


def prefetch_order(
    candidates: Sequence[int], single: Callable[[int], bool], known: Callable[[int], bool], most: int
) -> list[int]:
    """The layers among candidates (with kernels, in order) whose first kernel tile may come early.

    At most `most`; none behind one that does not know its kernels before it begins, or that has further tiles to fetch.
    """
    order: list[int] = []
    for layer in candidates[:most]:
        if not known(layer):
            break
        order.append(layer)
        if not single(layer):
            break
    return order


def _last_from_dram(loader: Loader) -> int:
    """How many tiles have entered once nothing is left to load from DRAM. Kernels count in any case: they need room."""
    durations = loader.stream.duration_ps
    return len(durations) if loader.name == "kernel" else int(np.flatnonzero(durations).max(initial=-1)) + 1
