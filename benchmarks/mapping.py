"""What planning a layer costs, and how far the planned DRAM traffic is from what cannot be avoided."""

import json
from collections.abc import Iterator

from benchmarks.options import Options
from benchmarks.process import measure, task
from benchmarks.results import Row

NAME = "mapping"
NETWORKS = ("vgg16", "resnet50", "mobilenet_v2")
CAPACITIES_KIB = (108, 512, 4096)
BOUND_MS = 30.0
TURNS = 3


def run(options: Options) -> Iterator[Row]:
    """CPU time of the slowest layer, and traffic over the compulsory and over the lower bound, per network and size."""
    cases = [(network, kib) for network in NETWORKS for kib in CAPACITIES_KIB]
    for network, kib in cases[:1] if options.quick else cases:
        run = measure(task("plan_network", network, str(kib), str(1 if options.quick else TURNS)))
        yield from _rows(f"{network}, {_size(kib)}", json.loads(run.output), None if options.quick else BOUND_MS)


def _rows(what: str, found: dict[str, dict[str, float] | float], bound: float | None) -> Iterator[Row]:
    seconds, planned, compulsory, least = (found[key] for key in ("seconds", "planned", "compulsory", "least"))
    assert isinstance(seconds, dict)
    assert isinstance(planned, float)
    slowest = max(seconds, key=seconds.__getitem__)
    mean = 1e3 * sum(seconds.values()) / len(seconds)
    note = f"{slowest}; mean {mean:.1f} ms, {len(seconds)} distinct layers"
    yield Row(NAME, f"{what}: CPU of the slowest layer", 1e3 * seconds[slowest], "ms", bound, note=note)
    for name, floor in (("compulsory", compulsory), ("lower bound", least)):
        assert isinstance(floor, float)
        note = f"{planned / 1e6:.2f} MB planned, {floor / 1e6:.2f} MB"
        yield Row(NAME, f"{what}: DRAM bytes over {name}", planned / floor, "×", note=note)


def _size(kib: int) -> str:
    return f"{kib // 1024} MiB" if kib % 1024 == 0 else f"{kib} KiB"
