"""The labelled images that criteria look at, that batch norm is estimated on and that fine-tuning learns from."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from simulator.errors import InputError
from simulator.extract.images import ImageSet, Preprocessing

Ints = npt.NDArray[np.int64]
Batch = tuple[Tensor, Tensor]


@dataclass(frozen=True, eq=False)
class Calibration:
    """Images that can be loaded by number. labels: the class of each (int64 [count]), None where there are none.

    load gives the images of some numbers as one float32 tensor [n, C, H, W].
    """

    count: int
    labels: Ints | None
    load: Callable[[Sequence[int]], Tensor]

    @staticmethod
    def from_tensors(images: Tensor, labels: Tensor | Ints | None = None) -> "Calibration":
        """Images in memory [n, C, H, W]. Raises InputError when there are none, or not as many labels."""
        numbers = None if labels is None else np.asarray(labels, np.int64)
        if not len(images):
            raise InputError("calibration: no images")
        if numbers is not None and numbers.shape != (len(images),):
            raise InputError(f"calibration: {len(images)} images and labels {list(numbers.shape)}, expected one each")
        return Calibration(len(images), numbers, lambda chosen: images[list(chosen)])

    @staticmethod
    def from_images(images: ImageSet, preprocessing: Preprocessing) -> "Calibration":
        """Images of a folder, tar or npz file, decoded when they are needed."""

        def load(chosen: Sequence[int]) -> Tensor:
            return torch.stack([images.load(number, preprocessing) for number in chosen])

        return Calibration(len(images), images.labels, load)

    def subset(self, numbers: Sequence[int]) -> "Calibration":
        """Those images only, in that order."""
        chosen = list(numbers)
        labels = None if self.labels is None else self.labels[chosen]
        return Calibration(len(chosen), labels, lambda inner: self.load([chosen[number] for number in inner]))

    def need_labels(self, what: str) -> Ints:
        """The labels; raises InputError that says what needs them when there are none."""
        if self.labels is None:
            raise InputError(f"{what} needs the classes of the images (--labels), and these have none")
        return self.labels

    def in_order(self, size: int) -> Iterator[Tensor]:
        """All images, `size` at a time."""
        for start in range(0, self.count, size):
            yield self.load(range(start, min(start + size, self.count)))

    def shuffled(self, size: int, seed: int) -> Iterator[Batch]:
        """All labelled images once, in random order, `size` at a time: (images, classes)."""
        labels = self.need_labels("training")
        order = np.random.default_rng(seed).permutation(self.count)
        for chosen in np.split(order, range(size, self.count, size)):
            yield self.load(chosen.tolist()), torch.from_numpy(labels[chosen])

    def drawn(self, size: int, batches: int, classes: int | None, seed: int) -> Iterator[Batch]:
        """`batches` random batches of `size` labelled images (fewer of both where there are not so many).

        classes: how many classes each batch is drawn from, None for all. The images of a batch are all different;
        batches of one pass over the images are too, as long as `classes` leaves a choice.
        """
        labels = self.need_labels("this criterion")
        generator = np.random.default_rng(seed)
        if classes is None:
            order = generator.permutation(self.count)
            for chosen in islice(np.split(order, range(size, self.count, size)), batches):
                if len(chosen) > 1:
                    yield self.load(chosen.tolist()), torch.from_numpy(labels[chosen])
            return
        present = np.unique(labels)
        for _ in range(batches):
            some = generator.choice(present, min(classes, len(present)), replace=False)
            candidates = generator.permutation(np.flatnonzero(np.isin(labels, some)))[:size]
            yield self.load(candidates.tolist()), torch.from_numpy(labels[candidates])
