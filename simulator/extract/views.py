"""What an operator sees of a value: views, copies and permutations keep a value's identity.

A value is followed through views by an index tensor: the very view that the network takes of a feature map, taken of
the numbers 0, 1, 2…, tells which element ended up where. The network runs on EXAMPLES images, so the same numbers tell
which axis is the batch.
"""

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

from simulator.extract.dispatch import operator_name
from simulator.extract.layout import Layout, ascending, inverse, is_row_major, product
from simulator.trace.records import Shape

EXAMPLES = 2
"""How many images the network is traced with; with one, the batch axis could not be told from an axis of size 1."""

_ROW_MAJOR = frozenset(
    {
        *("view", "_unsafe_view", "reshape", "_reshape_alias", "flatten", "unflatten", "squeeze", "unsqueeze"),
        *("detach", "alias", "lift_fresh", "clone", "contiguous", "_to_copy", "lift"),
    }
)
_REARRANGING = frozenset(
    {
        *("t", "transpose", "permute", "expand", "slice", "split", "split_with_sizes", "unsafe_split"),
        *("unsafe_split_with_sizes", "chunk", "unbind", "select", "narrow", "movedim", "diagonal", "unfold", "roll"),
        *("flip", "channel_shuffle", "native_channel_shuffle", "pixel_shuffle", "pixel_unshuffle", "repeat"),
    }
)
_COPYING = frozenset(
    {
        *("clone", "contiguous", "_to_copy", "roll", "flip", "channel_shuffle", "native_channel_shuffle"),
        *("pixel_shuffle", "pixel_unshuffle", "repeat", "unsafe_split", "unsafe_split_with_sizes"),
    }
)
COPY_INTO = "copy"


@functools.cache
def is_transparent(func: Any) -> bool:
    """Whether an operator only moves elements (a view, a copy, a permutation), and so is none of the trace's layers."""
    if func.namespace != "aten":
        return bool(func.namespace == "prim")
    if func._overloadname in ("dtype", "out"):
        return False
    name = operator_name(func)
    return name in _ROW_MAJOR or name in _REARRANGING or name == COPY_INTO


class MixedImagesError(Exception):
    """An operator mixes the images of a batch, so that nothing can be recorded per image."""


@dataclass(frozen=True)
class BatchAxis:
    """Where the images of a batch are in a tensor: image (i // stride) % N at place i of dimension `dim`."""

    dim: int
    stride: int = 1


@dataclass(eq=False)
class Value:
    """What one operator wrote. producer is its place in the sequence of operators, -1 for the network's input.

    layout says how its raw output is stored as feature maps; `number` which of the operator's outputs it is.
    """

    layout: Layout
    producer: int = -1
    number: int = 0

    @property
    def shape(self) -> Shape:
        """(C, H, W) as stored."""
        return self.layout.shape


@dataclass(eq=False)
class Cell:
    """A piece of memory and the value that it holds now; views share it, and an in-place operator changes the value."""

    value: Value


@dataclass(frozen=True, eq=False)
class View:
    """One tensor's view of a cell. index: places in the flattened raw output of EXAMPLES images, None for row-major."""

    cell: Cell
    index: torch.Tensor | None = None


def rearranged(func: Any, view: View, arguments: tuple[Any, ...], keywords: dict[str, Any], results: Any) -> list[View]:
    """The views that a transparent operator's results (a tensor or a list of them) have of the cell it was given."""
    tensors = [results] if isinstance(results, torch.Tensor) else list(results)
    name = operator_name(func)
    cell = Cell(view.cell.value) if name in _COPYING else view.cell
    if name in _ROW_MAJOR:
        return [View(cell, None if view.index is None else view.index.reshape(tensor.shape)) for tensor in tensors]
    source: torch.Tensor = arguments[0]
    index = _count(source.numel()).view(source.shape) if view.index is None else view.index
    moved = func(index, *arguments[1:], **keywords)
    whole = view.cell.value.layout.elements * EXAMPLES
    parts = [moved] if isinstance(moved, torch.Tensor) else list(moved)
    return [View(cell, None if is_row_major(part.flatten(), whole) else part) for part in parts]


