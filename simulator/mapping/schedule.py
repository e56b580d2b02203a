"""What the planner decides for a layer, and the tile steps that follow from it."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from simulator.mapping.loop_nest import LoopNest

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Tiling:
    """Tile sizes of each loop, and the order of the loops over tiles, outermost first.

    order is a permutation of "S" (positions and images), "K" and "C"; the groups are always outermost. m is a multiple
    of k, or all output channels: psums of m output channels stay in the OFM buffer while the loops inside "K" run, and
    tiles of k of them take turns innermost. Where m is k there is no such turn.
    """

    g: int
    k: int
    c: int
    n: int
    p: int
    q: int
    m: int
    order: str

    def describe(self) -> str:
        """For tables: the loops from the outside in, with the tile sizes."""
        resident = self.m > self.k
        loops = " > ".join(("G", *(("M" if loop == "K" and resident else loop) for loop in self.order)))
        if resident:
            loops += f" > K; m={self.m}"
        else:
            loops += ";"
        return f"{loops} g={self.g} k={self.k} c={self.c} n={self.n} p={self.p} q={self.q}"


@dataclass(frozen=True, eq=False)
class Blocks:
    """One loop cut into tiles: [start, stop) of each."""

    start: Ints
    stop: Ints

    @staticmethod
    def of(size: int, tile: int) -> "Blocks":
        """`size` cut into tiles of `tile`, the last one smaller."""
        start = np.arange(0, size, tile, dtype=np.int64)
        return Blocks(start, np.minimum(start + tile, size))

    @property
    def count(self) -> int:
        """How many tiles."""
        return len(self.start)

    @property
    def size(self) -> Ints:
        """Extent of each tile."""
        return self.stop - self.start


@dataclass(frozen=True)
class LayerSchedule:
    """One layer's plan: the loop nest and how it is tiled; DRAM bytes and time as the search estimates them.

    Tiles of positions ("S") are numbered with Q running fastest, then P, then N. All per-step arrays have one entry per
    tile step, in the order of execution.
    """

    nest: LoopNest
    tiling: Tiling
    dram_bytes: int
    estimated_cycles: float = 0.0

    @cached_property
    def groups(self) -> Blocks:
        """Tiles of loop G."""
        return Blocks.of(self.nest.g, self.tiling.g)

    @cached_property
    def outputs(self) -> Blocks:
        """Tiles of loop K, those of a resident block one after the other."""
        parts = [Blocks.of(int(size), self.tiling.k) for size in self.residents.size]
        firsts = self.residents.start
        start = np.concatenate([first + part.start for first, part in zip(firsts, parts, strict=True)])
        stop = np.concatenate([first + part.stop for first, part in zip(firsts, parts, strict=True)])
        return Blocks(start, stop)

    @cached_property
    def residents(self) -> Blocks:
        """Blocks of output channels whose psums lie in the OFM buffer together."""
        return Blocks.of(self.nest.k, self.tiling.m)

    @cached_property
    def channels(self) -> Blocks:
        """Tiles of loop C."""
        return Blocks.of(self.nest.c, self.tiling.c)

    @cached_property
    def images(self) -> Blocks:
        """Tiles of loop N."""
        return Blocks.of(self.nest.n, self.tiling.n)

    @cached_property
    def rows(self) -> Blocks:
        """Tiles of loop P."""
        return Blocks.of(self.nest.p, self.tiling.p)

    @cached_property
    def columns(self) -> Blocks:
        """Tiles of loop Q."""
        return Blocks.of(self.nest.q, self.tiling.q)

    @property
    def position_tiles(self) -> int:
        """Tiles of N, P and Q together."""
        return self.images.count * self.rows.count * self.columns.count

    @cached_property
    def steps(self) -> "Steps":
        """The tile of every loop at every step."""
        counts = {"S": self.position_tiles, "K": self.residents.count, "C": self.channels.count}
        turns = -(-self.tiling.m // self.tiling.k)
        grid = np.indices((self.groups.count, *(counts[loop] for loop in self.tiling.order), turns), dtype=np.int64)
        flat = grid.reshape(5, -1)
        index = dict(zip(self.tiling.order, flat[1:4], strict=True))
        k = index["K"] * turns + flat[4]
        if self.outputs.count < self.residents.count * turns:  # the last block has fewer turns
            there = k < self.outputs.count
            return Steps(flat[0][there], k[there], index["C"][there], index["S"][there], index["K"][there])
        return Steps(flat[0], k, index["C"], index["S"], index["K"])

    def position_index(self, position: Ints) -> tuple[Ints, Ints, Ints]:
        """The tile of N, P and Q that a tile of positions is."""
        rest, column = np.divmod(position, self.columns.count)
        image, row = np.divmod(rest, self.rows.count)
        return image, row, column


@dataclass(frozen=True, eq=False)
class Steps:
    """Tile indices of the loops G, K, C and positions, one entry per step; m is the resident block of tile k."""

    g: Ints
    k: Ints
    c: Ints
    s: Ints
    m: Ints

    @property
    def count(self) -> int:
        """Number of steps."""
        return len(self.g)


def changes(*indices: Ints) -> npt.NDArray[np.bool_]:
    """True at each step at which one of `indices` differs from the step before; the first step counts as a change."""
    changed = np.zeros(len(indices[0]), np.bool_)
    changed[0] = True
    for index in indices:
        changed[1:] |= index[1:] != index[:-1]
    return changed
