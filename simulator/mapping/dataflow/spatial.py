"""Free spatial unrolling: the accelerator file says which loops run side by side on which axis.

A tile takes one cycle per combination of the loops that are left: the product over the dimensions of
ceil(size / unrolled). Psums stay in accumulators while a tile's reduction runs.

Winograd F(2×2, 3×3) (Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks", CVPR 2016): blocks of 2×2
outputs are the positions, and each takes 4×4 products per channel. The transforms take no time.
"""

import numpy as np

from simulator.hardware.array import Array
from simulator.mapping.dataflow.base import BufferAccesses, Ints, Lanes, TileSizes, ceil_div


class Spatial:
    """An array whose axes are filled by loop dimensions in a given order."""

    def __init__(self, array: Array, lanes: int = 1) -> None:
        """lanes: how many times its widest operands' MACs a PE does in a cycle, over channels unless `pe` says more."""
        assert array.unroll is not None
        axes = ((array.rows, array.unroll.rows), (array.columns, array.unroll.columns))
        inside = array.unroll.pe if array.unroll.pe or lanes == 1 else ("C",)
        self._axes = [
            (size, [_dimension(text) for text in entries])
            for size, entries in (*axes, (array.macs_per_pe * lanes, inside))
        ]
        self.local_reuse = frozenset(array.local_reuse)
        self.fold_stride = array.fold_stride

    def loops(self, tile: TileSizes) -> dict[str, Ints]:
        """Loop sizes as the array runs them: blocks of outputs with Winograd, more channels with folded strides."""
        p, q, c, r, s = tile.p, tile.q, tile.c, tile.r, tile.s
        rows, columns = tile.stride
        if tile.winograd:
            p, q, r, s = ceil_div(p, 2), ceil_div(q, 2), 4, 4
        elif self.fold_stride and r >= rows and s >= columns:
            c, r, s = c * (rows * columns), -(-r // rows), -(-s // columns)
        return {
            "N": tile.n,
            "G": tile.g,
            "K": tile.k,
            "C": c,
            "P": p,
            "Q": q,
            "R": np.asarray(r),
            "S": np.asarray(s),
        }

    def unrolled(self, tile: TileSizes) -> dict[str, Ints]:
        """How many of each loop dimension run side by side, per tile."""
        sizes = self.loops(tile)
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
        steps: Ints = np.asarray(1)
        for name, size in self.loops(tile).items():
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
        factors, loops = self.unrolled(tile), self.loops(tile)
        kernel = loops["G"] * loops["K"] * loops["C"] * loops["R"] * loops["S"]
        work = kernel * loops["N"] * loops["P"] * loops["Q"]
        outputs = tile.ofm_elements
        return BufferAccesses(
            ifm_reads=tile.ifm_elements if "ifm" in self.local_reuse else ceil_div(work, factors["K"]),
            kernel_reads=(
                kernel if "kernel" in self.local_reuse else ceil_div(work, factors["N"] * factors["P"] * factors["Q"])
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
