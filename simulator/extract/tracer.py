"""Tracing a network: one run on an example, in which every operator is seen and described."""

import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn
from torch.utils._pytree import tree_leaves
from torch.utils.weak import WeakTensorKeyDictionary

from simulator.errors import InputError
from simulator.extract.dispatch import OperatorMode, operator_name
from simulator.extract.module_stack import ModuleStack
from simulator.extract.operation import Call, Operation
from simulator.extract.operators import WeightsError, describe
from simulator.extract.raw_graph import RawGraph, RawOperator, operand, output_layout, side_layout
from simulator.extract.views import (
    COPY_INTO,
    BatchAxis,
    Cell,
    MixedImagesError,
    Seen,
    Value,
    View,
    clear_caches,
    divided,
    is_transparent,
    natural_role,
    rearranged,
    see,
)

_CREATING = frozenset(
    {
        *("empty_like", "zeros_like", "ones_like", "full_like", "rand_like", "randn_like"),
        *("new_empty", "new_zeros", "new_ones", "new_full", "new_empty_strided"),
    }
)


def trace_graph(model: nn.Module, example: torch.Tensor, name: str) -> RawGraph:
    """The operators that `model` runs on `example`, EXAMPLES images [N, C, H, W] or other inputs with the batch first.

    Raises InputError when the network fails on it, mixes the images of a batch or writes into a part of a feature map.
    """
    modules = ModuleStack(model)
    tracer = _Tracer(name, modules, example)
    try:
        with modules.following(), tracer:
            result = model(example)
    except InputError:
        raise
    except Exception as error:  # the user's forward pass may raise anything
        problem = f"network '{name}' fails on an input of shape {list(example.shape)}"
        raise InputError(f"{problem}: {_reason(error)}{_place(error)}") from error
    finally:
        clear_caches()
    if not tracer.graph.operators:
        raise InputError(f"network '{name}' runs no operator on its input")
    tracer.finish(result)
    return tracer.graph


def _reason(error: Exception) -> str:
    """What went wrong, with the kind of error where its words alone say little (a KeyError's are a key)."""
    words = (str(error).strip().splitlines() or [""])[0]
    if isinstance(error, RuntimeError | ValueError | TypeError | IndexError) and words:
        return words
    return f"{type(error).__name__}: {words}" if words else type(error).__name__


def _place(error: Exception) -> str:
    """Where in the network's own code, that of neither PyTorch nor this package, an error came up."""
    own = (Path(torch.__file__).parent, Path(__file__).parents[1])
    frames = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if not frame.filename.startswith("<") and not any(Path(frame.filename).is_relative_to(path) for path in own)
    ]
    return f" ({Path(frames[-1].filename).name}, line {frames[-1].lineno})" if frames else ""