@functools.lru_cache(maxsize=64)
def _count(elements: int) -> torch.Tensor:
    return torch.arange(elements, dtype=torch.int32)


def clear_caches() -> None:
    """Frees the index tensors that tracing one network left behind."""
    _count.cache_clear()
    permuted_count.cache_clear()


@dataclass(frozen=True, eq=False)
class Seen:
    """What an operator sees of one image of a value.

    dims: the tensor's sizes with the batch axis's divided by the number of images. index: each element's position in
    one image's vector, of shape dims; None for 0, 1, 2…
    """

    value: Value
    dims: tuple[int, ...]
    axis: BatchAxis
    index: torch.Tensor | None

    @property
    def elements(self) -> int:
        """Elements of one image in view."""
        return product(self.dims)

    @property
    def positions(self) -> torch.Tensor:
        """`index`, spelled out."""
        if self.index is not None:
            return self.index
        return torch.arange(self.elements, dtype=torch.int32).view(self.dims)

    @functools.cached_property
    def whole(self) -> bool:
        """Whether every element of the value is in view exactly once."""
        if self.index is None:
            return True
        elements = self.value.layout.elements
        if self.elements != elements:
            return False
        return bool(torch.bincount(self.index.flatten(), minlength=elements).eq(1).all())

    def stored_order(self) -> torch.Tensor | None:
        """For a whole view: the places in view at which the value's stored elements stand, in stored order."""
        order = self.value.layout.order
        if self.index is None:
            return order
        back = inverse(self.index.flatten())
        places = back if order is None else back[order.long()]
        return None if is_row_major(places, self.elements) else places


