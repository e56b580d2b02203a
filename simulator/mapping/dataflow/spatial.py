"""Free spatial unrolling: the accelerator file says which loops run side by side on which axis.

A tile takes one cycle per combination of the loops that are left: the product over the dimensions of
ceil(size / unrolled). Psums stay in accumulators while a tile's reduction runs.
"""

import numpy as np

from simulator.hardware.accelerator import Array
from simulator.mapping.dataflow.base import BufferAccesses, Ints, Lanes, TileSizes, ceil_div

DIMENSIONS = "NGKCPQRS"


class Spatial:
    """An array whose axes are filled by loop dimensions in a given order."""

    def __init__(self, array: Array) -> None:
        assert array.unroll is not None
        axes = ((array.rows, array.unroll.rows), (array.columns, array.unroll.columns))
        self._axes = [
            (size, [_dimension(text) for text in entries])
            for size, entries in (*axes, (array.macs_per_pe, array.unroll.pe))
        ]
        self.local_reuse = frozenset(array.local_reuse)

    def unrolled(self, tile: TileSizes) -> dict[str, Ints]:
        """How many of each loop dimension run side by side, per tile."""
        sizes: dict[str, Ints] = {
            "N": tile.n,
            "G": tile.g,
            "K": tile.k,
            "C": tile.c,
            "P": tile.p,
            "Q": tile.q,
            "R": np.asarray(tile.r),
            "S": np.asarray(tile.s),
        }
        factors: dict[str, Ints] = {name: np.ones_like(np.asarray(size)) for name, size in sizes.items()}
        for axis, entries in self._axes:
            room: Ints = np.asarray(axis)
            for name, most in entries:
                left = ceil_div(sizes[name], factors[name])
                taken = np.maximum(1, np.minimum(left, room if most is None else np.minimum(room, most)))
                factors[name] = factors[name] * taken
                room = room // taken
        return factors

    def steps(self, tile: TileSizes, factors: dict[str, Ints]) -> Ints:
        """Combinations of the loops that are left, per tile."""
        sizes = (tile.n, tile.g, tile.k, tile.c, tile.p, tile.q, np.asarray(tile.r), np.asarray(tile.s))
        steps: Ints = np.asarray(1)
        for name, size in zip(DIMENSIONS, sizes, strict=True):
            steps = steps * ceil_div(size, factors[name])
        return steps

    def cycles(self, tile: TileSizes) -> Ints:
        """Array cycles of each tile."""
        return self.steps(tile, self.unrolled(tile))

    def overhead_cycles(self) -> int:
        """None: operands reach the PEs through buses."""
        return 0

    def accesses(self, tile: TileSizes) -> BufferAccesses:
        """Elements that each tile moves between buffers and array."""
        factors = self.unrolled(tile)
        work = tile.g * tile.k * tile.positions * tile.reduction
        outputs = tile.ofm_elements
        return BufferAccesses(
            ifm_reads=tile.ifm_elements if "ifm" in self.local_reuse else ceil_div(work, factors["K"]),
            kernel_reads=(
                tile.g * tile.k * tile.reduction
                if "kernel" in self.local_reuse
                else ceil_div(work, factors["N"] * factors["P"] * factors["Q"])
            ),
            psum_reads=np.zeros_like(outputs),
            psum_writes=outputs,
        )

    def lanes(self, tile: TileSizes) -> Lanes:
        """The unrolled groups and channels."""
        factors = self.unrolled(tile)
        return Lanes(int(np.max(factors["G"])), int(np.max(factors["C"])))


def _dimension(text: str) -> tuple[str, int | None]:
    name, _, most = text.partition(":")
    return name, int(most) if most else None
