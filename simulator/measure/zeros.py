"""Whether zeros make a device faster: dense kernels on operands with zeros, and kernels made for them."""

import warnings
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import torch
import torch.nn.functional as functional

from simulator.measure.ceilings import tensor_float
from simulator.measure.devices import DTYPES, Machine
from simulator.measure.schema import Precision, Spread, ZeroRun

Timed = Callable[[Callable[[], Any]], Spread]

_SHARES = (0.0, 0.5, 0.9, 1.0)
_CONVOLUTIONS = ((64, 64, 56, 3), (256, 256, 14, 3), (256, 64, 56, 1))  # C, K, rows and columns, kernel: of ResNets
_LINEAR = 4096  # features and outputs, as in AlexNet's and VGG-16's second fully connected layer
_IMAGES = {"cpu": 1, "cuda": 64}  # of a convolution: what fills the device
_VECTORS = {"cpu": (1, 16), "cuda": (1, 64, 4096)}


def zero_runs(machine: Machine, precisions: Sequence[Precision], seconds: float) -> Iterator[ZeroRun]:
    """Convolutions of ResNets on feature maps with more and more zeros, and a fully connected layer whose weights have
    them: dense, as compressed sparse rows (FP32) and, on a GPU, two of four (FP16). Each takes about `seconds`."""

    def timed(call: Callable[[], Any]) -> Spread:
        with torch.no_grad():
            return Spread.of(machine.own_readings(call, seconds))

    for precision in precisions:
        with tensor_float(precision):
            yield from _convolutions(machine, precision, timed)
            yield from _products(machine, precision, timed)


def _convolutions(machine: Machine, precision: Precision, timed: Timed) -> Iterator[ZeroRun]:
    generator = torch.Generator().manual_seed(0)
    batch = _IMAGES[machine.kind]
    for channels, outputs, size, kernel in _CONVOLUTIONS:
        weight = torch.randn(outputs, channels, kernel, kernel, generator=generator)
        weight = weight.to(machine.kind, DTYPES[precision])
        for share in _SHARES:
            for whole in (False, True) if 0 < share < 1 else (False,):
                shape = (batch, channels, 1, 1) if whole else (batch, channels, size, size)
                keep = torch.rand(shape, generator=generator) >= share
                images = torch.randn(batch, channels, size, size, generator=generator) * keep
                images = images.to(machine.kind, DTYPES[precision])
                yield ZeroRun(
                    kernel="dense convolution",
                    size=f"{channels}→{outputs} {kernel}×{kernel} {size}²",
                    batch=batch,
                    zeros_in="ifm",
                    zeros=share,
                    whole=whole,
                    precision=precision,
                    latency_us=timed(partial(functional.conv2d, images, weight, padding=kernel // 2)),
                )


def _products(machine: Machine, precision: Precision, timed: Timed) -> Iterator[ZeroRun]:
    generator = torch.Generator().manual_seed(0)
    for share in _SHARES[:-1]:
        keep = torch.rand(_LINEAR, _LINEAR, generator=generator) >= share
        weights = torch.randn(_LINEAR, _LINEAR, generator=generator)
        dense = (weights * keep).to(machine.kind, DTYPES[precision])
        forms = {"dense matrix product": dense}
        if precision == "fp32":
            forms["torch.sparse, compressed sparse rows"] = _rows(dense)
        if precision == "fp16" and machine.kind == "cuda" and share == 0.5:
            two = _two_of_four(weights).to(machine.kind, DTYPES[precision])
            forms["torch.sparse, two of four"] = torch.sparse.to_sparse_semi_structured(two)
        for batch in _VECTORS[machine.kind]:
            right = torch.randn(_LINEAR, batch, generator=generator).to(machine.kind, DTYPES[precision])
            for name, left in forms.items():
                yield ZeroRun(
                    kernel=name,
                    size=f"{_LINEAR}→{_LINEAR}",
                    batch=batch,
                    zeros_in="kernel",
                    zeros=share,
                    precision=precision,
                    latency_us=timed(partial(torch.matmul, left, right)),
                )


def _rows(dense: torch.Tensor) -> torch.Tensor:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # that compressed rows are new in PyTorch
        return dense.to_sparse_csr()


def _two_of_four(weights: torch.Tensor) -> torch.Tensor:
    """The weights with the smaller half of every four in a row set to zero."""
    fours = weights.reshape(-1, 4)
    largest = fours.abs().topk(2, dim=1).indices
    return (fours * torch.zeros_like(fours).scatter_(1, largest, 1)).reshape(weights.shape)
