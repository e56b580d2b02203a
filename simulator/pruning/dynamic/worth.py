"""What it is worth on an accelerator that one feature map is not there, from a simulation with nothing pruned.

A map's part of what its writer stores and its readers load, and of each reader's work the part of one input channel:
kernel slices, cycles or energy. That ranks maps against each other; what pruning saves in the end is simulated anew.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

from simulator.report.report import Report
from simulator.trace.records import ARRAY_OPERATORS, Layer
from simulator.trace.trace import Trace

Objective = Literal["dram_bytes", "cycles", "energy"]


@dataclass(frozen=True)
class Worth:
    """Of one map of average density, in the objective's unit: what its values move, and what goes with them."""

    values: float
    work: float

    @property
    def total(self) -> float:
        """Both together."""
        return self.values + self.work


def map_worths(trace: Trace, report: Report, objective: Objective, *, kernels_stay: bool) -> dict[str, Worth]:
    """By layer, the worth of one of the feature maps that it writes.

    report: of the trace on the accelerator, without pruning. kernels_stay: whether kernel slices are loaded for maps
    that are not there (a mean stands for them).
    """
    costs = _Costs(report, objective, kernels_stay=kernels_stay)
    readers: dict[int, list[Layer]] = {}
    for layer in trace.layers:
        for tensor in layer.inputs:
            readers.setdefault(_own(trace, tensor), []).append(layer)
    wholes = {part: layer.output for layer in trace.layers for part in trace.tensors[layer.output].parts}
    result = {}
    for layer in trace.layers:
        channels = layer.ofm[0]
        elements = trace.tensors[layer.output].elements
        values, work = costs.stored(layer) / channels, 0.0
        reading, tensor = list(readers.get(layer.output, [])), layer.output
        while tensor in wholes:
            tensor = wholes[tensor]
            reading += readers.get(tensor, [])
        for reader in reading:
            everything = sum(trace.tensors[index].elements for index in reader.inputs)
            values += costs.loaded(reader) * elements / everything / channels
            if reader.operator in ARRAY_OPERATORS:
                work += costs.worked(reader) * elements / everything / channels
        result[layer.name] = Worth(values, work)
    return result


def _own(trace: Trace, tensor: int) -> int:
    source = trace.tensors[tensor].source
    return tensor if source is None else source


class _Costs:
    """What each layer stores, loads and works, in the unit of the objective."""

    def __init__(self, report: Report, objective: Objective, *, kernels_stay: bool) -> None:
        self._objective, self._kernels_stay = objective, kernels_stay
        rows = zip(
            *(report.column("traffic", name) for name in ("layer", "operand", "level", "direction", "bytes")),
            strict=True,
        )
        self._moved: dict[tuple[str, str, str], float] = {}
        for layer, operand, level, direction, moved in rows:
            if level == "dram":
                self._moved[layer, operand, direction] = float(moved)
        layers = [str(name) for name in report.column("layers", "layer")]
        bytes_of = dict(zip(layers, report.column("layers", "dram_bytes"), strict=True))
        self._other: Mapping[str, float] = dict.fromkeys(layers, 0.0)
        self._per_byte = 1.0
        if objective != "dram_bytes":
            name = "cycles" if objective == "cycles" else "energy_pj"
            cost = dict(zip(layers, report.column("layers", name).astype(np.float64), strict=True))
            # A byte's share is that of DRAM time or energy; the rest of a layer is work.
            busy = sum(report.column("layers", "dram_busy_cycles")) if objective == "cycles" else _dram_energy(report)
            self._per_byte = float(busy) / max(sum(map(float, bytes_of.values())), 1.0)
            self._other = {layer: max(cost[layer] - self._per_byte * bytes_of[layer], 0.0) for layer in layers}

    def _bytes(self, layer: str, *which: tuple[str, str]) -> float:
        return self._per_byte * sum(self._moved.get((layer, *one), 0.0) for one in which)

    def stored(self, layer: Layer) -> float:
        return self._bytes(layer.name, ("ofm", "write"), ("metadata", "write"))

    def loaded(self, layer: Layer) -> float:
        return self._bytes(layer.name, ("ifm", "read"), ("metadata", "read"))

    def worked(self, layer: Layer) -> float:
        kernels = 0.0 if self._kernels_stay else self._bytes(layer.name, ("kernel", "read"))
        return kernels + self._other.get(layer.name, 0.0)


def _dram_energy(report: Report) -> float:
    components, energy = report.column("energy", "component"), report.column("energy", "energy_pj")
    return float(sum(value for name, value in zip(components, energy, strict=True) if name == "dram"))
