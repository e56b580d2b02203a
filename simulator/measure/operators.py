"""The time of every operator of a network, read while the network runs."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from simulator.extract.dispatch import OperatorMode, operator_name
from simulator.extract.fold import fold
from simulator.extract.raw_graph import RawGraph
from simulator.extract.tracer import trace_graph
from simulator.extract.views import EXAMPLES, is_transparent
from simulator.measure.devices import Machine, Mark
from simulator.measure.nsight import Counters
from simulator.measure.schema import OperatorTime, Spread
from simulator.measure.workloads import Workload
from simulator.trace.unfold import folded_names

OTHER = "other"
"""How operators are called that belong to no layer of the trace: memory that is set aside, padding."""

_ON_THE_HOST = {"cudnn_batch_norm": "native_batch_norm"}
"""Operators that only GPUs run, and what the host runs in their place."""

_MARGIN = 1.5
"""How much longer than handing the work over takes a GPU is kept busy."""


@dataclass(frozen=True)
class Place:
    """One operator of a run: the layer's name in the trace, and the operator's."""

    name: str
    operator: str


Places = Sequence[tuple[Any, str | None]]
"""Every operator of a run that does more than move elements, with the layer's name, None for what is in none."""


def operator_times(
    workload: Workload,
    machine: Machine,
    places: Places,
    repeats: int,
    warm_up: int,
    counters: Counters | None = None,
) -> list[OperatorTime]:
    """Every operator's latency over `repeats` runs of the network; with its DRAM bytes where they were counted.

    Operators are timed where they run, not each on its own: caches then hold what the operators before have left there,
    and weights have been displaced by those of other layers, as in the whole network. A GPU is kept busy until it was
    given all of them, so that they follow each other as closely as they can. Operators that are views take no time and
    are left out; those of one layer and name (a bias that PyTorch adds by itself) count together.
    """
    sums: list[dict[Place, float]] = []
    numbers: dict[Place, list[int]] = {}
    handing_over = 0.0
    for number in range(warm_up + repeats):
        clock = _Clock(machine)
        if number:
            machine.keep_busy(_MARGIN * handing_over)
        begin = time.perf_counter()
        with torch.no_grad(), clock:
            workload.model(workload.images)
        if number == min(1, warm_up - 1):  # the first run also loads kernels
            handing_over = time.perf_counter() - begin
        machine.wait()
        if number < warm_up:
            continue
        found = matched(places, clock.ran)
        taken: dict[Place, float] = {}
        for place, microseconds in zip(found, clock.microseconds(), strict=True):
            taken[place] = taken.get(place, 0.0) + microseconds
        sums.append(taken)
    for at, place in enumerate(found):
        numbers.setdefault(place, []).append(at)
    with machine.profiled(), torch.no_grad(), _Clock(machine):
        workload.model(workload.images)
    return [
        OperatorTime(
            name=place.name,
            operator=place.operator,
            latency_us=Spread.of([taken[place] for taken in sums]),
            dram_bytes=None if counters is None else counters.of(numbers[place]),
        )
        for place in sums[0]
    ]


def operator_places(graph: RawGraph) -> Places:
    """The places of a traced run's operators, in the order of execution."""
    names: dict[int, str] = {}
    for layer in fold(graph):
        names[layer.operator.position] = layer.name
        behind = layer.folded
        skipped = len(layer.folded) - _labels(layer.fused, layer.operator.operation.operator, layer.operator.taken_over)
        for operator in behind[:skipped]:  # a bias, which the layer adds itself
            names[operator.position] = layer.name
        labels = [operator.operation.label for operator in behind[skipped:]]
        for operator, name in zip(behind[skipped:], folded_names(layer.name, labels), strict=True):
            names[operator.position] = name
    return [(func, names.get(position)) for position, func in enumerate(graph.sequence)]


def _labels(fused: tuple[str, ...], operator: str, taken_over: tuple[str, ...]) -> int:
    """How many of a layer's names stand for operators that follow it."""
    return len(fused) - len(taken_over) - (operator in ("activation", "elementwise", "reduce"))


def traced_places(name: str, model: nn.Module, shape: tuple[int, int, int], layout: torch.memory_format) -> Places:
    """The places of a network's operators, traced on the host on images that lie as those that will be measured."""
    images = torch.zeros(EXAMPLES, *shape).contiguous(memory_format=layout)
    with torch.no_grad():
        return operator_places(trace_graph(model, images, name))


def matched(places: Places, ran: Sequence[Any]) -> list[Place]:
    """The place of each operator that ran; a batch may add operators that the traced run did not have."""
    found, position = [], 0
    for func in ran:
        ahead = next((at for at in range(position, min(position + 3, len(places))) if _same(places[at][0], func)), None)
        name = None
        if ahead is not None:
            name, position = places[ahead][1], ahead + 1
        operator = operator_name(func)
        found.append(Place(name or f"{OTHER}/{operator}", operator))
    return found


def _same(traced: Any, ran: Any) -> bool:
    """Whether an operator is the one that the host runs in its place."""
    return traced is ran or operator_name(traced) == _ON_THE_HOST.get(operator_name(ran))


class _Clock(OperatorMode):  # type: ignore[no-untyped-call]
    """Marks the moments before and after every operator."""

    def __init__(self, machine: Machine) -> None:
        super().__init__()
        self.ran: list[Any] = []
        self._machine = machine
        self._marks: list[tuple[Mark, Mark]] = []
        self._range: Callable[[str], Any] | None = torch.cuda.nvtx.range if machine.kind == "cuda" else None

    def operator(self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Runs an operator between two marks; on a GPU within a range that profilers show."""
        if is_transparent(func):
            return func(*args, **kwargs)
        if self._range is None:
            first = self._machine.mark()
            result = func(*args, **kwargs)
            last = self._machine.mark()
        else:
            with self._range(f"fmapsim {len(self.ran)} {operator_name(func)}"):
                first = self._machine.mark()
                result = func(*args, **kwargs)
                last = self._machine.mark()
        self.ran.append(func)
        self._marks.append((first, last))
        return result

    def microseconds(self) -> list[float]:
        """The time of each operator, when all are done."""
        return [first.microseconds_until(last) for first, last in self._marks]
