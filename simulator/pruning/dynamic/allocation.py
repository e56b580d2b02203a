"""Which epsilon each layer or channel gets, for a given strength of pruning as a whole.

The loss of accuracy that a flagged map of magnitude t causes grows like s·t². The sensitivity s of its channel is the
mean over calibration images of (change of the margin / (margin + 1))² per squared score. Where a map is worth v on the
accelerator, a threshold t with s·t² = λ·v spends the same loss per unit saved in every channel of every layer, which is
what a Lagrange multiplier asks for. One number, level = √λ, then scales all thresholds together.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Literal

import numpy as np
import numpy.typing as npt

from simulator.pruning.dynamic.worth import Worth

Floats = npt.NDArray[np.float64]
Thresholds = Literal["layer", "kernel", "taylor"]


@dataclass(frozen=True, eq=False)
class LayerSamples:
    """One layer's feature maps over the calibration images; all arrays are [images, channels].

    score: the least epsilon that flags the map. mean: of its elements, nonzero: the share of them that is not zero.
    product: Σ g·x and gradient: Σ g of the margin's gradient g by the map x, summed over the map.
    """

    score: npt.NDArray[np.float32]
    mean: npt.NDArray[np.float32]
    nonzero: npt.NDArray[np.float32]
    product: npt.NDArray[np.float32]
    gradient: npt.NDArray[np.float32]

    def change(self, replacement: Floats | float) -> Floats:
        """The change of the margin when each map becomes the constant `replacement` ([C] or 0), to first order."""
        return np.asarray(replacement * self.gradient - self.product, np.float64)

    def of_images(self, images: npt.NDArray[np.bool_]) -> "LayerSamples":
        """The samples of some of the images [images]."""
        return LayerSamples(*(getattr(self, field.name)[images] for field in fields(self)))

    @property
    def small(self) -> npt.NDArray[np.bool_]:
        """The half of each channel's maps with the least scores: those that may be flagged."""
        return self.score <= np.median(self.score, axis=0)


def masked_mean(values: npt.NDArray[np.floating], mask: npt.NDArray[np.bool_], empty: float) -> Floats:
    """The mean of each column over the rows where the mask is True, `empty` where it never is."""
    count = mask.sum(axis=0)
    total = np.where(mask, values, 0.0).sum(axis=0, dtype=np.float64)
    return np.where(count > 0, total / np.maximum(count, 1), empty)


def sensitivities(
    samples: Mapping[str, LayerSamples], margins: npt.NDArray[np.float32], *, by_mean: bool
) -> dict[str, Floats]:
    """The sensitivity of every channel, by layer [C]; by_mean: flagged maps become their channel's mean, not zero."""
    doubt = 1.0 / (np.asarray(margins, np.float64)[:, None] + 1.0) ** 2
    result = {}
    for name, layer in samples.items():
        replacement = masked_mean(layer.mean, layer.small, 0.0) if by_mean else 0.0
        score = layer.score.astype(np.float64)
        squared = layer.change(replacement) ** 2 * doubt / np.where(score > 0, score, 1.0) ** 2
        found = masked_mean(squared, score > 0, 0.0)
        # A channel that no gradient reached is not harmless for that: at least a thousandth of the layer's median.
        positive = found[found > 0]
        result[name] = np.maximum(found, float(np.median(positive)) * 1e-3 if len(positive) else 1.0)
    return result


def weighted(
    sensitivity: Mapping[str, Floats], thresholds: Thresholds, kernel_norms: Mapping[str, Floats]
) -> dict[str, Floats]:
    """The sensitivities that thresholds are made from.

    "taylor" keeps those of the channels, "layer" takes their mean in each layer, "kernel" spreads that mean over the
    channels like the squared norms of the kernel slices that read them (`kernel_norms`, by layer [C]).
    """
    if thresholds == "taylor":
        return dict(sensitivity)
    result = {}
    for name, found in sensitivity.items():
        norms = kernel_norms.get(name) if thresholds == "kernel" else None
        share = np.ones_like(found) if norms is None or not norms.any() else norms**2 / np.mean(norms**2)
        result[name] = np.mean(found) * np.maximum(share, 1e-3)
    return result


def channel_worths(
    samples: Mapping[str, LayerSamples], worths: Mapping[str, Worth], *, by_density: bool
) -> dict[str, Floats]:
    """What a small map of each channel is worth, by layer [C].

    by_density: its values count by how many are not zero, as compressed maps do.
    """
    result = {}
    for name, layer in samples.items():
        density = np.ones(layer.score.shape[1])
        if by_density:
            average = float(layer.nonzero.mean())
            density = masked_mean(layer.nonzero, layer.small, 0.0) / average if average else density
        worth = worths[name]
        result[name] = worth.values * density + worth.work
    return result


def rounded(values: Floats, digits: int = 4) -> tuple[float, ...]:
    """Numbers with so many significant digits, as they stand in the file."""
    return tuple(float(f"{value:.{digits}g}") for value in values)


@dataclass(frozen=True, eq=False)
class Allocation:
    """Sensitivity and worth of every channel, by layer [C]: thresholds for any level follow from them.

    spread: the power of the worth that counts. 1 is right where sensitivities are; but the first order makes too little
    of what flagged maps of early layers, the ones worth most, do to the scores of all that follow.
    """

    sensitivity: Mapping[str, Floats]
    worth: Mapping[str, Floats]
    by_channel: bool
    spread: float = 1.0

    def thresholds(self, level: float) -> dict[str, float | tuple[float, ...]]:
        """The epsilon of each layer, or of each of its channels."""
        result: dict[str, float | tuple[float, ...]] = {}
        for name, sensitivity in self.sensitivity.items():
            worth = self.worth[name] ** self.spread
            if self.by_channel:
                result[name] = rounded(level * np.sqrt(worth / sensitivity))
            else:
                result[name] = rounded(np.array([level * np.sqrt(worth.mean() / sensitivity.mean())]))[0]
        return result

    def level_of(self, estimate: Callable[[float], float], wanted: float) -> float:
        """The level at which a rising `estimate` of it reaches `wanted`, found by halving in log scale."""
        low, high = -40.0, 40.0
        for _ in range(60):
            middle = (low + high) / 2
            low, high = (middle, high) if estimate(float(np.exp(middle))) < wanted else (low, middle)
        return float(np.exp(low))


def flagged_means(
    samples: Mapping[str, LayerSamples], epsilons: Mapping[str, float | tuple[float, ...]]
) -> dict[str, tuple[float, ...]]:
    """By layer, the mean of each channel's maps that its epsilon flags; 0 for a channel of which none is."""
    return {
        name: rounded(masked_mean(samples[name].mean, samples[name].score <= np.asarray(epsilon), 0.0))
        for name, epsilon in epsilons.items()
    }


def expected_disturbance(
    samples: Mapping[str, LayerSamples],
    margins: npt.NDArray[np.float32],
    epsilons: Mapping[str, float | tuple[float, ...]],
) -> float:
    """The mean over images of Σ (change of the margin / (margin + 1))² over flagged maps: the scale of what is lost."""
    doubt = 1.0 / (np.asarray(margins, np.float64)[:, None] + 1.0) ** 2
    total = 0.0
    for name, epsilon in epsilons.items():
        layer = samples[name]
        total += float((layer.change(0.0) ** 2 * doubt * (layer.score <= np.asarray(epsilon))).sum())
    return total / len(margins)
