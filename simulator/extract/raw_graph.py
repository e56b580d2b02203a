"""The operators that a network runs, in order, and what each reads and writes: one run on an example, nothing folded yet."""

import functools
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.attention
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.weak import WeakTensorKeyDictionary

from simulator.errors import InputError
from simulator.extract.layout import Layout, same_order
from simulator.extract.operation import Call, Operation
from simulator.extract.operators import describe
from simulator.extract.views import (
    COPY_INTO,
    EXAMPLES,
    BatchAxis,
    Cell,
    MixedImagesError,
    Role,
    Seen,
    Value,
    View,
    clear_caches,
    divided,
    inner_size,
    is_transparent,
    natural_role,
    operator_name,
    rearranged,
    see,
)
from simulator.trace.records import Shape

_CREATING = frozenset(
    "empty_like zeros_like ones_like full_like rand_like randn_like new_empty new_zeros new_ones new_full"
    " new_empty_strided _local_scalar_dense is_nonzero equal".split()
)


@dataclass(frozen=True, eq=False)
class Operand:
    """One reading of a value. layout: how to read it from the value's raw output, None when just as it is stored."""

    value: Value
    shape: Shape
    layout: Layout | None


@dataclass(eq=False)
class RawOperator:
    """One operator of the run.

    position counts the operators that do more than move elements. module: the path of the one that ran it, leaf: whether
    that has no children. argument_layout: how to read the IFM from the argument itself, which has argument_padding (top,
    left, bottom, right) zeros around it. kernel_map: the kernel's packed zero-map [K, ceil(C·R·S/8)], None without zeros.
    """

    position: int
    operation: Operation
    operands: list[Operand]
    outputs: list[Value]
    module: str
    leaf: bool
    argument_layout: Layout | None = None
    argument_padding: tuple[int, int, int, int] = (0, 0, 0, 0)
    kernel_map: npt.NDArray[np.uint8] | None = None


@dataclass(eq=False)
class RawGraph:
    """A network's run. sequence: every operator that does more than move elements, also those on constants."""

    input: Value
    operators: list[RawOperator] = field(default_factory=list)
    outputs: list[Value] = field(default_factory=list)
    sequence: list[Any] = field(default_factory=list)


class ModuleStack:
    """Which module is running: the dotted path of the innermost one, and whether it has no children."""

    def __init__(self, model: nn.Module) -> None:
        self._model = model
        self._running: list[tuple[str, bool]] = []

    @property
    def innermost(self) -> tuple[str, bool]:
        """(path, leaf) of the running module; ("", False) outside all modules."""
        return self._running[-1] if self._running else ("", False)

    @contextmanager
    def following(self) -> Iterator[None]:
        """Follows the modules' calls within the block."""
        with ExitStack() as stack:
            for name, module in self._model.named_modules():
                place = (name, next(module.children(), None) is None)
                enter = module.register_forward_pre_hook(self._entering(place), prepend=True)
                leave = module.register_forward_hook(self._leaving, always_call=True)
                stack.callback(enter.remove)
                stack.callback(leave.remove)
            yield

    def _entering(self, place: tuple[str, bool]) -> Callable[..., None]:
        def hook(*_: object) -> None:
            self._running.append(place)

        return hook

    def _leaving(self, *_: object) -> None:
        self._running.pop()


@contextmanager
def plain_attention() -> Iterator[None]:
    """Attention runs as products and softmax within the block, not as one fused operator."""
    fast = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with torch.nn.attention.sdpa_kernel(torch.nn.attention.SDPBackend.MATH):
            yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)


@functools.cache
def is_composite(func: Any) -> bool:
    """Whether an operator is made of others (tensors made under inference mode show these unopened)."""
    key = torch._C.DispatchKey.CompositeImplicitAutograd
    return bool(torch._C._dispatch_has_kernel_for_dispatch_key(func.name(), key))


def trace_graph(model: nn.Module, example: torch.Tensor, name: str) -> RawGraph:
    """The operators that `model` runs on `example`, EXAMPLES images [N, C, H, W] or other inputs with the batch first.

    Raises InputError when the network fails on it, mixes the images of a batch or writes into a part of a feature map.
    """
    modules = ModuleStack(model)
    tracer = _Tracer(name, modules)
    graph = tracer.start(example)
    try:
        with modules.following(), tracer:
            result = model(example)
    except InputError:
        raise
    except (RuntimeError, ValueError, TypeError, IndexError) as error:
        raise InputError(
            f"network '{name}' fails on an input of shape {list(example.shape)}: {_line(error)}"
        ) from error
    finally:
        clear_caches()
    tracer.finish(result)
    if not graph.operators:
        raise InputError(f"network '{name}' runs no operator on its input")
    return graph