def see(view: View, shape: torch.Size) -> Seen:
    """What a tensor of `shape` with this view shows of one image; raises MixedImagesError when that cannot be said."""
    layout = view.cell.value.layout
    if view.index is None:
        axis = _axis_of_row_major(tuple(shape), layout.inner)
        return Seen(view.cell.value, divided(tuple(shape), axis), axis, None)
    index = view.index
    axis = _axis_of_images(index // layout.inner % EXAMPLES)
    one = first_image(index, axis)
    index = one // (layout.inner * EXAMPLES) * layout.inner + one % layout.inner
    in_order = is_row_major(index.flatten(), layout.elements)
    return Seen(view.cell.value, tuple(index.shape), axis, None if in_order else index)


def divided(shape: tuple[int, ...], axis: BatchAxis) -> tuple[int, ...]:
    """The sizes of one image: `shape` with the batch axis's size divided by EXAMPLES."""
    if not 0 <= axis.dim < len(shape) or shape[axis.dim] % (axis.stride * EXAMPLES):
        raise MixedImagesError
    return tuple(size // EXAMPLES if dim == axis.dim else size for dim, size in enumerate(shape))


def first_image(tensor: torch.Tensor, axis: BatchAxis) -> torch.Tensor:
    """The first image's part of a tensor of EXAMPLES images."""
    before, size, after = tensor.shape[: axis.dim], tensor.shape[axis.dim], tensor.shape[axis.dim + 1 :]
    apart = tensor.reshape(*before, -1, EXAMPLES, axis.stride, *after).select(axis.dim + 1, 0)
    return apart.reshape(*before, size // EXAMPLES, *after)


def inner_size(dims: tuple[int, ...], axis: BatchAxis) -> int:
    """How many elements of one image (sizes `dims`) lie behind the batch axis."""
    return axis.stride * product(dims[axis.dim + 1 :])


def _axis_of_row_major(shape: tuple[int, ...], inner: int) -> BatchAxis:
    behind = 1
    for dim in reversed(range(len(shape))):
        if inner * EXAMPLES <= behind * shape[dim]:
            if inner % behind or shape[dim] % (inner // behind * EXAMPLES):
                break
            return BatchAxis(dim, inner // behind)
        behind *= shape[dim]
    raise MixedImagesError


def _axis_of_images(images: torch.Tensor) -> BatchAxis:
    """The batch axis of a tensor that says of each element which image it belongs to."""
    for dim in range(images.dim()):
        line = images[tuple(slice(None) if other == dim else 0 for other in range(images.dim()))]
        changes = torch.diff(line).nonzero()
        if not len(changes):
            continue
        stride = int(changes[0]) + 1
        expected = torch.arange(line.numel()) // stride % EXAMPLES
        if torch.equal(line.long(), expected):
            shape = [-1 if other == dim else 1 for other in range(images.dim())]
            if torch.equal(images.long(), expected.view(shape).expand(images.shape)):
                return BatchAxis(dim, stride)
        break
    raise MixedImagesError


@dataclass(frozen=True)
class Role:
    """How an operator reads a tensor's dimensions as (C, H, W): permuted, then grouped."""

    permutation: tuple[int, ...]
    shape: Shape

    def order(self, seen: Seen) -> torch.Tensor | None:
        """The positions of (C, H, W)'s elements in one image's vector of the value; None for 0, 1, 2…"""
        if seen.index is None:
            return permuted_count(seen.dims, self.permutation)
        order = seen.index.permute(self.permutation).reshape(-1)
        return None if is_row_major(order, seen.value.layout.elements) else order

    def layout(self, dims: tuple[int, ...], axis: BatchAxis) -> Layout:
        """The layout of a raw tensor with these sizes of one image."""
        return Layout(self.shape, product(dims), inner_size(dims, axis), permuted_count(dims, self.permutation))


@functools.lru_cache(maxsize=64)
def permuted_count(dims: tuple[int, ...], permutation: tuple[int, ...]) -> torch.Tensor | None:
    """0, 1, 2… of shape `dims`, permuted and flattened; None when that changes nothing."""
    if ascending([dim for dim in permutation if dims[dim] != 1]):
        return None
    return _count(product(dims)).view(dims).permute(permutation).reshape(-1)


Reading = Callable[[tuple[int, ...], BatchAxis], Role]


def natural_role(dims: tuple[int, ...], axis: BatchAxis) -> Role:
    """The usual reading: [F] as (F, 1, 1), [T, D] as (D, T, 1), [C, H, W] as it is; H takes any further dimensions."""
    own = _own_dimensions(dims, axis)
    return _role(dims, own[::-1] if len(own) == 2 else own)


def channels_last_role(dims: tuple[int, ...], axis: BatchAxis) -> Role:
    """The reading of [H, W, C] as (C, H, W)."""
    own = _own_dimensions(dims, axis)
    return _role(dims, own[-1:] + own[:-1])


def usual_reading(seen: Seen) -> Reading:
    """The natural reading of a view, or with channels last where only that meets the elements in stored order."""
    if len(_own_dimensions(seen.dims, seen.axis)) >= 3 and not _keeps_order(seen, natural_role):
        return channels_last_role if _keeps_order(seen, channels_last_role) else natural_role
    return natural_role


def _own_dimensions(dims: tuple[int, ...], axis: BatchAxis) -> list[int]:
    """One image's dimensions: without the batch axis, and without those of size 1 beyond three."""
    own = [dim for dim in range(len(dims)) if dim != axis.dim or dims[dim] != 1]
    while len(own) > 3 and any(dims[dim] == 1 for dim in own):
        own.remove(next(dim for dim in own if dims[dim] == 1))
    return own


def _role(dims: tuple[int, ...], own: list[int]) -> Role:
    """The reading of dimensions `own`, channels first, with the others (of size 1) in front."""
    others = [dim for dim in range(len(dims)) if dim not in own]
    sizes = tuple(dims[dim] for dim in own) or (1,)
    columns = sizes[-1] if len(sizes) > 2 else 1
    return Role((*others, *own), (sizes[0], product(sizes[1:]) // columns, columns))


def _keeps_order(seen: Seen, reading: Reading) -> bool:
    order, stored = reading(seen.dims, seen.axis).order(seen), seen.value.layout.order
    places = torch.arange(seen.elements) if order is None else order.long()
    if stored is not None:
        places = inverse(stored)[places]
    return bool((torch.diff(places) > 0).all())
