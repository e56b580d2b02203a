"""What a device reaches at best: copying, multiplying matrices, passing elements, and doing hardly anything."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Literal

import torch
import torch.nn.functional as functional
from torch import nn

from simulator.measure.cuda_graph import replayed
from simulator.measure.devices import DTYPES, Machine
from simulator.measure.schema import Ceiling, Precision, Spread

_COPIES_BYTES = (1 << 20, 256 << 20)  # within a cache, and far beyond every cache
_ELEMENTS = 1 << 18
_MATRIX = {"cpu": 1024, "cuda": 8192}
_IN_A_ROW = 100

_IMAGES = {"cpu": 1, "cuda": 64}  # of a layer: what fills the device

IssueName = Literal["issue", "convolution_issue", "batch_norm_issue"]
PassName = Literal["batch_norm_rate", "pooling_rate", "rearranging_rate"]
Timed = Callable[[Callable[[], Any]], Spread]


def ceilings(machine: Machine, precisions: Sequence[Precision], seconds: float) -> list[Ceiling]:
    """All ceilings of the device, at the precisions asked for; each takes about `seconds`."""

    def timed(call: Callable[[], Any]) -> Spread:
        with torch.no_grad():
            return Spread.of(machine.own_readings(call, seconds))

    def timed_with_host(call: Callable[[], Any]) -> Spread:
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
    for precision in precisions:
        found.append(_matrix_rate(machine, precision, timed))
        found.extend(_passes(machine, precision, timed))
    one = torch.ones(1, device=machine.kind)
    taken = timed_with_host(lambda: torch.relu(one))
    found.append(Ceiling(name="launch", value=taken.median / 1e6, unit="s", latency_us=taken))
    image = torch.randn(2, 16, 4, 4, device=machine.kind)
    kernel = torch.randn(16, 16, 3, 3, device=machine.kind)
    taken = timed_with_host(lambda: functional.conv2d(image, kernel, padding=1))
    found.append(Ceiling(name="convolution_launch", value=taken.median / 1e6, unit="s", latency_us=taken))
    if machine.kind == "cuda":
        taken = timed(lambda: torch.relu(one))
        found.append(Ceiling(name="own_launch", value=taken.median / 1e6, unit="s", latency_us=taken))
        found.extend(_rows(image, timed_with_host))
    return found


def _rows(image: torch.Tensor, timed: Timed) -> list[Ceiling]:
    """From one operator with hardly any work to the next, as modules of a network give them and as a graph does."""
    channels = image.shape[1]
    modules: dict[IssueName, nn.Module] = {
        "issue": nn.ReLU(),
        "convolution_issue": nn.Conv2d(channels, channels, 3, padding=1, bias=False),
        "batch_norm_issue": nn.BatchNorm2d(channels),
    }
    found = []
    for name, module in modules.items():
        row = nn.Sequential(*[module] * _IN_A_ROW).eval().to(image.device)
        taken = timed(partial(row, image))
        found.append(Ceiling(name=name, value=taken.median / _IN_A_ROW / 1e6, unit="s", latency_us=taken))
    taken = timed(replayed(nn.Sequential(*[modules["issue"]] * _IN_A_ROW), image))
    found.append(Ceiling(name="replay", value=taken.median / _IN_A_ROW / 1e6, unit="s", latency_us=taken))
    return found


def _matrix_rate(machine: Machine, precision: Precision, timed: Timed) -> Ceiling:
    size = _MATRIX[machine.kind]
    left = torch.randn(size, size, device=machine.kind).to(DTYPES[precision])
    right = torch.randn(size, size, device=machine.kind).to(DTYPES[precision])
    with tensor_float(precision):
        taken = timed(lambda: left @ right)
    return Ceiling(
        name="matrix_rate", value=size**3 / taken.median * 1e6, unit="MAC/s", precision=precision, latency_us=taken
    )


def _passes(machine: Machine, precision: Precision, timed: Timed) -> list[Ceiling]:
    """What passes over the feature maps of a ResNet's first stage reach, and a convolution without them."""
    shape = (_IMAGES[machine.kind], 64, 56, 56)
    maps = torch.randn(shape, device=machine.kind).to(DTYPES[precision])
    norm = nn.BatchNorm2d(shape[1]).eval().to(machine.kind, DTYPES[precision])
    small = maps[:2, :16, :4, :4].contiguous()
    kernel = torch.randn(16, 16, 3, 3, device=machine.kind).to(DTYPES[precision])
    kinds: list[tuple[PassName, Callable[[], Any]]] = [
        ("batch_norm_rate", partial(norm, maps)),
        ("pooling_rate", partial(functional.max_pool2d, maps, 2)),
        ("rearranging_rate", partial(maps.contiguous, memory_format=torch.channels_last)),
    ]
    found = []
    for name, call in kinds:
        taken = timed(call)
        elements = name != "rearranging_rate"
        size = maps.numel() * (1 if elements else maps.element_size())
        found.append(
            Ceiling(
                name=name,
                value=size / taken.median * 1e6,
                unit="elements/s" if elements else "B/s",
                precision=precision,
                size_bytes=maps.numel() * maps.element_size(),
                latency_us=taken,
            )
        )
    if machine.kind == "cuda":
        with tensor_float(precision):
            taken = timed(partial(functional.conv2d, small, kernel, padding=1))
        found.append(
            Ceiling(
                name="own_convolution_launch",
                value=taken.median / 1e6,
                unit="s",
                precision=precision,
                latency_us=taken,
            )
        )
    return found


class tensor_float:  # noqa: N801
    """Whether products of fp32 may run on tensor cores at TF32, within the block."""

    def __init__(self, precision: Precision) -> None:
        self._allowed = precision == "tf32"

    def __enter__(self) -> None:
        self._before = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = self._allowed

    def __exit__(self, *_: object) -> None:
        torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = self._before
