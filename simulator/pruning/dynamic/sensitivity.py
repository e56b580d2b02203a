"""What each feature map of each calibration image means to the network's decision, from one run forward and back.

The network is unrolled into its operators, as the recorder sees them, and run with gradients. What decides is the
margin m = z₁ - z₂ between the two highest logits; with g = ∂m/∂x a feature map x that becomes the constant r
changes it by Σ g·(r - x) to first order, summed over the map.
"""

from collections.abc import Callable, Sequence
from dataclasses import fields
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn
from torch.fx.experimental.proxy_tensor import make_fx

from simulator.errors import InputError
from simulator.extract.dispatch import plain_attention
from simulator.extract.layout import Layout
from simulator.extract.plan import Plan
from simulator.extract.pruning_hook import largest_magnitude, share_of
from simulator.extract.scores import logits_of
from simulator.extract.views import is_transparent
from simulator.pruning.dynamic.allocation import LayerSamples

Floats = npt.NDArray[np.float32]


def scores(maps: torch.Tensor, rule: str) -> torch.Tensor:
    """The least epsilon by which `rule` flags each feature map of [N, C, H, W]: [N, C]."""
    if rule == "all":
        return largest_magnitude(maps)[:, :, 0, 0]
    magnitudes = maps.abs()
    if rule == "mean":
        return magnitudes.mean((2, 3))
    share, flat = share_of(rule), magnitudes.flatten(2)
    return flat.kthvalue(flat.shape[2] * share.numerator // share.denominator + 1).values


def sample_layers(
    model: nn.Module,
    plan: Plan,
    batches: Sequence[torch.Tensor],
    rule: str,
    progress: Callable[[int], None] | None = None,
) -> tuple[dict[str, LayerSamples], Floats]:
    """The samples of every prunable layer, by name, and the margin of each image.

    progress is called with the images done. Raises InputError where the network cannot be unrolled or has no logits.
    """
    images = sum(len(batch) for batch in batches)
    # Room for all at once: small arrays that stay, between large ones that go, would leave the heap full of holes.
    layers: dict[str, LayerSamples] = {}
    margins = np.zeros(images, np.float32)
    unrolled: dict[tuple[int, ...], torch.fx.GraphModule] = {}
    done = 0
    with _frozen(model), plain_attention():
        for batch in batches:
            shape = tuple(batch.shape)
            if shape not in unrolled:
                unrolled[shape] = _unrolled(model, batch, plan)
            run = _GradientRun(unrolled[shape], plan, rule, len(batch))
            rows = slice(done, done + len(batch))
            margins[rows] = run.backward(batch)
            for name, arrays in run.samples.items():
                if name not in layers:
                    layers[name] = LayerSamples(*(np.zeros((images, array.shape[1]), np.float32) for array in arrays))
                for field, array in zip(fields(LayerSamples), arrays, strict=True):
                    getattr(layers[name], field.name)[rows] = array
            done += len(batch)
            if progress is not None:
                progress(done)
    return {name: layers[name] for name in plan.prunable if name in layers}, margins


class _frozen:  # noqa: N801
    """The parameters without gradients within the block."""

    def __init__(self, model: nn.Module) -> None:
        self._wanted = [parameter for parameter in model.parameters() if parameter.requires_grad]

    def __enter__(self) -> None:
        for parameter in self._wanted:
            parameter.requires_grad_(False)

    def __exit__(self, *_: object) -> None:
        for parameter in self._wanted:
            parameter.requires_grad_(True)


def _unrolled(model: nn.Module, batch: torch.Tensor, plan: Plan) -> torch.fx.GraphModule:
    with torch.no_grad():
        graph = make_fx(model)(batch)
    called = [node.target for node in graph.graph.nodes if node.op == "call_function" and _counts(node.target)]
    if called != [step.func for step in plan.steps]:
        raise InputError(
            "the network runs other operators when it is unrolled for gradients; calibrate with weights none"
        )
    return graph


def _counts(target: Any) -> bool:
    return isinstance(target, torch._ops.OpOverload) and not is_transparent(target)


class _GradientRun(torch.fx.Interpreter):
    """One batch through the unrolled network, with a look at every prunable layer's output and at its gradient."""

    def __init__(self, graph: torch.fx.GraphModule, plan: Plan, rule: str, images: int) -> None:
        super().__init__(graph)
        self._plan, self._rule, self._images = plan, rule, images
        self._prunable = set(plan.prunable)
        self._position = 0
        self.samples: dict[str, tuple[Floats, ...]] = {}

    def backward(self, batch: torch.Tensor) -> Floats:
        """Runs the batch forward and back; the margins [N]."""
        leaf = batch.detach().clone().requires_grad_(True)
        with torch.enable_grad():
            logits = logits_of(self.run(leaf * 1), self._images)
            if logits is None or logits.shape[1] < 2:
                raise InputError("the network's result is not [N, classes] with two or more, so it has no margin")
            top = logits.topk(2).values
            margin = top[:, 0] - top[:, 1]
            torch.autograd.backward(margin.sum())
        self.env.clear()
        return margin.detach().numpy()

    def call_function(self, target: Any, args: Any, kwargs: Any) -> Any:
        """Runs an operator; at a layer's last one, listens for the gradient."""
        result = super().call_function(target, args, kwargs)
        if not _counts(target):
            return result
        step = self._plan.steps[self._position]
        self._position += 1
        if step.layer in self._prunable and step.layout is not None:
            raw = result[0] if isinstance(result, list | tuple) else result
            if raw.requires_grad:
                self._listen(step.layer, step.layout, raw)
        return result

    def _listen(self, layer: str, layout: Layout, raw: torch.Tensor) -> None:
        maps = layout.read(raw.detach()).clone()
        score, mean = scores(maps, self._rule), maps.mean((2, 3))
        nonzero = (maps != 0).float().mean((2, 3))

        samples = self.samples  # and not self, which holds tensors: they would keep each other alive

        def arrived(gradient: torch.Tensor) -> None:
            slope = layout.read(gradient)
            found = (score, mean, nonzero, (slope * maps).sum((2, 3)), slope.sum((2, 3)))
            samples[layer] = tuple(value.numpy() for value in found)

        raw.register_hook(arrived)  # type: ignore[no-untyped-call]
