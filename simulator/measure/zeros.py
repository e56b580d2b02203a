"""Whether zeros make a device faster: dense kernels on operands with zeros, and kernels made for them."""

import warnings
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import torch
import torch.nn.functional as functional

from simulator.measure.devices import Machine
from simulator.measure.schema import Spread, ZeroRun

_SHARES = (0.0, 0.5, 0.9, 1.0)
_CONVOLUTIONS = ((64, 64, 56, 3), (256, 256, 14, 3), (256, 64, 56, 1))  # C, K, rows and columns, kernel: of ResNets
_LINEAR = 4096  # features and outputs, as in AlexNet's and VGG-16's second fully connected layer


def zero_runs(machine: Machine, seconds: float) -> Iterator[ZeroRun]:
    """Convolutions of ResNets on feature maps with more and more zeros, and a fully connected layer whose weights have
    them, dense and as compressed sparse rows; each takes about `seconds`."""
    generator = torch.Generator().manual_seed(0)

    def timed(call: Callable[[], Any]) -> Spread:
        with torch.no_grad():
            return Spread.of(machine.readings(call, seconds))

    for channels, outputs, size, kernel in _CONVOLUTIONS:
        weight = torch.randn(outputs, channels, kernel, kernel, generator=generator).to(machine.kind)
        name = f"{channels}→{outputs} {kernel}×{kernel} {size}²"
        for share in _SHARES:
            for whole in (False, True) if 0 < share < 1 else (False,):
                shape = (1, channels, 1, 1) if whole else (1, channels, size, size)
                keep = torch.rand(shape, generator=generator) >= share
                image = (torch.randn(1, channels, size, size, generator=generator) * keep).to(machine.kind)
                taken = timed(partial(functional.conv2d, image, weight, padding=kernel // 2))
                yield ZeroRun(
                    kernel="dense convolution",
                    size=name,
                    batch=1,
                    zeros_in="ifm",
                    zeros=share,
                    whole=whole,
                    latency_us=taken,
                )
    for share in _SHARES[:-1]:
        keep = torch.rand(_LINEAR, _LINEAR, generator=generator) >= share
        dense = (torch.randn(_LINEAR, _LINEAR, generator=generator) * keep).to(machine.kind)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # that compressed rows are new in PyTorch
            rows = dense.to_sparse_csr()
        for batch in (1, 16):
            right = torch.randn(_LINEAR, batch, generator=generator).to(machine.kind)
            runs: dict[str, Callable[[], Any]] = {
                "dense matrix product": partial(torch.matmul, dense, right),
                "torch.sparse, compressed sparse rows": partial(torch.matmul, rows, right),
            }
            for kernel_name, call in runs.items():
                yield ZeroRun(
                    kernel=kernel_name,
                    size=f"{_LINEAR}→{_LINEAR}",
                    batch=batch,
                    zeros_in="kernel",
                    zeros=share,
                    latency_us=timed(call),
                )
