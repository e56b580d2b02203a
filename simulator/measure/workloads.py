"""The networks that are measured: built-in ones and published structures, with random weights, ready to run."""

import copy
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import nn

from simulator.errors import InputError
from simulator.extract.networks.registry import network_spec
from simulator.measure.cuda_graph import replayed
from simulator.measure.devices import DTYPES
from simulator.measure.schema import Precision, Variant
from simulator.pruning.static.prune import Request, prune
from simulator.trace.published import PREFIX, published_budgets, published_trace
from simulator.trace.trace import Trace, network_trace

_SEED = 0


@dataclass(frozen=True, eq=False)
class Workload:
    """A network on its input: `model` in evaluation mode and `images` [N, C, H, W], both on the device; `call` is one
    inference as the variant runs it."""

    model: nn.Module
    images: torch.Tensor
    call: Callable[[], Any]

    def run(self) -> Any:
        """One inference."""
        with torch.no_grad():
            return self.call()


def network_shapes(name: str) -> Trace:
    """The shapes of a network that can be measured: a built-in one, or "budget/NAME"."""
    return published_trace(name) if name.startswith(PREFIX) else network_trace(name)


def build(name: str) -> tuple[nn.Module, tuple[int, int, int]]:
    """A network with random weights, and the shape [C, H, W] of an image.

    "budget/NAME" is a row of the published budgets, cut out of its network. Raises InputError for an unknown name, and
    for a row whose weights are quantised: no kernel here runs on such.
    """
    row = None
    if name.startswith(PREFIX):
        published_trace(name)  # an unknown row is named here
        row = published_budgets()[name.removeprefix(PREFIX)]
        if row.mean_bits is not None:
            raise InputError(f"'{name}' has quantised weights, which PyTorch's kernels do not run on")
    spec = network_spec(name if row is None else row.network)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(_SEED)
        model = spec.build().eval()
        if row is not None and row.widths:
            model = prune(model, spec.input_shape, Request("l1", "given", widths=row.widths)).model.eval()
    return model, spec.input_shape


def prepared(
    model: nn.Module,
    shape: tuple[int, int, int],
    *,
    batch: int,
    precision: Precision,
    variant: Variant,
    device: str,
) -> Workload:
    """A copy of `model` and a batch of random images, as the variant wants them."""
    generator = torch.Generator().manual_seed(_SEED)
    layout = layout_of(variant)
    placed = copy.deepcopy(model).to(device=device, dtype=DTYPES[precision], memory_format=layout)  # type: ignore[call-overload]
    images = torch.randn(batch, *shape, generator=generator)
    images = images.to(device=device, dtype=DTYPES[precision]).contiguous(memory_format=layout)
    if variant == "graph":
        return Workload(placed, images, replayed(placed, images))
    runs: Callable[..., Any] = torch.compile(placed) if variant == "compile" else placed
    return Workload(placed, images, partial(runs, images))


def layout_of(variant: Variant) -> torch.memory_format:
    """How feature maps and kernels lie in memory."""
    return torch.channels_last if variant == "channels_last" else torch.contiguous_format
