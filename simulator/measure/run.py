"""A session on a device: its ceilings, networks, and what zeros do to it."""

import datetime
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch

from simulator.errors import InputError
from simulator.measure.ceilings import ceilings, tensor_float
from simulator.measure.devices import PRECISIONS, Kind, Machine, host_load, machine
from simulator.measure.nsight import Counters
from simulator.measure.operators import Places, operator_times, traced_places
from simulator.measure.schema import Measurement, NetworkRun, Precision, Spread, Variant, ZeroRun
from simulator.measure.workloads import build, layout_of, network_shapes, prepared
from simulator.measure.zeros import zero_runs
from simulator.version import VERSION


@dataclass(frozen=True)
class Request:
    """What to measure.

    seconds: of readings of each whole network and ceiling. repeats, warm_up: runs in which operators are read, and runs
    before them. threads: of a CPU, None for all. zeros: whether kernels are also measured on operands with zeros.
    counters: DRAM bytes by network, from a profiler.
    """

    networks: Sequence[str]
    device: Kind = "cpu"
    batches: Sequence[int] = (1,)
    precisions: Sequence[Precision] = ("fp32",)
    variants: Sequence[Variant] = ("eager",)
    seconds: float = 2.0
    repeats: int = 15
    warm_up: int = 3
    threads: int | None = None
    zeros: bool = False
    counters: Mapping[str, Counters] | None = None

    def __post_init__(self) -> None:
        for precision in self.precisions:
            if precision not in PRECISIONS[self.device]:
                known = ", ".join(PRECISIONS[self.device])
                raise InputError(f"precision {precision} on device {self.device}: expected one of {known}")
        for name, values in (("network", self.networks), ("batch", self.batches), ("precision", self.precisions)):
            if len(set(values)) < len(values):
                raise InputError(f"{name} given twice in {', '.join(map(str, values))}")
        if self.device == "cpu" and "graph" in self.variants:
            raise InputError("variant graph on device cpu: kernels are captured and replayed on GPUs only")
        if self.counters and len(self.batches) * len(self.precisions) * len(self.variants) > 1:
            raise InputError("counters are of one run: expected one batch, precision and variant")
        if any(batch < 1 for batch in self.batches):
            raise InputError(f"batch: found {min(self.batches)}, expected 1 or more")
        if self.seconds <= 0 or self.repeats < 1:
            raise InputError("seconds and repeats: expected more than 0")


def measure(request: Request, command: str, progress: Callable[[int, int], None] | None = None) -> Measurement:
    """Measures everything asked for; `progress` gets (parts done, parts).

    Raises InputError for an unknown network, or a device that is not there.
    """
    for name in request.networks:
        network_shapes(name)
    device = machine(request.device, request.threads)
    load = host_load() if request.device == "cpu" else None
    combinations = [
        (batch, precision, variant)
        for batch in request.batches
        for precision in request.precisions
        for variant in request.variants
    ]
    parts = 1 + len(request.networks) * len(combinations) + request.zeros
    done = 0

    def advance() -> None:
        nonlocal done
        done += 1
        if progress is not None:
            progress(done, parts)

    limits = ceilings(device, request.precisions, min(request.seconds, 1.0))
    advance()
    runs: list[NetworkRun] = []
    for name in request.networks:
        network = _Network(name)
        for batch, precision, variant in combinations:
            runs.append(_network_run(request, device, network, batch, precision, variant))
            advance()
    zeros: list[ZeroRun] = []
    if request.zeros:
        zeros = list(zero_runs(device, request.precisions, min(request.seconds, 0.3)))
        advance()
    return Measurement(
        fmapsim=VERSION,
        taken=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        command=command,
        device=device.describe(load),
        ceilings=tuple(limits),
        networks=tuple(runs),
        zeros=tuple(zeros),
    )


class _Network:
    """A network that is built once, and traced once for each layout of its feature maps."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.model, self.shape = build(name)
        self._places: dict[torch.memory_format, Places] = {}

    def places(self, variant: Variant) -> Places:
        """Where its operators are."""
        layout = layout_of(variant)
        if layout not in self._places:
            self._places[layout] = traced_places(self.name, self.model, self.shape, layout)
        return self._places[layout]


def _network_run(
    request: Request, device: Machine, network: _Network, batch: int, precision: Precision, variant: Variant
) -> NetworkRun:
    name = network.name
    counters = (request.counters or {}).get(name)
    with tensor_float(precision):
        workload = prepared(
            network.model, network.shape, batch=batch, precision=precision, variant=variant, device=request.device
        )
        for _ in range(request.warm_up):
            workload.run()
        whole = Spread.of(device.readings(workload.run, request.seconds))
        operators = []
        if variant in ("eager", "channels_last"):
            places = network.places(variant)
            operators = operator_times(workload, device, places, request.repeats, request.warm_up, counters)
    return NetworkRun(
        network=name,
        batch=batch,
        precision=precision,
        variant=variant,
        weights="random",
        macs=batch * sum(layer.macs for layer in network_shapes(name).layers),
        warm_up=request.warm_up,
        latency_us=whole,
        operators=tuple(operators),
        dram_bytes=None if counters is None else counters.total,
    )
