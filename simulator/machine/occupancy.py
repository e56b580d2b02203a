"""What lies in the on-chip buffers at every instant, and that it fits."""

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import simpy

from simulator.hardware.buffer import Space
from simulator.hardware.section import OPERANDS, Operand

Ints = npt.NDArray[np.int64]


class Occupancy:
    """Tiles enter a buffer when their place is taken and leave it when nobody needs them any more, first in first out.

    An IFM or kernel tile is there from the moment its load may start until the array has finished with it, an OFM tile
    from its first psum to the end of its store. tile_bytes: the size of every tile of each operand, in the order in
    which they enter; spaces: the room there is. peak_bytes holds the most that each physical buffer ever held.
    """

    def __init__(
        self, env: simpy.Environment, layer: str, spaces: Sequence[Space], tile_bytes: Mapping[Operand, Ints]
    ) -> None:
        self._env = env
        self._layer = layer
        sizes = {operand: each.tolist() for operand, each in tile_bytes.items()}
        self._entering = {operand: iter(each) for operand, each in sizes.items()}
        self._leaving = {operand: iter(each) for operand, each in sizes.items()}
        self._space = {operand: space for space in spaces for operand in space.operands}
        self._in_space = dict.fromkeys(spaces, 0)
        self._in_buffer = dict.fromkeys(OPERANDS, 0)
        self.peak_bytes = dict.fromkeys(OPERANDS, 0)

    def enter(self, operand: Operand) -> None:
        """The operand's next tile takes its place. Raises AssertionError when there is none."""
        space = self._space.get(operand)
        if space is None:
            return
        size = next(self._entering[operand])
        self._in_space[space] += size
        if self._in_space[space] > space.capacity:
            raise AssertionError(
                f"layer '{self._layer}': at {int(self._env.now)} ps the tiles of {' and '.join(space.operands)} "
                f"take {self._in_space[space]} B, but {space.setting}"
            )
        self._in_buffer[space.home] += size
        self.peak_bytes[space.home] = max(self.peak_bytes[space.home], self._in_buffer[space.home])

    def leave(self, operand: Operand) -> None:
        """The operand's oldest tile gives up its place."""
        space = self._space.get(operand)
        if space is not None:
            size = next(self._leaving[operand])
            self._in_space[space] -= size
            self._in_buffer[space.home] -= size
