"""What every scheme of skipping zeros answers, and what all of them count with.

A scheme is a pure function of two boolean maps (True = not zero): `window` [G, C, H, W], the feature map with its zero
padding, and `kernel` [G, K, C, R, S]; G are groups with channels of their own. Its answer says where every multiplier
was in every cycle: cycles · multipliers = products + all losses, exactly.
"""

import dataclasses
import functools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar, runtime_checkable

import numpy as np
import numpy.typing as npt

from simulator.mapping.dataflow.base import TileSizes

Bools = npt.NDArray[np.bool_]
Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Scalar = TypeVar("Scalar", bound=np.generic)


@dataclass(frozen=True)
class Convolution:
    """How kernels slide over a window: stride and dilation, each (rows, columns), and the (rows, columns) of padding
    above and left of the feature map that the window holds already. finishes: whether the outputs are finished, that
    is, no channels follow that add to them."""

    stride: tuple[int, int] = (1, 1)
    dilation: tuple[int, int] = (1, 1)
    padding: tuple[int, int] = (0, 0)
    finishes: bool = True

    def outputs(self, window: npt.NDArray[Any], kernel: Bools) -> tuple[int, int]:
        """Rows and columns of the OFM; 0 where the kernel is larger than the window."""
        sizes = zip(window.shape[-2:], kernel.shape[-2:], self.stride, self.dilation, strict=True)
        rows, columns = (max(0, (size - dilation * (k - 1) - 1) // stride + 1) for size, k, stride, dilation in sizes)
        return rows, columns

    def met(self, window: npt.NDArray[Scalar], kernel: Bools) -> Iterator[tuple[int, int, npt.NDArray[Scalar]]]:
        """Each kernel position (r, s), and the elements [..., P, Q] of the window that it meets."""
        rows, columns = self.outputs(window, kernel)
        for r in range(kernel.shape[-2]):
            row = r * self.dilation[0]
            for s in range(kernel.shape[-1]):
                column = s * self.dilation[1]
                yield (
                    r,
                    s,
                    window[
                        ...,
                        row : row + (rows - 1) * self.stride[0] + 1 : self.stride[0],
                        column : column + (columns - 1) * self.stride[1] + 1 : self.stride[1],
                    ]
                    if rows and columns
                    else window[..., :0, :0],
                )

    def met_counts(self, window: Bools, kernel: Bools) -> Ints:
        """Non-zero elements that every kernel position meets over all outputs: [G, C, R, S]."""
        counts = np.empty((*window.shape[:2], *kernel.shape[-2:]), np.int64)
        for r, s, met in self.met(window, kernel):
            counts[:, :, r, s] = np.count_nonzero(met, axis=(2, 3))
        return counts

    def products(self, window: Bools, kernel: Bools) -> int:
        """Products of two non-zero operands that belong to an output."""
        return int((self.met_counts(window, kernel) * np.count_nonzero(kernel, axis=1)).sum())


@dataclass(frozen=True)
class SparseCost:
    """What a scheme does with two maps: cycles · multipliers = products + sum(losses), exactly.

    products have two non-zero operands and belong to an output. losses: multipliers times cycles, by the names of
    `LOSSES`. performed, gated: multiply-accumulates of the layer that are done, or whose cycle passes without
    switching; the others are skipped. ifm_reads, kernel_reads, psum_writes: elements that leave and enter the buffers.
    notes: what else the scheme found, as numbers.
    """

    cycles: int
    multipliers: int
    products: int
    losses: Mapping[str, int]
    performed: int
    gated: int
    ifm_reads: int
    kernel_reads: int
    psum_writes: int
    notes: Mapping[str, int]

    def __post_init__(self) -> None:
        spent = self.products + sum(self.losses.values())
        if spent != self.cycles * self.multipliers or min(self.losses.values(), default=0) < 0:
            raise AssertionError(
                f"{self.cycles} cycles of {self.multipliers} multipliers, accounted for: {spent} {self}"
            )


class Scheme(Protocol):
    """One way of exploiting zeros, on an array of a given size."""

    @property
    def multipliers(self) -> int:
        """Products in a cycle at full use."""

    def cost(self, window: Bools, kernel: Bools, convolution: Convolution) -> SparseCost:
        """What the array does with a window [G, C, H, W] and kernels [G, K, C, R, S]."""

    def dense_cycles(self, window: Bools, kernel: Bools, convolution: Convolution) -> int:
        """Cycles of the same layer when nothing is zero but the padding; of a window without a zero but that."""

    def expected_cycles(self, tile: TileSizes, ifm_density: float, kernel_density: float) -> Floats:
        """Cycles of tiles (one entry each) as densities alone let expect: independent zeros, nobody waits.

        With densities of 1 these are the cycles of a dense tile away from the edges of the feature map.
        """


@dataclass(frozen=True)
class TileGrid:
    """Tiles of the output and of the input channels of each group, [start, stop) each, in order."""

    outputs: tuple[tuple[int, int], ...]
    channels: tuple[tuple[int, int], ...]


@runtime_checkable
class TileByTile(Protocol):
    """A scheme that counts tiles of channels faster together than one by one."""

    def tile_costs(
        self, window: Bools, kernel: Bools, convolution: Convolution, tiles: TileGrid
    ) -> list[list[SparseCost]]:
        """The cost of every tile of output channels (outer list) and input channels."""


def tile_costs(
    scheme: Scheme, window: Bools, kernel: Bools, convolution: Convolution, tiles: TileGrid
) -> list[list[SparseCost]]:
    """The cost of every tile of output channels (outer list) and input channels of a layer's window.

    Outputs are finished with the last tile of input channels. Tiles of equal maps, as those of dense kernels are, are
    looked at once.
    """
    if isinstance(scheme, TileByTile):
        return scheme.tile_costs(window, kernel, convolution, tiles)

    @functools.cache
    def cost(first: int, last: int, start: int, stop: int) -> SparseCost:
        finishes = convolution.finishes and stop == kernel.shape[2]
        part = dataclasses.replace(convolution, finishes=finishes)
        return scheme.cost(window[:, start:stop], kernel[:, first:last, start:stop], part)

    outputs = alike([(kernel[:, first:last],) for first, last in tiles.outputs])
    *others, last_one = [(window[:, start:stop], kernel[:, :, start:stop]) for start, stop in tiles.channels]
    channels = [*alike(others), len(others)] if convolution.finishes else alike([*others, last_one])
    return [[cost(*tiles.outputs[k], *tiles.channels[c]) for c in channels] for k in outputs]


def alike(parts: Sequence[tuple[Bools, ...]]) -> list[int]:
    """For each of some tuples of maps, the number of the first one that is equal to it."""
    first: dict[tuple[object, ...], int] = {}
    keys = [tuple((each.shape, np.packbits(each).tobytes()) for each in maps) for maps in parts]
    return [first.setdefault(key, number) for number, key in enumerate(keys)]


def expected_chunks(elements: Ints | Floats, density: float, chunk: int) -> Floats:
    """Chunks that the non-zeros of so many elements fill on average.

    The last chunk of m is on average half full but for the first element: n·d/m + (m − 1)/2m, where there is any.
    """
    full = np.ceil(np.asarray(elements, np.float64) / chunk)
    if density >= 1.0:
        return np.asarray(full)
    any_left = 1.0 - (1.0 - density) ** np.asarray(elements, np.float64)
    mean = np.asarray(elements, np.float64) * density / chunk + any_left * (chunk - 1) / (2 * chunk)
    return np.asarray(np.minimum(full, mean))


def window_size(tile: TileSizes) -> tuple[Ints, Ints]:
    """Rows and columns of the window that a tile of outputs reads, without dilation."""
    return (tile.p - 1) * tile.stride[0] + tile.r, (tile.q - 1) * tile.stride[1] + tile.s


def parts(size: int, count: int) -> Ints:
    """Where `count` blocks of nearly equal size begin in `size`."""
    return np.arange(count, dtype=np.int64) * size // count
