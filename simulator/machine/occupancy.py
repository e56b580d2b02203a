"""What lies in the on-chip buffers at every instant, and that it fits."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import numpy.typing as npt
import simpy

from simulator.hardware.buffer import Space
from simulator.hardware.section import OPERANDS, Operand

Ints = npt.NDArray[np.int64]

_CODES = 8
_EARLY = 3


class Occupancy:
    """Tiles enter a buffer when their place is taken and leave it when nobody needs them any more, first in first out.

    An IFM or kernel tile is there from the moment its load may start until the array has finished with it, an OFM tile
    from its first psum to the end of its store. Events only leave a note, time · 8 + code, behind: code 0 to 2 when a
    tile of an operand enters, 3 when kernels of a later layer do, 4 to 6 when a tile leaves. `check` adds up what was
    where. in_buffers, once checked: picoseconds, and what each physical buffer held from then on.
    """

    def __init__(self, env: simpy.Environment) -> None:
        self._env = env
        self._notes: list[float] = []
        self.in_buffers: dict[Operand, tuple[Ints, Ints]] = {}

    def entering(self, operand: Operand) -> Callable[[], None]:
        """What to call whenever the operand's next tile takes its place."""
        return self._noting(OPERANDS.index(operand))

    def entering_early(self) -> Callable[[], None]:
        """What to call whenever a kernel tile of a layer that has not begun takes its place, which it keeps."""
        return self._noting(_EARLY)

    def leaving(self, operand: Operand) -> Callable[[], None]:
        """What to call whenever the operand's oldest tile gives up its place."""
        return self._noting(OPERANDS.index(operand) + _CODES // 2)

    def _noting(self, code: int) -> Callable[[], None]:
        env, append = self._env, self._notes.append

        def note() -> None:
            append(env.now * _CODES + code)

        return note

    def check(
        self, layer: str, spaces: Sequence[Space], tile_bytes: Mapping[Operand, Ints], early_bytes: Ints | None = None
    ) -> dict[Operand, int]:
        """The most bytes that each physical buffer held.

        tile_bytes: the size of every tile of each operand, in the order in which they enter; early_bytes the same of
        the kernels of later layers.
        Raises AssertionError when a part of a buffer held more than fits into it.
        """
        notes = np.array(self._notes, np.int64)
        codes = (notes & (_CODES - 1)).astype(np.int8)
        sizes = {OPERANDS.index(operand): tile_bytes[operand] for operand in OPERANDS if operand in tile_bytes}
        if early_bytes is not None:
            sizes[_EARLY] = early_bytes
        left = np.bincount(codes, minlength=_CODES)[_CODES // 2 :]
        leaving = [-each[: left[code]] for code, each in sizes.items()]
        changes = np.empty(len(codes), np.int64)
        changes[np.argsort(codes, kind="stable")] = np.concatenate([*sizes.values(), *leaving])
        peaks: dict[Operand, int] = {}
        in_buffer: dict[Operand, Ints] = {}
        for space in spaces:
            belongs = np.zeros(_CODES, np.int64)
            for operand in space.operands:
                belongs[OPERANDS.index(operand) :: _CODES // 2] = 1
            if "kernel" in space.operands:
                belongs[_EARLY] = 1
            held = np.cumsum(changes * belongs[codes])
            if held.max(initial=0) > space.capacity:
                first = int(np.argmax(held > space.capacity))
                raise AssertionError(
                    f"layer '{layer}': at {notes[first] // _CODES} ps the tiles of {' and '.join(space.operands)} take "
                    f"{held[first]} B, but {space.setting}"
                )
            in_buffer[space.home] = in_buffer.get(space.home, 0) + held
            peaks[space.home] = int(in_buffer[space.home].max(initial=0))
        self.in_buffers = {home: (notes // _CODES, held) for home, held in in_buffer.items()}
        return peaks
