"""The run that records zero-map, non-zero counts and channel maxima of each tensor of the trace as it is written."""

from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from simulator.errors import InputError
from simulator.extract.dispatch import OperatorMode
from simulator.extract.layout import Layout
from simulator.extract.packer import MapPacker
from simulator.extract.plan import IfmCopy, Plan, Recording, Step
from simulator.extract.pruning_hook import DynamicPruning
from simulator.extract.quantise import quantised
from simulator.extract.views import EXAMPLES, is_transparent

Array = npt.NDArray[Any]


class Sink(Protocol):
    """What takes the recorded arrays."""

    def append(self, key: str, array: Array) -> None:
        """Adds entries (first axis: images) to the end of array `key`."""


class ChannelMaxima:
    """A sink that keeps of each tensor only the mean over images and channels of the channel maximum |x|."""

    def __init__(self) -> None:
        self._sums: dict[str, float] = {}
        self._counts: dict[str, int] = {}

    def append(self, key: str, array: Array) -> None:
        """Takes in the channel maxima of some images."""
        if key.startswith("max/"):
            self._sums[key] = self._sums.get(key, 0.0) + float(array.sum(dtype=np.float64))
            self._counts[key] = self._counts.get(key, 0) + array.size

    def mean(self, tensor: int) -> float:
        """The mean channel maximum of a tensor that was recorded."""
        key = f"max/{tensor}"
        return self._sums[key] / self._counts[key]


_NONNEGATIVE = (("relu",), ("relu6",), ("sigmoid",))


