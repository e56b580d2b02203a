"""The run that records: at each operator whose output the trace stores, zero-map, non-zero counts and channel maxima."""

from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from simulator.errors import InputError
from simulator.extract.plan import IfmCopy, Plan, Recording, Step
from simulator.extract.pruning_hook import Side
from simulator.extract.raw_graph import is_composite
from simulator.extract.views import is_transparent

Array = npt.NDArray[Any]


class Sink(Protocol):
    """What takes the recorded arrays."""

    def append(self, key: str, array: Array) -> None:
        """Adds entries (first axis: images) to the end of array `key`."""


class Pruner(Protocol):
    """What decides which elements become zero while the network runs."""

    def flagged(self, layer: str, maps: torch.Tensor) -> torch.Tensor | None:
        """Which elements of a layer's feature maps [N, C, H, W] become zero; None for none of them."""


class MapPacker:
    """Packs feature maps as the trace stores them; keeps one scratch buffer of the largest feature map's size."""

    def __init__(self) -> None:
        self._scratch = np.empty(0, np.bool_)

    def pack(self, maps: torch.Tensor) -> tuple[Array, Array, Array]:
        """The zero-map uint8 [N, C, ceil(H·W/8)], non-zero counts uint32 [N, C] and max |x| float32 [N, C].

        -0.0 is zero, NaN is not.
        """
        images, channels, height, width = maps.shape
        elements = height * width
        flat = maps.reshape(images, channels, elements)
        if flat.dtype not in (torch.float32, torch.float64):
            flat = flat.float()
        size = -(-elements // 8)
        if self._scratch.size < images * channels * size * 8:
            self._scratch = np.empty(images * channels * size * 8, np.bool_)
        bits = self._scratch[: images * channels * size * 8].reshape(images, channels, size * 8)
        bits[..., elements:] = False
        np.not_equal(flat.cpu().numpy(), 0, out=bits[..., :elements])
        packed = np.packbits(bits.reshape(-1)).reshape(images, channels, size)
        nonzero = np.bitwise_count(packed).sum(axis=-1, dtype=np.uint32)
        maximum = torch.maximum(flat.amax(-1), -flat.amin(-1)).float().cpu().numpy()
        return packed, nonzero, maximum


class Recorder(TorchDispatchMode):
    """Runs a network along a plan, prunes on the way and hands every stored tensor's arrays to `sink`.

    Without a sink nothing is recorded (a calibration run).
    """

    def __init__(
        self, name: str, plan: Plan, sink: Sink | None, pruner: Pruner | None = None, side: Side = "ofm"
    ) -> None:
        super().__init__()
        self._name = name
        self._plan = plan
        self._sink = sink
        self._pruner = pruner
        self._packer = MapPacker()
        self._prunable = frozenset(plan.prunable if side == "ofm" else ())
        self._position = 0
        self._images = 0
        self._zeros_seen: set[int] = set()

    @property
    def zero_free(self) -> set[int]:
        """The tensors that had no zero in any image so far."""
        return set(range(len(self._plan.tensors))) - self._zeros_seen

    def run(self, model: nn.Module, batch: torch.Tensor) -> Any:
        """The network's output on a batch [N, C, H, W], everything recorded.

        Raises InputError when the network runs other operators than it did on the example, or on other sizes.
        """
        self._position = 0
        self._images = len(batch)
        self._record(self._plan.input, batch)
        with self:
            result = model(batch)
        if self._position != len(self._plan.steps):
            raise self._departure("stops early")
        return result

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if is_composite(func):
            with self:
                return func.decompose(*args, **kwargs)
        if is_transparent(func):
            return func(*args, **kwargs)
        step = self._next(func)
        if step.ifm is not None:
            args = list(args)
            args[step.ifm.argument] = self._pruned_ifm(step.ifm, args[step.ifm.argument])
        result = func(*args, **kwargs)
        if step.layout is not None:
            self._prune(step, result[0] if isinstance(result, list | tuple) else result)
        for number, recordings in step.recordings.items():
            self._record(recordings, result[number] if isinstance(result, list | tuple) else result)
        return result

    def _next(self, func: Any) -> Step:
        if self._position >= len(self._plan.steps):
            raise self._departure(f"goes on with '{func}'")
        step = self._plan.steps[self._position]
        if step.func is not func:
            raise self._departure(f"runs '{func}' where it ran '{step.func}'")
        self._position += 1
        return step

    def _departure(self, what: str) -> InputError:
        return InputError(
            f"network '{self._name}' {what} (operator {self._position}): its control flow depends on the input, and only "
            "networks that run the same operators on every input can be recorded"
        )

    def _prune(self, step: Step, raw: torch.Tensor) -> None:
        assert step.layout is not None
        assert step.layer is not None
        self._check_size(step.layout.elements, raw)
        if self._pruner is None or step.layer not in self._prunable or not raw.is_floating_point():
            return
        mask = self._pruner.flagged(step.layer, step.layout.read(raw))
        if mask is not None:
            step.layout.erase(raw, mask)

    def _pruned_ifm(self, ifm: IfmCopy, argument: torch.Tensor) -> torch.Tensor:
        if self._pruner is None:
            return argument
        layout = ifm.recording.layout
        pruned = argument.clone()
        inside = _without_padding(pruned, ifm.padding)
        self._check_size(layout.elements, inside)
        mask = self._pruner.flagged(ifm.layer, layout.read(inside))
        if mask is not None:
            layout.erase(inside, mask)
        self._record([ifm.recording], inside)
        return pruned

    def _check_size(self, elements: int, raw: torch.Tensor) -> None:
        if raw.numel() != elements * self._images:
            raise InputError(
                f"network '{self._name}': {raw.numel()} elements for {self._images} images where one image of the example "
                f"had {elements}; all images need the same size, and the network may not depend on their number"
            )

    def _record(self, recordings: list[Recording], raw: torch.Tensor) -> None:
        if self._sink is None:
            return
        for recording in recordings:
            layout, tensor = recording.layout, recording.tensor
            self._check_size(layout.elements, raw)
            maps = layout.read(raw)
            packed, nonzero, maximum = self._packer.pack(maps)
            if int(nonzero.sum(dtype=np.int64)) != maps.numel():
                self._zeros_seen.add(tensor)
            self._sink.append(f"map/{tensor}", packed)
            self._sink.append(f"nonzero/{tensor}", nonzero)
            self._sink.append(f"max/{tensor}", maximum)


def _without_padding(maps: torch.Tensor, padding: tuple[int, int, int, int]) -> torch.Tensor:
    if not any(padding):
        return maps
    top, left, bottom, right = padding
    return maps[..., top : maps.shape[-2] - bottom, left : maps.shape[-1] - right]
