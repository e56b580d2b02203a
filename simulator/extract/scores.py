"""How accurate a network is on the images it is run on."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from simulator.errors import InputError
from simulator.trace.records import Accuracy

Labels = Sequence[int] | npt.NDArray[Any]


def logits_of(result: Any, images: int) -> torch.Tensor | None:
    """The logits [images, classes] among a network's results: the first tensor, or the one named "logits" or "out".

    None where that is something else, such as a class for every position.
    """
    if isinstance(result, Mapping):
        result = next((result[key] for key in ("logits", "out") if key in result), next(iter(result.values()), None))
    elif isinstance(result, list | tuple):
        result = result[0] if result else None
    if not isinstance(result, torch.Tensor) or result.dim() < 2 or not result.is_floating_point():
        return None
    logits = result[:images].flatten(1)
    return logits if logits.shape[1] == result.shape[1] else None


class Scores:
    """Counts right answers against labels, and agreement with a reference network."""

    def __init__(self, labels: Labels | None) -> None:
        """Raises InputError when `labels` are not a list of whole numbers."""
        self._labels: npt.NDArray[Any] | None = None
        if labels is not None:
            self._labels = np.asarray(labels)
            if self._labels.ndim != 1 or (self._labels.size and self._labels.dtype.kind not in "iu"):
                found = f"{self._labels.dtype} of shape {list(self._labels.shape)}"
                raise InputError(f"labels: {found}, expected one class number per image")
        self._images = self._top1 = self._top5 = self._agreeing = 0
        self._has_top5 = True
        self._compared = False

    @property
    def label_count(self) -> int | None:
        """How many labels were given."""
        return None if self._labels is None else len(self._labels)

    def add(self, images: int, result: Any, reference: Any = None) -> None:
        """Takes in a network's result on a batch of `images`, and the reference network's on the same.

        Raises InputError when there are fewer labels than images, a label is no class, or there are no logits to judge.
        """
        logits, expected = logits_of(result, images), logits_of(reference, images)
        if logits is not None and expected is not None:
            self._compared = True
            self._agreeing += int((logits.argmax(1) == expected.argmax(1)).sum())
        if self._labels is not None:
            if logits is None:
                raise InputError(
                    "labels: the network's result is not [N, classes], so it has no accuracy; record without labels"
                )
            self._judge(logits, self._labels)

    def _judge(self, logits: torch.Tensor, labels: npt.NDArray[Any]) -> None:
        first, self._images = self._images, self._images + len(logits)
        if self._images > len(labels):
            raise InputError(f"labels: {len(labels)} for more than {self._images - 1} images, expected one per image")
        classes = logits.shape[1]
        if first == 0 and (labels.min() < 0 or labels.max() >= classes):
            wrong = int(labels.min()) if labels.min() < 0 else int(labels.max())
            raise InputError(f"labels: class {wrong}, expected 0 to {classes - 1} (the network has {classes} outputs)")
        truth = torch.from_numpy(labels[first : self._images].astype(np.int64)).to(logits.device)
        self._top1 += int((logits.argmax(1) == truth).sum())
        self._has_top5 = classes >= 5
        if self._has_top5:
            self._top5 += int((logits.topk(5).indices == truth[:, None]).any(1).sum())

    def accuracy(self, images: int, agreement: float | None) -> Accuracy | None:
        """The accuracy over all `images`; `agreement` where it was not measured. None when nothing is known.

        Raises InputError when there are more labels than images.
        """
        if self._labels is not None and len(self._labels) != images:
            raise InputError(f"labels: {len(self._labels)} for {images} images, expected one per image")
        if self._compared:
            agreement = self._agreeing / images
        if self._labels is None and agreement is None:
            return None
        top1 = None if self._labels is None else self._top1 / images
        top5 = self._top5 / images if self._labels is not None and self._has_top5 else None
        return Accuracy(images, top1, top5, agreement)
