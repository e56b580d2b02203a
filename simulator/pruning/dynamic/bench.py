"""Runs a network on images that stay in memory, with one pruning after another."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from simulator.errors import InputError
from simulator.extract.extract import evaluating
from simulator.extract.plan import Plan
from simulator.extract.pruning_hook import DynamicPruning
from simulator.extract.recorder import Recorder
from simulator.extract.scores import logits_of

Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Outcome:
    """What became of a set of images.

    correct [images]; certainty [images]: σ(logit of the right class - the highest other); flagged, maps: feature maps
    that were flagged and all of pruned layers, flagged_elements, elements: theirs; by_channel: how often each channel
    of each layer was flagged [C].
    """

    correct: Bools
    certainty: npt.NDArray[np.float64]
    flagged: int = 0
    maps: int = 0
    flagged_elements: int = 0
    elements: int = 0
    by_channel: Mapping[str, npt.NDArray[np.int64]] = field(default_factory=dict)

    @property
    def top1(self) -> float:
        """The share of images that are right."""
        return float(self.correct.mean())

    @property
    def flagged_share(self) -> float:
        """The share of feature maps that were flagged."""
        return self.flagged / self.maps if self.maps else 0.0

    @property
    def flagged_element_share(self) -> float:
        """The share of elements that lie in flagged feature maps."""
        return self.flagged_elements / self.elements if self.elements else 0.0


class _Counting(DynamicPruning):
    """Counts what it flags."""

    def flagged(self, layer: str, maps: torch.Tensor, *, nonnegative: bool = False) -> torch.Tensor | None:
        mask = super().flagged(layer, maps, nonnegative=nonnegative)
        if mask is not None:
            flagged, elements = int(mask.sum()), maps.shape[2] * maps.shape[3]
            counts = flagged, mask.numel(), flagged * elements, maps.numel()
            before = self.__dict__.setdefault("counts", (0, 0, 0, 0))
            by_channel = self.__dict__.setdefault("by_channel", {})
            by_channel[layer] = by_channel.get(layer, 0) + mask.sum((0, 2, 3)).numpy()
            self.__dict__["counts"] = tuple(old + new for old, new in zip(before, counts, strict=True))
        return mask


class Bench:
    """A network with its plan, and labelled images in batches as it takes them."""

    def __init__(
        self, model: nn.Module, plan: Plan, name: str, batches: Sequence[torch.Tensor], labels: npt.NDArray[np.int64]
    ) -> None:
        self._model, self._plan, self._name = model, plan, name
        self._batches, self._labels = batches, labels

    def run(self, pruning: DynamicPruning | None, progress: Callable[[int], None] | None = None) -> Outcome:
        """All images once; `progress` is called with those done. Whole feature maps on the OFM's side are counted."""
        counting = None if pruning is None else _Counting(**vars(pruning))
        recorder = Recorder(self._name, self._plan, None, counting)
        pieces: list[torch.Tensor] = []
        done = 0
        with evaluating(self._model):
            for batch in self._batches:
                logits = logits_of(recorder.run(self._model, batch.clone()), len(batch))
                if logits is None or logits.shape[1] < 2:
                    raise InputError(f"network '{self._name}': its result is not [N, classes], so it has no accuracy")
                pieces.append(logits.float())
                done += len(batch)
                if progress is not None:
                    progress(done)
        logits = torch.cat(pieces)
        truth = torch.from_numpy(self._labels)[:, None]
        right = logits.gather(1, truth)[:, 0]
        others = logits.scatter(1, truth, -torch.inf).amax(1)
        correct = (logits.argmax(1) == truth[:, 0]).numpy()
        certainty = torch.sigmoid((right - others).double()).numpy()
        seen = {} if counting is None else counting.__dict__
        flagged, maps, flagged_elements, elements = seen.get("counts", (0, 0, 0, 0))
        by_channel = seen.get("by_channel", {})
        return Outcome(correct, certainty, flagged, maps, flagged_elements, elements, by_channel)
