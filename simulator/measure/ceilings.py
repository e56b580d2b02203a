"""What a device reaches at best: copying, multiplying matrices, passing elements, and doing hardly anything."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
import torch.nn.functional as functional

from simulator.measure.devices import DTYPES, Machine
from simulator.measure.schema import Ceiling, Precision, Spread

_COPIES_BYTES = (1 << 20, 256 << 20)  # within a cache, and far beyond every cache
_ELEMENTS = 1 << 18
_MATRIX = {"cpu": 1024, "cuda": 8192}


def ceilings(machine: Machine, precisions: Sequence[Precision], seconds: float) -> list[Ceiling]:
    """All ceilings of the device, at the precisions asked for; each takes about `seconds`."""

    def timed(call: Callable[[], Any]) -> Spread:
        with torch.no_grad():
            return Spread.of(machine.readings(call, seconds))

    found = []
    for size in _COPIES_BYTES:
        source = torch.ones(size // 4, device=machine.kind)
        target = torch.empty_like(source)
        taken = timed(partial(target.copy_, source))
        rate = 2 * size / taken.median * 1e6
        found.append(Ceiling(name="copy_bandwidth", value=rate, unit="B/s", size_bytes=size, latency_us=taken))
        del source, target
    elements = torch.randn(_ELEMENTS, device=machine.kind)
    taken = timed(lambda: torch.relu(elements))
    found.append(
        Ceiling(
            name="element_rate",
            value=_ELEMENTS / taken.median * 1e6,
            unit="elements/s",
            size_bytes=4 * _ELEMENTS,
            latency_us=taken,
        )
    )
    found.extend(_matrix_rate(machine, precision, timed) for precision in precisions)
    one = torch.ones(1, device=machine.kind)
    taken = timed(lambda: torch.relu(one))
    found.append(Ceiling(name="launch", value=taken.median / 1e6, unit="s", latency_us=taken))
    image = torch.randn(2, 16, 4, 4, device=machine.kind)
    kernel = torch.randn(16, 16, 3, 3, device=machine.kind)
    taken = timed(lambda: functional.conv2d(image, kernel, padding=1))
    found.append(Ceiling(name="convolution_launch", value=taken.median / 1e6, unit="s", latency_us=taken))
    return found


def _matrix_rate(machine: Machine, precision: Precision, timed: Callable[[Callable[[], Any]], Spread]) -> Ceiling:
    size = _MATRIX[machine.kind]
    left = torch.randn(size, size, device=machine.kind).to(DTYPES[precision])
    right = torch.randn(size, size, device=machine.kind).to(DTYPES[precision])
    with tensor_float(precision):
        taken = timed(lambda: left @ right)
    return Ceiling(
        name="matrix_rate", value=size**3 / taken.median * 1e6, unit="MAC/s", precision=precision, latency_us=taken
    )


class tensor_float:  # noqa: N801
    """Whether products of fp32 may run on tensor cores at TF32, within the block."""

    def __init__(self, precision: Precision) -> None:
        self._allowed = precision == "tf32"

    def __enter__(self) -> None:
        self._before = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = self._allowed

    def __exit__(self, *_: object) -> None:
        torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = self._before