def _line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]


class _Tracer(TorchDispatchMode):
    """Sees every operator of the run, follows the feature maps through it and describes what it does."""

    def __init__(self, name: str, modules: ModuleStack) -> None:
        super().__init__()
        self._name = name
        self._modules = modules
        self._views = WeakTensorKeyDictionary()
        self._written_buffers: dict[int, torch.Tensor] = {}
        self.graph: RawGraph

    def start(self, example: torch.Tensor) -> RawGraph:
        """Begins with the network's input."""
        axis = BatchAxis(0)
        dims = divided(tuple(example.shape), axis)
        value = Value(natural_role(dims, axis).layout(dims, axis))
        self._views[example] = View(Cell(value))
        self.graph = RawGraph(value)
        return self.graph

    def finish(self, result: Any) -> None:
        """Notes which values the network returned."""
        views = [self._views.get(leaf) for leaf in tree_leaves(result) if isinstance(leaf, torch.Tensor)]
        self.graph.outputs = [view.cell.value for view in views if view is not None]

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if is_composite(func):
            with self:
                return func.decompose(*args, **kwargs)
        result = func(*args, **kwargs)
        if is_transparent(func):
            self._follow(func, args, kwargs, result)
        else:
            self._note(func, args, kwargs, result)
        return result

    def _follow(self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any], result: Any) -> None:
        """Carries a value's identity over to what a view or copy of it gave."""
        if not args or not isinstance(args[0], torch.Tensor):
            return
        if operator_name(func) == COPY_INTO:
            self._copy_into(args[0], args[1])
            return
        view = self._views.get(args[0])
        if view is None:
            self._check_constant(args[0])
            return
        results = [result] if isinstance(result, torch.Tensor) else list(result)
        for tensor, seen in zip(results, rearranged(func, view, args, kwargs, result), strict=True):
            self._views[tensor] = seen

    def _copy_into(self, target: torch.Tensor, source: torch.Tensor) -> None:
        view = self._views.get(source)
        if view is None and self._views.get(target) is None:
            return
        if target is source:
            return
        if view is None or target.shape != source.shape:
            raise self._error("copy_", "overwrites a feature map in place with something else")
        self._replace(target, View(Cell(view.cell.value), view.index), "copy_")

    def _note(self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any], result: Any) -> None:
        """Records an operator that does more than move elements."""
        position = len(self.graph.sequence)
        self.graph.sequence.append(func)
        name = operator_name(func)
        outputs = [leaf for leaf in ([result] if isinstance(result, torch.Tensor) else _sequence(result))]
        if name in _CREATING or not outputs:
            return
        arguments = _bound(func, args, kwargs)
        try:
            seen = self._seen(arguments)
            if not seen:
                return
            operation = describe(Call(name, arguments, seen, tuple(outputs[0].shape)), func)
            operator = self._operator(position, operation, outputs)
        except MixedImagesError:
            problem = "combines the images of a batch, so that nothing can be recorded per image"
            raise self._error(name, problem) from None
        if operation.ifm_argument is not None:
            ifm, role = operation.operands[0]
            assert role is not None
            operator.argument_layout = role.layout(ifm.dims, ifm.axis)
        operator.kernel_map = _kernel_map(operation.weight)
        self.graph.operators.append(operator)
        written = [
            arguments[argument.name]
            for argument in func._schema.arguments
            if argument.alias_info is not None and argument.alias_info.is_write
        ]
        for value, tensor in zip(operator.outputs, outputs, strict=True):
            if any(tensor is target for target in written):
                self._replace(tensor, View(Cell(value)), name)
            else:
                self._views[tensor] = View(Cell(value))

    def _seen(self, arguments: Mapping[str, Any]) -> dict[str, Seen]:
        """What the operator sees of feature maps, by argument (items of a list by number)."""
        seen: dict[str, Seen] = {}
        for name, argument in arguments.items():
            items = argument if isinstance(argument, list | tuple) else [argument]
            for number, item in enumerate(items):
                if not isinstance(item, torch.Tensor):
                    continue
                view = self._views.get(item)
                if view is None:
                    self._check_constant(item)
                else:
                    key = name if items is not argument else f"{name}.{number}"
                    seen[key] = see(view, item.shape)
        return seen

    def _operator(self, position: int, operation: Operation, outputs: list[torch.Tensor]) -> RawOperator:
        layout = _output_layout(operation, tuple(outputs[0].shape))
        together = layout if operation.role is None else None
        operands = [
            _operand(seen, role, together if number else None) for number, (seen, role) in enumerate(operation.operands)
        ]
        values = [Value(layout, position)]
        for number, tensor in enumerate(outputs[1:], 1):
            values.append(Value(_side_layout(tensor, layout, operation.axis), position, number))
        path, leaf = self._modules.innermost
        return RawOperator(position, operation, operands, values, path, leaf)

    def _replace(self, target: torch.Tensor, new: View, name: str) -> None:
        """An in-place operator gave `target`'s memory a new value; all whole views of it see that."""
        old = self._views.get(target)
        if old is None:
            if target.untyped_storage().nbytes() != target.numel() * target.element_size():
                raise self._error(name, "writes a feature map into a part of a buffer in place")
            self._written_buffers[target.untyped_storage()._cdata] = target
            self._views[target] = new
        elif old.index is None and new.index is None:
            old.cell.value = new.cell.value
            self._views[target] = View(old.cell)
        else:
            raise self._error(name, "writes into a part or a permutation of a feature map in place")

    def _check_constant(self, tensor: torch.Tensor) -> None:
        """A tensor that no feature map went into may not share its memory with one that did."""
        if self._written_buffers and tensor.untyped_storage()._cdata in self._written_buffers:
            raise self._error("copy_", "reads a buffer that a feature map was written into in place")

    def _error(self, operator: str, problem: str) -> InputError:
        path, _ = self._modules.innermost
        return InputError(f"network '{self._name}': operator '{operator}' in module '{path}' {problem}")


