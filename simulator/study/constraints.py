"""Constraints of a study: expressions over settings, evaluated node by node and never as code.

`buffers.ifm.capacity + buffers.ofm.capacity <= 256 KiB`: dotted names are settings of the accelerator, quantities count
in their base units (bytes, hertz, picojoules …), `accelerator` and `pruning` alone are the design's.
"""

import ast
import itertools
import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from simulator.errors import InputError
from simulator.study.quantity import SCALES, WITHIN, plain

Value = Callable[[str], Any]
"""Gives what a dotted name stands for; raises KeyError for one that stands for nothing."""

_LONGEST = 1000
_BINARY: Mapping[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
}
_COMPARED: Mapping[type[ast.cmpop], Callable[[Any, Any], bool]] = {
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.In: lambda value, values: value in values,
    ast.NotIn: lambda value, values: value not in values,
}
_FUNCTIONS: Mapping[str, Callable[..., Any]] = {"min": min, "max": max, "abs": abs}


@dataclass(frozen=True)
class Constraint:
    """One condition that designs must fulfil. text: as written; where: file, line and key, for messages."""

    text: str
    where: str
    tree: ast.expr

    def holds(self, value: Value) -> bool:
        """Whether a design fulfils it. Raises KeyError for a name that `value` does not know, InputError for
        operations that its values do not allow, and for an expression that is no condition.
        """
        try:
            found = _evaluated(self.tree, value)
        except (TypeError, ZeroDivisionError, OverflowError, ValueError) as error:
            raise InputError(f"{self.where}: cannot evaluate '{self.text}' ({error})") from None
        if not isinstance(found, bool):
            raise InputError(
                f"{self.where}: '{self.text}' gives {found!r}, expected a condition such as "
                "buffers.ifm.capacity <= 256 KiB"
            )
        return found


def parsed(text: str, where: str) -> Constraint:
    """The constraint that `text` says. Raises InputError, which begins with `where`, for anything but comparisons, and,
    or, not, arithmetic, min, max and abs over names, numbers, quantities and text.
    """
    if len(text) > _LONGEST:
        raise InputError(f"{where}: a constraint of {len(text)} characters, expected at most {_LONGEST}")
    numbers = WITHIN.sub(lambda found: repr(plain(Decimal(found[1]) * SCALES[found[2]])), text)
    try:
        tree = ast.parse(numbers.strip(), mode="eval").body
        _check(tree)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        reason = error.msg if isinstance(error, SyntaxError) else str(error) or type(error).__name__
        raise InputError(
            f"{where}: cannot read '{text}' ({reason}); expected a condition such as buffers.ifm.capacity <= 256 KiB"
        ) from None
    return Constraint(text, where, tree)


def dotted_name(node: ast.expr) -> str | None:
    """`a.b.c` as text; None for any other expression."""
    parts = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    return ".".join([node.id, *reversed(parts)]) if isinstance(node, ast.Name) else None


def _check(node: ast.expr) -> None:
    """Raises ValueError for what a constraint may not hold."""
    if dotted_name(node) is not None:
        return
    if isinstance(node, ast.Constant) and isinstance(node.value, bool | int | float | str):
        return
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not | ast.USub | ast.UAdd):
        parts: list[ast.expr] = [node.operand]
    elif isinstance(node, ast.BoolOp):
        parts = node.values
    elif isinstance(node, ast.BinOp) and type(node.op) in _BINARY:
        parts = [node.left, node.right]
    elif isinstance(node, ast.Compare) and all(type(one) in _COMPARED for one in node.ops):
        parts = [node.left, *node.comparators]
    elif isinstance(node, ast.List | ast.Tuple):
        parts = node.elts
    elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in _FUNCTIONS:
        if node.keywords or not node.args:
            raise ValueError(f"{node.func.id} takes values alone")
        parts = node.args
    else:
        raise ValueError(f"{type(node).__name__} is not allowed")
    for part in parts:
        _check(part)


def _evaluated(node: ast.expr, value: Value) -> Any:
    name = dotted_name(node)
    if name is not None:
        return value(name)
    match node:
        case ast.Constant():
            return node.value
        case ast.UnaryOp(op=ast.Not()):
            return not _evaluated(node.operand, value)
        case ast.UnaryOp():
            operand = _evaluated(node.operand, value)
            return -operand if isinstance(node.op, ast.USub) else operand
        case ast.BoolOp(op=ast.And()):
            return all(_evaluated(part, value) for part in node.values)
        case ast.BoolOp():
            return any(_evaluated(part, value) for part in node.values)
        case ast.BinOp():
            left, right = _evaluated(node.left, value), _evaluated(node.right, value)
            for side in (left, right):
                if not isinstance(side, int | float):
                    raise TypeError(f"{side!r} is no number")
            return _BINARY[type(node.op)](left, right)
        case ast.Compare():
            sides = [_evaluated(side, value) for side in (node.left, *node.comparators)]
            steps = zip(node.ops, itertools.pairwise(sides), strict=True)
            return all(_COMPARED[type(one)](*pair) for one, pair in steps)
        case ast.List() | ast.Tuple():
            return [_evaluated(part, value) for part in node.elts]
        case ast.Call(func=ast.Name(id=function)):
            return _FUNCTIONS[function](*(_evaluated(part, value) for part in node.args))
    raise AssertionError(f"unchecked {type(node).__name__}")
