"""From operators to layers: batch norm and activations go into the layer before them, padding into the one after."""

from collections import Counter
from dataclasses import dataclass, replace

from simulator.extract.layout import Layout, product
from simulator.extract.raw_graph import RawGraph, RawOperator, reading
from simulator.extract.views import Value

_SUFFIX = {"concat": "cat", "multiply": "mul", "subtract": "sub", "divide": "div"}
_TAKES_PADDING = frozenset({"conv", "max_pool", "average_pool"})


@dataclass(eq=False)
class FoldedLayer:
    """A layer to be: the operator that does its work, those folded into it and their names, in order."""

    name: str
    operator: RawOperator
    folded: list[RawOperator]
    fused: tuple[str, ...]

    @property
    def last(self) -> RawOperator:
        """The operator whose output the layer writes."""
        return self.folded[-1] if self.folded else self.operator

    @property
    def output(self) -> Value:
        """The value that the layer writes."""
        return self.last.outputs[0]


def fold(graph: RawGraph) -> list[FoldedLayer]:
    """The layers of a network, in the order of execution, with unique names."""
    operators = _taken_over(graph)
    readers = _readers(operators)
    returned = {id(value) for value in graph.outputs}
    layers: list[FoldedLayer] = []
    done: set[int] = set()
    for operator in operators:
        if operator.position in done:
            continue
        folded: list[RawOperator] = []
        last = operator
        while operator.operation.operator != "concat" and id(last.outputs[0]) not in returned:
            following = readers.get(id(last.outputs[0]), [])
            if len(following) != 1 or not _folds(following[0]) or _side_outputs_read(last, readers):
                break
            last = following[0]
            folded.append(last)
            done.add(last.position)
        labels = [item.operation.label for item in folded]
        if folded and _is_bias(operator, folded[0]):
            labels.pop(0)
        labels[:0] = operator.taken_over
        if operator.operation.operator in ("activation", "elementwise", "reduce"):
            labels.insert(0, operator.operation.label)
        layers.append(FoldedLayer("", operator, folded, tuple(labels)))
    _name(layers)
    return layers


def _is_bias(operator: RawOperator, first: RawOperator) -> bool:
    """Whether the first folded operator only adds what PyTorch adds by itself for another shape of the input."""
    return (
        operator.operation.ifm_argument is not None
        and first.operation.label == "add_constant"
        and first.module == operator.module
        and first.module != ""
    )


def _folds(operator: RawOperator) -> bool:
    return operator.operation.foldable and len(operator.operands) == 1 and operator.operands[0].layout is None


def _readers(operators: list[RawOperator]) -> dict[int, list[RawOperator]]:
    """By the value's identity, the operators that read it, each as often as it does."""
    readers: dict[int, list[RawOperator]] = {}
    for operator in operators:
        for operand in operator.operands:
            readers.setdefault(id(operand.value), []).append(operator)
    return readers


def _side_outputs_read(operator: RawOperator, readers: dict[int, list[RawOperator]]) -> bool:
    return any(id(value) in readers for value in operator.outputs[1:])


def _taken_over(graph: RawGraph) -> list[RawOperator]:
    """The operators without those that all of their readers do themselves.

    A zero padding becomes that of the convolutions and pools behind it, and multiplying a part of a feature map by one
    number (attention's queries) is left to the matrix products behind it.
    """
    readers = _readers(graph.operators)
    returned = {id(value) for value in graph.outputs}
    gone: dict[int, RawOperator] = {}
    operators: list[RawOperator] = []
    for operator in graph.operators:
        output = id(operator.outputs[0])
        following = readers.get(output, [])
        if output not in returned and following and all(_takes_over(reader, operator) for reader in following):
            gone[output] = operator
            continue
        for number, operand in enumerate(operator.operands):
            before = gone.get(id(operand.value))
            if before is not None:
                operator = _with_padding(operator, before) if before.operation.zero_padding else operator
                operator = _with_scaling(operator, before, number) if before.operation.scales else operator
        operators.append(operator)
    return operators


def _takes_over(reader: RawOperator, operator: RawOperator) -> bool:
    if len(operator.operands) != 1:
        return False
    [before] = operator.operands
    if operator.operation.scales:
        return before.layout is not None and reader.operation.operator == "matmul"
    return (
        operator.operation.zero_padding is not None
        and reader.operation.operator in _TAKES_PADDING
        and len(reader.operation.operands[0][0].dims) == 4
        and reader.operation.operands[0][0].dims[0] == 1
        and reader.operands[0].layout is None
        and reader.operands[0].shape[0] == before.shape[0]
    )


def _with_padding(operator: RawOperator, padding: RawOperator) -> RawOperator:
    extra = padding.operation.zero_padding
    assert extra is not None
    own = operator.operation.padding
    shape = padding.operands[0].shape
    total = (own[0] + extra[0], own[1] + extra[1], own[2] + extra[2], own[3] + extra[3])
    return replace(
        operator,
        operation=replace(operator.operation, padding=total),
        operands=padding.operands,
        argument_layout=Layout(shape, product(shape), product(shape)),
        argument_padding=extra,
    )


def _with_scaling(operator: RawOperator, scaling: RawOperator, number: int) -> RawOperator:
    """The operator with operand `number` read from in front of the scaling."""
    operand = operator.operands[number]
    layout = operand.layout or operand.value.layout
    seen, _ = scaling.operation.operands[0]
    positions = seen.positions.reshape(-1)
    order = positions if layout.order is None else positions[layout.order.long()]
    operands = list(operator.operands)
    operands[number] = reading(seen.value, operand.shape, order, order.numel())
    names = operator.taken_over or (scaling.operation.label,)
    return replace(operator, operands=operands, taken_over=names)


def _name(layers: list[FoldedLayer]) -> None:
    """Names each layer after its module, and after the operator where the module is a container; repeats get "#2"."""
    used: Counter[str] = Counter()
    taken: set[str] = set()
    for layer in layers:
        operation = layer.operator.operation
        suffix = _SUFFIX.get(operation.operator, operation.operator)
        path = layer.operator.module
        name = path if path and layer.operator.leaf else f"{path}.{suffix}" if path else suffix
        used[name] += 1
        unique = name if used[name] == 1 else f"{name}#{used[name]}"
        while unique in taken:
            used[name] += 1
            unique = f"{name}#{used[name]}"
        taken.add(unique)
        layer.name = unique
