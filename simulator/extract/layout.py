"""How the elements of one image lie in an operator's raw output, and how to read them as feature maps [N, C, H, W].

A raw output has its batch axis anywhere: [N, C, H, W], [T, N, D], [N·heads, T, d]. Flattened, it is (outer, N, inner),
and without the batch axis one image is a vector of outer·inner elements. A `Layout` says where that axis is and in
which order the vector's elements make up (C, H, W).
"""

from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import torch

from simulator.trace.records import Shape


@dataclass(frozen=True)
class Strided:
    """The indices offset + Σ coordinate · stride, with coordinates running over `sizes`, the last one fastest."""

    offset: int
    sizes: tuple[int, ...]
    strides: tuple[int, ...]


def as_strided(index: torch.Tensor) -> Strided | None:
    """The strided form of a vector of indices, None when it has none (or one with a negative stride)."""
    count = index.numel()
    sizes: list[int] = []
    strides: list[int] = []
    block = 1
    while block < count:
        steps = torch.diff(index[::block])
        breaks = (steps != steps[0]).nonzero()
        run = int(breaks[0]) + 1 if len(breaks) else steps.numel() + 1
        if count % (block * run) or steps[0] < 0:
            return None
        sizes.insert(0, run)
        strides.insert(0, int(steps[0]))
        block *= run
    offset = int(index[0])
    rebuilt = torch.tensor(offset)
    for size, stride in zip(sizes, strides, strict=True):
        rebuilt = rebuilt[..., None] + torch.arange(size) * stride
    if not torch.equal(rebuilt.flatten(), index.flatten().long()):
        return None
    return Strided(offset, tuple(sizes), tuple(strides))


@dataclass(frozen=True, eq=False)
class Layout:
    """Where the feature maps of a raw output are.

    shape: (C, H, W) to read. elements: of one image in the raw output. inner: how many of them lie behind the batch
    axis. order: the positions, in one image's vector, of the elements of (C, H, W) in turn; None for 0, 1, 2…
    """

    shape: Shape
    elements: int
    inner: int
    order: torch.Tensor | None = None

    def images(self, raw: torch.Tensor) -> int:
        """How many images a raw output holds; raises ValueError when their size is not the layout's."""
        count, rest = divmod(raw.numel(), self.elements)
        if rest:
            raise ValueError(f"{raw.numel()} elements are not whole images of {self.elements}")
        return count

    def read(self, raw: torch.Tensor) -> torch.Tensor:
        """The feature maps [N, C, H, W] of a raw output: a view where that is possible, else a copy."""
        count = self.images(raw)
        shape = (count, *self.shape)
        if self.order is None and raw.shape == shape:
            return raw
        vectors = self._vectors(raw, count)
        if self.order is None:
            return vectors.reshape(shape)
        strided = self._strided
        if strided is None:
            return vectors.index_select(1, self.order.to(raw.device)).reshape(shape)
        vectors = vectors.contiguous()
        start = vectors.storage_offset() + strided.offset
        sizes, strides = (count, *strided.sizes), (self.elements, *strided.strides)
        return vectors.as_strided(sizes, strides, start).reshape(shape)

    def erase(self, raw: torch.Tensor, mask: torch.Tensor) -> None:
        """Sets to zero, in place, the elements of a raw output whose mask is True.

        `mask` broadcasts to [N, C, H, W]. Only for a layout that reads every element once.
        """
        raw.masked_fill_(self._in_raw(raw, mask), 0)

    def fill(self, raw: torch.Tensor, mask: torch.Tensor, value: torch.Tensor) -> None:
        """Writes `value`, which broadcasts to [N, C, H, W], where the mask is True, as `erase` writes zero."""
        raw.copy_(torch.where(self._in_raw(raw, mask), self._in_raw(raw, value), raw))

    def _in_raw(self, raw: torch.Tensor, maps: torch.Tensor) -> torch.Tensor:
        """What broadcasts to [N, C, H, W], broadcast to the raw output instead."""
        count = self.images(raw)
        shape = (count, *self.shape)
        if self.order is None and raw.shape == shape:
            return maps
        vectors = maps.expand(shape).reshape(count, self.elements)
        if self._inverse is not None:
            vectors = vectors.index_select(1, self._inverse.to(raw.device))
        return vectors.reshape(count, -1, self.inner).transpose(0, 1).reshape(raw.shape)

    def _vectors(self, raw: torch.Tensor, count: int) -> torch.Tensor:
        if self.inner == self.elements:
            return raw.reshape(count, self.elements)
        return raw.reshape(-1, count, self.inner).transpose(0, 1).reshape(count, self.elements)

    @cached_property
    def _strided(self) -> Strided | None:
        return None if self.order is None else as_strided(self.order)

    @cached_property
    def _inverse(self) -> torch.Tensor | None:
        return None if self.order is None else inverse(self.order)


def inverse(permutation: torch.Tensor) -> torch.Tensor:
    """The permutation that undoes `permutation` (a vector of indices)."""
    result = torch.empty_like(permutation)
    result[permutation.long()] = torch.arange(permutation.numel(), dtype=permutation.dtype)
    return result


def same_order(first: torch.Tensor | None, second: torch.Tensor | None, elements: int) -> bool:
    """Whether two orders of `elements` elements are the same; None stands for 0, 1, 2…"""
    if first is second:
        return True
    if first is None or second is None:
        return is_row_major(first if second is None else second, elements)
    return first.numel() == second.numel() and torch.equal(first, second)


def is_row_major(order: torch.Tensor | None, elements: int) -> bool:
    """Whether an order is 0, 1, 2… up to `elements`."""
    return order is None or (
        order.numel() == elements and torch.equal(order, torch.arange(elements, dtype=order.dtype))
    )


def product(sizes: tuple[int, ...]) -> int:
    """The product of sizes, 1 for none."""
    result = 1
    for size in sizes:
        result *= size
    return result


def ascending(values: list[int]) -> bool:
    """Whether values stand in ascending order."""
    return all(first < second for first, second in pairwise(values))