def _sequence(result: Any) -> list[torch.Tensor]:
    return [item for item in result if isinstance(item, torch.Tensor)] if isinstance(result, list | tuple) else []


def _bound(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
    """A call's arguments by the schema's names, defaults included."""
    bound: dict[str, Any] = {}
    for position, argument in enumerate(func._schema.arguments):
        if position < len(args):
            bound[argument.name] = args[position]
        elif argument.name in kwargs:
            bound[argument.name] = kwargs[argument.name]
        else:
            bound[argument.name] = argument.default_value
    return bound


def _output_layout(operation: Operation, shape: tuple[int, ...]) -> Layout:
    """How the first output is stored: in the operation's role, else in the order of the first operand."""
    dims = divided(shape, operation.axis)
    inner = inner_size(dims, operation.axis)
    natural = natural_role(dims, operation.axis).layout(dims, operation.axis)
    if operation.role is not None:
        return operation.role.layout(dims, operation.axis)
    main = operation.operands[0][0]
    if not main.whole or main.elements != natural.elements:
        return natural
    order = main.stored_order()
    if same_order(order, natural.order, natural.elements):
        return natural
    return Layout(main.value.shape, natural.elements, inner, order)


def _operand(seen: Seen, role: Role | None, output: Layout | None) -> Operand:
    """A reading in a role; without one as stored, or in the order of the output that it is combined with."""
    stored = seen.value.layout
    if role is not None:
        order, shape = role.order(seen), role.shape
    elif output is not None and output.elements == seen.elements:
        positions = seen.positions.reshape(-1)
        order, shape = positions if output.order is None else positions[output.order.long()], output.shape
    elif seen.whole:
        return Operand(seen.value, stored.shape, None)
    else:
        natural = natural_role(seen.dims, seen.axis)
        order, shape = natural.order(seen), natural.shape
    if seen.elements == stored.elements and same_order(order, stored.order, stored.elements):
        return Operand(seen.value, shape, None)
    return Operand(seen.value, shape, Layout(shape, stored.elements, stored.inner, order))


def _side_layout(tensor: torch.Tensor, main: Layout, axis: BatchAxis) -> Layout:
    """The layout of a further output (indices, statistics); when its images cannot be told apart, that of a scalar."""
    try:
        dims = divided(tuple(tensor.shape), axis)
    except MixedImagesError:
        return Layout((1, 1, 1), max(1, tensor.numel() // EXAMPLES), max(1, tensor.numel() // EXAMPLES))
    role = natural_role(dims, axis)
    layout = role.layout(dims, axis)
    return main if layout.elements == main.elements and layout.inner == main.inner else layout


def _kernel_map(weight: torch.Tensor | None) -> npt.NDArray[np.uint8] | None:
    if weight is None or weight.is_meta:
        return None
    nonzero = (weight != 0).reshape(weight.shape[0], -1).cpu().numpy()
    return None if nonzero.all() else np.packbits(nonzero, axis=-1)