class _Tracer(OperatorMode):  # type: ignore[no-untyped-call]
    """Follows the feature maps through the run and describes what each operator does with them."""

    def __init__(self, name: str, modules: ModuleStack, example: torch.Tensor) -> None:
        super().__init__()
        self._name = name
        self._modules = modules
        self._views: Any = WeakTensorKeyDictionary()
        self._mixed: Any = WeakTensorKeyDictionary()
        self._written_buffers: dict[int, torch.Tensor] = {}
        axis = BatchAxis(0)
        dims = divided(tuple(example.shape), axis)
        value = Value(natural_role(dims, axis).layout(dims, axis))
        self._views[example] = View(Cell(value))
        self.graph = RawGraph(value)

    def finish(self, result: Any) -> None:
        """Notes which values the network returned."""
        leaves = [leaf for leaf in tree_leaves(result) if isinstance(leaf, torch.Tensor)]
        views = [self._view(leaf) for leaf in leaves if leaf not in self._mixed or len(leaves) == 1]
        self.graph.outputs = [view.cell.value for view in views if view is not None]

    def operator(self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Runs an operator and notes what it did."""
        result = func(*args, **kwargs)
        if is_transparent(func):
            self._follow(func, args, kwargs, result)
        else:
            self._note(func, args, kwargs, result)
        return result

    def _view(self, tensor: torch.Tensor) -> View | None:
        """The view that a tensor has of a value; None for one that no feature map went into.

        Raises InputError for one that images of the batch were combined in: it may decide something, not flow on.
        """
        if tensor in self._mixed:
            raise self._mixed[tensor]
        view: View | None = self._views.get(tensor)
        if view is None and self._written_buffers and tensor.untyped_storage()._cdata in self._written_buffers:
            raise self._error("copy_", "writes a feature map in place into memory that is read under another name")
        return view

    def _follow(self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any], result: Any) -> None:
        """Carries a value's identity over to what a view or copy of it gave."""
        if not args or not isinstance(args[0], torch.Tensor):
            return
        if operator_name(func) == COPY_INTO:
            self._copy_into(args[0], args[1])
            return
        results = [result] if isinstance(result, torch.Tensor) else list(result)
        if args[0] in self._mixed:
            for tensor in results:
                self._mixed[tensor] = self._mixed[args[0]]
            return
        view = self._view(args[0])
        if view is None:
            return
        for tensor, seen in zip(results, rearranged(func, view, args, kwargs, result), strict=True):
            self._views[tensor] = seen

    def _copy_into(self, target: torch.Tensor, source: torch.Tensor) -> None:
        view = self._view(source)
        if target is source or (view is None and self._views.get(target) is None):
            return
        if view is None or target.shape != source.shape:
            raise self._error("copy_", "overwrites a feature map in place with something else")
        self._replace(target, View(Cell(view.cell.value), view.index), "copy_")

    def _note(self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any], result: Any) -> None:
        """Records an operator that does more than move elements."""
        position = len(self.graph.sequence)
        self.graph.sequence.append(func)
        name = operator_name(func)
        outputs = [item for item in tree_leaves(result) if isinstance(item, torch.Tensor)]
        arguments = _bound(func, args, kwargs)
        if name in _CREATING or not outputs:
            return
        written = [
            arguments[argument.name]
            for argument in func._schema.arguments
            if argument.alias_info is not None
            and argument.alias_info.is_write
            and isinstance(arguments[argument.name], torch.Tensor)
        ]
        try:
            seen = self._seen(arguments)
            if not seen:
                return
            operation = describe(Call(name, arguments, seen, tuple(outputs[0].shape)), func)
            operator = self._operator(position, operation, outputs)
        except WeightsError as weights:
            problem = (
                f"multiplies by weights {list(weights.shape)}, which is not modelled (as recurrent layers are not)"
            )
            raise self._error(name, problem) from None
        except MixedImagesError as mixed:
            problem = "combines the images of a batch, so that nothing can be recorded per image"
            error = mixed.args[0] if mixed.args else self._error(name, problem)
            if written:
                raise error from None
            for tensor in outputs:
                self._mixed[tensor] = error
            return
        self.graph.operators.append(operator)
        for target in written:
            if target in self._views and not any(target is tensor for tensor in outputs):
                raise self._error(name, "overwrites a feature map that it does not return")
        for value, tensor in zip(operator.outputs, outputs, strict=True):
            if any(tensor is target for target in written):
                self._replace(tensor, View(Cell(value)), name)
            else:
                self._views[tensor] = View(Cell(value))

    def _seen(self, arguments: Mapping[str, Any]) -> dict[str, Seen]:
        """What the operator sees of feature maps, by argument (items of a list by number).

        Raises MixedImagesError, with the error to show, when all it reads are combinations of images.
        """
        tensors = [item for item in tree_leaves(list(arguments.values())) if isinstance(item, torch.Tensor)]
        mixed = [item for item in tensors if item in self._mixed]
        if mixed and not any(item in self._views for item in tensors):
            raise MixedImagesError(self._mixed[mixed[0]])
        seen: dict[str, Seen] = {}
        for name, argument in arguments.items():
            listed = isinstance(argument, list | tuple)
            for number, item in enumerate(argument if listed else [argument]):
                view = self._view(item) if isinstance(item, torch.Tensor) else None
                if view is not None:
                    seen[f"{name}.{number}" if listed else name] = see(view, item.shape)
        return seen

    def _operator(self, position: int, operation: Operation, outputs: list[torch.Tensor]) -> RawOperator:
        layout = output_layout(operation, tuple(outputs[0].shape))
        together = layout if operation.role is None else None
        operands = [
            operand(seen, role, together if number else None) for number, (seen, role) in enumerate(operation.operands)
        ]
        values = [Value(layout, position)]
        for number, tensor in enumerate(outputs[1:], 1):
            values.append(Value(side_layout(tensor, operation.axis), position, number))
        path, leaf = self._modules.innermost
        argument_layout = None
        ifm, role = operation.operands[0]
        if operation.ifm_argument is not None and role is not None:
            argument_layout = role.layout(ifm.dims, ifm.axis)
        return RawOperator(
            position,
            operation,
            operands,
            values,
            path,
            leaf,
            argument_layout=argument_layout,
            kernel_map=_kernel_map(operation.weight),
        )

    def _replace(self, target: torch.Tensor, new: View, name: str) -> None:
        """An in-place operator gave `target`'s memory a new value; all whole views of it see that."""
        old = self._views.get(target)
        if old is None:
            storage = target.untyped_storage()
            if storage.nbytes() != target.numel() * target.element_size():
                raise self._error(name, "writes a feature map into a part of a buffer in place")
            self._written_buffers[storage._cdata] = target
            self._views[target] = new
        elif old.index is None and new.index is None:
            old.cell.value = new.cell.value
        else:
            raise self._error(name, "writes into a part or a permutation of a feature map in place")

    def _error(self, operator: str, problem: str) -> InputError:
        path, _ = self._modules.innermost
        where = f" in module '{path}'" if path else ""
        return InputError(f"network '{self._name}': operator '{operator}'{where} {problem}")


def _bound(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
    """A call's arguments by the schema's names, defaults included."""
    bound: dict[str, Any] = {}
    for position, argument in enumerate(func._schema.arguments):
        given = args[position] if position < len(args) else argument.default_value
        bound[argument.name] = kwargs.get(argument.name, given)
    return bound


def _kernel_map(weight: torch.Tensor | None) -> npt.NDArray[np.uint8] | None:
    if weight is None or weight.is_meta:
        return None
    nonzero = (weight != 0).reshape(weight.shape[0], -1).cpu().numpy()
    return None if nonzero.all() else np.packbits(nonzero, axis=-1)
