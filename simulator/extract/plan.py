"""What a run records: the layers and tensors of the trace, and at which operator each tensor is to be read."""

from collections.abc import Container
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from simulator.extract.fold import FoldedLayer, fold
from simulator.extract.layout import Layout, same_order
from simulator.extract.raw_graph import Operand, RawGraph
from simulator.extract.views import Value
from simulator.trace.records import Layer, Tensor


@dataclass(frozen=True, eq=False)
class Recording:
    """A tensor of the trace and how to read it from a raw output (or, for a pruned IFM, from an argument)."""

    tensor: int
    layout: Layout


@dataclass(frozen=True, eq=False)
class IfmCopy:
    """A layer that reads a pruned copy of its IFM: its name, the argument to replace and how to read that.

    padding is the zero padding (top, left, bottom, right) that the argument has around the IFM.
    """

    layer: str
    argument: int
    padding: tuple[int, int, int, int]
    recording: Recording


@dataclass(eq=False)
class Step:
    """What to do at one operator of the run.

    layer: the layer whose output it writes, if any, and layout: how to read that. recordings: by number of the
    operator's output. ifm: the pruned copy that it reads.
    """

    func: Any
    layer: str | None = None
    layout: Layout | None = None
    recordings: dict[int, list[Recording]] = field(default_factory=dict)
    ifm: IfmCopy | None = None


@dataclass(eq=False)
class Plan:
    """The trace's layers and tensors, and a step for every operator of the run.

    input: what to record of the network's input. kernel_maps: packed zero-map by layer index. prunable: the layers
    whose output may be pruned; array_layers: those whose IFM may be. unrecognised: operators outside the table.
    """

    layers: list[Layer]
    tensors: list[Tensor]
    steps: list[Step]
    input: list[Recording]
    kernel_maps: dict[int, npt.NDArray[np.uint8]]
    prunable: list[str]
    array_layers: list[str]
    unrecognised: list[str]


def make_plan(graph: RawGraph, pruned_ifms: Container[str] = ()) -> Plan:
    """The plan of recording a network, with a tensor of its own for each layer of `pruned_ifms`' pruned IFM."""
    return _Planner(graph, pruned_ifms).plan()


class _Planner:
    def __init__(self, graph: RawGraph, pruned_ifms: Container[str]) -> None:
        self._graph = graph
        self._pruned_ifms = pruned_ifms
        self._folded = fold(graph)
        self._tensors: list[Tensor] = []
        self._stored: dict[int, int] = {}
        self._readings: dict[int, list[Recording]] = {}
        self._steps = [Step(func) for func in graph.sequence]

    def plan(self) -> Plan:
        """Tensors in the order in which they first appear, the network's input first."""
        graph = self._graph
        self._store(graph.input, Tensor(graph.input.shape))
        layers = [self._layer(folded) for folded in self._folded]
        returned = {id(value) for value in graph.outputs}
        operators = [folded.operator.operation for folded in self._folded]
        return Plan(
            layers=layers,
            tensors=self._tensors,
            steps=self._steps,
            input=self._readings[id(graph.input)],
            kernel_maps={
                index: folded.operator.kernel_map
                for index, folded in enumerate(self._folded)
                if folded.operator.kernel_map is not None
            },
            prunable=[
                folded.name
                for folded in self._folded
                if folded.operator.operation.operator != "concat" and id(folded.output) not in returned
            ],
            array_layers=[folded.name for folded in self._folded if folded.operator.operation.ifm_argument is not None],
            unrecognised=sorted({operation.label for operation in operators if not operation.recognised}),
        )

    def _layer(self, folded: FoldedLayer) -> Layer:
        operation = folded.operator.operation
        operands = folded.operator.operands
        inputs = [self._input(operand) for operand in operands]
        if operation.ifm_argument is not None and folded.name in self._pruned_ifms:
            inputs[0] = self._pruned_copy(folded, inputs[0])
        output = folded.output
        shape = folded.operator.outputs[0].shape
        parts = tuple(inputs) if _concatenates_channels(folded) else ()
        layout = Layout(shape, output.layout.elements, output.layout.inner, output.layout.order)
        tensor = self._store(output, Tensor(shape, parts=parts), layout)
        step = self._steps[output.producer]
        step.layer, step.layout = folded.name, layout
        return Layer(
            name=folded.name,
            operator=operation.operator,
            ifm=operands[0].shape,
            ofm=shape,
            kernel=operation.kernel,
            stride=operation.stride,
            padding=operation.padding,
            dilation=operation.dilation,
            window=operation.window,
            groups=operation.groups,
            inputs=tuple(inputs),
            output=tensor,
            fused=folded.fused,
        )

    def _new(self, tensor: Tensor) -> int:
        self._tensors.append(tensor)
        return len(self._tensors) - 1

    def _store(self, value: Value, tensor: Tensor, layout: Layout | None = None) -> int:
        """A tensor of the trace for a value; those with parts are not recorded themselves."""
        index = self._stored[id(value)] = self._new(tensor)
        if value.producer < 0:
            readings: list[Recording] = []
        else:
            readings = self._steps[value.producer].recordings.setdefault(value.number, [])
        self._readings[id(value)] = readings
        if not tensor.parts:
            readings.append(Recording(index, layout or value.layout))
        return index

    def _input(self, operand: Operand) -> int:
        """The tensor that an operand reads: the stored one, or one of its own for a part or a permutation."""
        value = operand.value
        if id(value) not in self._stored:
            self._store(value, Tensor(value.shape))
        source = self._stored[id(value)]
        if operand.layout is None:
            return source
        readings = self._readings[id(value)]
        for reading in readings:
            if (
                reading.tensor != source
                and reading.layout.shape == operand.shape
                and same_order(reading.layout.order, operand.layout.order, operand.layout.elements)
            ):
                return reading.tensor
        index = self._new(Tensor(operand.shape, source=source))
        readings.append(Recording(index, operand.layout))
        return index

    def _pruned_copy(self, folded: FoldedLayer, original: int) -> int:
        operator = folded.operator
        layout, argument = operator.argument_layout, operator.operation.ifm_argument
        assert layout is not None
        assert argument is not None
        source = self._tensors[original].source
        index = self._new(Tensor(operator.operands[0].shape, source=original if source is None else source))
        copy = IfmCopy(folded.name, argument, operator.argument_padding, Recording(index, layout))
        self._steps[operator.position].ifm = copy
        return index


def _concatenates_channels(folded: FoldedLayer) -> bool:
    """Whether a concatenation's map is its operands' maps one after another."""
    operation, operands = folded.operator.operation, folded.operator.operands
    shape = folded.output.shape
    return (
        operation.operator == "concat"
        and all(operand.layout is None and operand.value.shape[1:] == shape[1:] for operand in operands)
        and sum(operand.value.shape[0] for operand in operands) == shape[0]
    )
