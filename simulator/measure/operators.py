"""The time of every operator of a network, read while the network runs."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

from simulator.extract.dispatch import OperatorMode, operator_name
from simulator.extract.fold import fold
from simulator.extract.raw_graph import RawGraph
from simulator.extract.tracer import trace_graph
from simulator.extract.views import EXAMPLES, is_transparent
from simulator.measure.devices import Machine, Mark
from simulator.measure.schema import OperatorTime, Spread
from simulator.measure.workloads import Workload
from simulator.trace.unfold import folded_names

OTHER = "other"
"""How operators are called that belong to no layer of the trace: memory that is set aside, padding."""


@dataclass(frozen=True)
class _Place:
    """One operator of a run: the layer's name in the trace, and the operator's."""

    name: str
    operator: str


def operator_times(workload: Workload, machine: Machine, repeats: int, warm_up: int) -> list[OperatorTime]:
    """Every operator's latency over `repeats` runs of the network.

    Operators are timed where they run, not each on its own: caches then hold what the operators before have left there,
    and weights have been displaced by those of other layers, as in the whole network. Operators that are views take no
    time and are left out; those of one layer and name (a bias that PyTorch adds by itself) count together.
    """
    places = _places(workload)
    sums: list[dict[_Place, float]] = []
    for number in range(warm_up + repeats):
        clock = _Clock(machine)
        with torch.no_grad(), clock:
            workload.model(workload.images)
        machine.wait()
        if number < warm_up:
            continue
        taken: dict[_Place, float] = {}
        for place, microseconds in zip(_matched(places, clock.ran), clock.microseconds(), strict=True):
            taken[place] = taken.get(place, 0.0) + microseconds
        sums.append(taken)
    return [
        OperatorTime(name=place.name, operator=place.operator, latency_us=Spread.of([taken[place] for taken in sums]))
        for place in sums[0]
    ]


def operator_places(graph: RawGraph) -> list[tuple[Any, str | None]]:
    """Every operator of a run that does more than move elements, with the layer's name, None for what is in none."""
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


def _places(workload: Workload) -> list[tuple[Any, str | None]]:
    """The places of the network's operators, traced on images that lie as the workload's do."""
    images = workload.images[:1].repeat(EXAMPLES, 1, 1, 1)
    if workload.images.is_contiguous(memory_format=torch.channels_last) and not workload.images.is_contiguous():
        images = images.contiguous(memory_format=torch.channels_last)
    with torch.no_grad():
        return operator_places(trace_graph(workload.model, images, workload.name))


def _matched(places: list[tuple[Any, str | None]], ran: list[Any]) -> list[_Place]:
    """The place of each operator that ran; a batch may add operators that the traced run did not have."""
    found, position = [], 0
    for func in ran:
        ahead = next((at for at in range(position, min(position + 3, len(places))) if places[at][0] is func), None)
        name = None
        if ahead is not None:
            name, position = places[ahead][1], ahead + 1
        operator = operator_name(func)
        found.append(_Place(name or f"{OTHER}/{operator}", operator))
    return found


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
