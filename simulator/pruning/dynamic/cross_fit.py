"""Thresholds judged on images that they were not made from, with none of the images kept back.

The images are dealt into folds. What a level of pruning loses is measured on each fold with thresholds made from all
the others, so that a channel which no image happened to need is not taken for one that none needs; the thresholds that
are kept in the end are made from all images (M. Stone, Cross-Validatory Choice and Assessment of Statistical
Predictions, Journal of the Royal Statistical Society B 36, 1974).
"""

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import torch

from simulator.pruning.dynamic.allocation import LayerSamples
from simulator.pruning.dynamic.bench import Outcome

Bools = npt.NDArray[np.bool_]


def folds_of(images: int, most: int) -> list[Bools]:
    """Which images belong to each fold [images]: every `most`-th, so that those of a class are spread."""
    count = max(1, min(most, images))
    return [np.arange(images) % count == number for number in range(count)]


def picked(batches: Sequence[torch.Tensor], fold: Bools) -> list[torch.Tensor]:
    """The images of a fold, in batches of the size they came in."""
    own = torch.split(torch.from_numpy(fold), [len(batch) for batch in batches])
    chosen = torch.cat([batch[mask] for batch, mask in zip(batches, own, strict=True)])
    return list(torch.split(chosen, len(batches[0])))


def without(
    samples: Mapping[str, LayerSamples], margins: npt.NDArray[np.float32], fold: Bools
) -> tuple[dict[str, LayerSamples], npt.NDArray[np.float32]]:
    """The samples and margins of the images outside a fold; those of all where the fold is all there is."""
    rest = ~fold if not fold.all() else fold
    return {name: layer.of_images(rest) for name, layer in samples.items()}, margins[rest]


def joined(outcomes: Sequence[Outcome], folds: Sequence[Bools]) -> Outcome:
    """What became of all images, each at its place, from what became of those of each fold."""
    correct, certainty = np.zeros(len(folds[0]), bool), np.zeros(len(folds[0]))
    for outcome, fold in zip(outcomes, folds, strict=True):
        correct[fold], certainty[fold] = outcome.correct, outcome.certainty
    return Outcome(
        correct,
        certainty,
        sum(outcome.flagged for outcome in outcomes),
        sum(outcome.maps for outcome in outcomes),
        sum(outcome.flagged_elements for outcome in outcomes),
        sum(outcome.elements for outcome in outcomes),
        {name: np.sum([outcome.by_channel[name] for outcome in outcomes], axis=0) for name in outcomes[0].by_channel},
    )
