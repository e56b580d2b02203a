"""What every dataflow answers. All arguments and answers are arrays: one entry per tile."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class TileSizes:
    """Loop sizes of tiles; the entries broadcast together. r and s are the layer's; ifm_elements includes the
    halo, ifm_rows are the rows of one of its channels, ofm_elements the outputs that a tile works on. stride (rows,
    columns) is the layer's, winograd says whether it runs as F(2×2, 3×3)."""

    g: Ints
    k: Ints
    c: Ints
    n: Ints
    p: Ints
    q: Ints
    r: int
    s: int
    ifm_elements: Ints
    ifm_rows: Ints
    ofm_elements: Ints
    stride: tuple[int, int] = (1, 1)
    winograd: bool = False

    @property
    def positions(self) -> Ints:
        """n·p·q."""
        return self.n * self.p * self.q

    @property
    def reduction(self) -> Ints:
        """c·r·s: products summed into one output."""
        return self.c * self.r * self.s


@dataclass(frozen=True, eq=False)
class BufferAccesses:
    """Elements moved between buffers and array, per tile."""

    ifm_reads: Ints
    kernel_reads: Ints
    psum_reads: Ints
    psum_writes: Ints

    @staticmethod
    def none(tiles: int) -> "BufferAccesses":
        """No accesses in any of `tiles` tiles."""
        return BufferAccesses(*(np.zeros(tiles, np.int64) for _ in range(4)))

    @staticmethod
    def once(tile: TileSizes) -> "BufferAccesses":
        """Every element of a tile leaves or enters its buffer once."""
        return BufferAccesses(
            ifm_reads=tile.ifm_elements,
            kernel_reads=tile.g * tile.k * tile.reduction,
            psum_reads=np.zeros_like(tile.ofm_elements),
            psum_writes=tile.ofm_elements,
        )

    def __add__(self, other: "BufferAccesses") -> "BufferAccesses":
        pairs = zip(vars(self).values(), vars(other).values(), strict=True)
        return BufferAccesses(*(mine + theirs for mine, theirs in pairs))

    def accumulating(self, outputs: Ints) -> "BufferAccesses":
        """With the psums read back that a tile adds to what earlier tiles left."""
        return BufferAccesses(self.ifm_reads, self.kernel_reads, self.psum_reads + outputs, self.psum_writes)


@dataclass(frozen=True, eq=False)
class PadAccesses:
    """Words written into the scratch pads of the PEs, and psums handed from one PE to the next, per tile."""

    ifm_writes: Ints
    kernel_writes: Ints
    psum_hops: Ints

    @staticmethod
    def none(tiles: int) -> "PadAccesses":
        """No accesses in any of `tiles` tiles."""
        return PadAccesses(*(np.zeros(tiles, np.int64) for _ in range(3)))

    def __add__(self, other: "PadAccesses") -> "PadAccesses":
        pairs = zip(vars(self).values(), vars(other).values(), strict=True)
        return PadAccesses(*(mine + theirs for mine, theirs in pairs))


@dataclass(frozen=True)
class Lanes:
    """Groups and input channels that the array works on side by side."""

    groups: int
    channels: int


class Dataflow(Protocol):
    """How an array runs a tile."""

    def cycles(self, tile: TileSizes) -> Ints:
        """Array cycles of each tile, when tiles follow each other without a pause."""

    def overhead_cycles(self) -> int:
        """Cycles that a layer spends once, for fill before its first and drain after its last tile (may be −1)."""

    def accesses(self, tile: TileSizes) -> BufferAccesses:
        """Elements that each tile moves between buffers and array."""

    def lanes(self, tile: TileSizes) -> Lanes:
        """Groups and input channels that the array works on side by side, in the largest tile."""


def ceil_div(numerator: Ints | int, denominator: Ints | int) -> Ints:
    """Quotient rounded up.

    Several divisors are divided by as floating-point numbers, which takes a quarter of the time and is exact for
    numerators from 0 to 2^53: a quotient that is no whole number is at least 1/denominator away from the next one, and
    rounded by less than that.
    """
    if isinstance(denominator, np.ndarray) and denominator.size > 1:
        return np.ceil(numerator / denominator).astype(np.int64)
    return np.asarray(-(-np.asarray(numerator) // denominator), np.int64)