class Recorder(OperatorMode):  # type: ignore[no-untyped-call]
    """Runs a network along a plan, prunes on the way and hands every stored tensor's arrays to `sink`, if any."""

    def __init__(
        self,
        name: str,
        plan: Plan,
        sink: Sink | None,
        pruner: DynamicPruning | None = None,
        value_bits: int | None = None,
    ) -> None:
        """value_bits: the width of the values to record beside the zero-maps, None for none."""
        super().__init__()
        self._name = name
        self._plan = plan
        self._sink = sink
        self._pruner = pruner
        self._value_bits = value_bits
        self._packer = MapPacker()
        self._nonnegative = frozenset(layer.output for layer in plan.layers if layer.fused[-1:] in _NONNEGATIVE)
        self._prunable = frozenset(plan.prunable if pruner is not None and pruner.side == "ofm" else ())
        self._position = 0
        self._images = 0
        self._recorded_images = 0
        self._same_alone: bool | None = None
        self._zeros_seen: set[int] = set()

    @property
    def zero_free(self) -> set[int]:
        """The recorded tensors that had no zero in any image so far."""
        recorded = {index for index, tensor in enumerate(self._plan.tensors) if not tensor.parts}
        return recorded - self._zeros_seen

    def run(self, model: nn.Module, batch: torch.Tensor) -> Any:
        """The network's output on a batch [N, C, H, W], all recorded; a single image may appear in it twice.

        Raises InputError when the network runs other operators than it did on the example, or on other sizes.
        """
        self._recorded_images = len(batch)
        if len(batch) == 1 and not self._runs_alone(model, batch):
            batch = batch.repeat(EXAMPLES, *[1] * (batch.dim() - 1))
        return self._run(model, batch)

    def _run(self, model: nn.Module, batch: torch.Tensor) -> Any:
        self._position = 0
        self._images = len(batch)
        self._record(self._plan.input, batch)
        with self:
            result = model(batch)
        if self._position != len(self._plan.steps):
            raise self._departure("stops early")
        return result

    def _runs_alone(self, model: nn.Module, image: torch.Tensor) -> bool:
        """Whether a single image runs the same operators as EXAMPLES of them.

        PyTorch itself takes another road for some products: a transposed batch of one image is contiguous.
        """
        if self._same_alone is None:
            try:
                Recorder(self._name, self._plan, None)._run(model, image.clone())
                self._same_alone = True
            except InputError:
                self._same_alone = False
        return self._same_alone

    def operator(self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Runs an operator; at those of the plan that says so, prunes and records."""
        if is_transparent(func):
            return func(*args, **kwargs)
        step = self._next(func)
        if step.ifm is not None:
            place = step.ifm.argument
            args = (*args[:place], self._pruned_ifm(step.ifm, args[place]), *args[place + 1 :])
        result = func(*args, **kwargs)
        raw = result[0] if isinstance(result, list | tuple) else result
        mask = None if step.layout is None else self._prune(step, raw)
        for number, recordings in step.recordings.items():
            self._record(recordings, result[number] if isinstance(result, list | tuple) else result)
        if mask is not None:
            self._replace(step.layer, step.layout, raw, mask)
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
            f"network '{self._name}' {what} (operator {self._position}): its control flow depends on the input, "
            "and only networks that run the same operators on every input can be recorded"
        )

    def _prune(self, step: Step, raw: torch.Tensor) -> torch.Tensor | None:
        """Sets to zero what is flagged of a layer's raw output; the mask of what that was."""
        assert step.layout is not None
        assert step.layer is not None
        self._check_size(step.layout.elements, raw)
        if self._pruner is None or step.layer not in self._prunable or not raw.is_floating_point():
            return None
        nonnegative = any(recording.tensor in self._nonnegative for recording in step.recordings.get(0, []))
        mask = self._pruner.flagged(step.layer, step.layout.read(raw), nonnegative=nonnegative)
        if mask is not None:
            step.layout.erase(raw, mask)
        return mask

    def _replace(self, layer: str | None, layout: Layout | None, raw: torch.Tensor, mask: torch.Tensor) -> None:
        """Puts in the place of what is flagged, once that is recorded as not there, what the hardware has for it."""
        assert self._pruner is not None
        assert layer is not None
        assert layout is not None
        value = self._pruner.replacement(layer, raw)
        if value is not None:
            layout.fill(raw, mask, value)

    def _pruned_ifm(self, ifm: IfmCopy, argument: torch.Tensor) -> torch.Tensor:
        layout = ifm.recording.layout
        pruned = argument.clone()
        inside = _without_padding(pruned, ifm.padding)
        self._check_size(layout.elements, inside)
        mask = None if self._pruner is None else self._pruner.flagged(ifm.layer, layout.read(inside))
        if mask is not None:
            layout.erase(inside, mask)
        self._record([ifm.recording], inside)
        if mask is not None:
            self._replace(ifm.layer, layout, inside, mask)
        return pruned

    def _check_size(self, elements: int, raw: torch.Tensor) -> None:
        if raw.numel() != elements * self._images:
            raise InputError(
                f"network '{self._name}': {raw.numel()} elements for {self._images} images, where one image of the "
                f"first batch had {elements}; all images need the same size, whatever the size of the batch"
            )

    def _record(self, recordings: list[Recording], raw: torch.Tensor) -> None:
        if self._sink is None:
            return
        for recording in recordings:
            layout, tensor = recording.layout, recording.tensor
            self._check_size(layout.elements, raw)
            maps = layout.read(raw)[: self._recorded_images]
            packed, nonzero, maximum = self._packer.pack(maps, nonnegative=tensor in self._nonnegative)
            if int(nonzero.sum(dtype=np.int64)) != maps.numel():
                self._zeros_seen.add(tensor)
            self._sink.append(f"map/{tensor}", packed)
            self._sink.append(f"nonzero/{tensor}", nonzero)
            self._sink.append(f"max/{tensor}", maximum)
            if self._value_bits is not None:
                self._sink.append(f"values/{tensor}", quantised(maps, self._value_bits))


def _without_padding(maps: torch.Tensor, padding: tuple[int, int, int, int]) -> torch.Tensor:
    if not any(padding):
        return maps
    top, left, bottom, right = padding
    return maps[..., top : maps.shape[-2] - bottom, left : maps.shape[-1] - right]
