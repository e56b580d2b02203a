"""Dynamic pruning of feature maps while a network runs: a piece that is small enough is not there for what comes after.

A piece (a feature map, a tile of it, an element) is flagged by one of these rules: all of its elements are within
epsilon of zero ("all"), more than so many percent of them are ("99%", "95%", …), or their mean magnitude is ("mean").
What is flagged becomes zero, or the calibrated mean of its channel where there is one.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from typing import Literal

import torch
import torch.nn.functional as F  # noqa: N812 (PyTorch's own name for it)

Granularity = Literal["feature_map", "tile", "element"]
Side = Literal["ofm", "ifm"]
Epsilon = float | Sequence[float]
"""One number for a layer, or one per channel."""

_PERCENT = re.compile(r"([0-9]{1,2}(?:\.[0-9]{1,3})?)%")


def is_rule(rule: str) -> bool:
    """Whether there is such a rule: "all", "mean", or a share of 0 to just under 100 % such as "99%"."""
    return rule in ("all", "mean") or _PERCENT.fullmatch(rule) is not None


def share_of(rule: str) -> Fraction:
    """The share of a "99%" rule, exactly: 0.99 has no exact binary form."""
    return Fraction(rule.removesuffix("%")) / 100


def small_elements(maps: torch.Tensor, epsilon: float | torch.Tensor) -> torch.Tensor:
    """Where |x| ≤ epsilon; NaN is not small."""
    return maps.abs() <= epsilon


def _enough(count: torch.Tensor, size: torch.Tensor | int, rule: str) -> torch.Tensor:
    """Whether `count` small elements of `size` flag a piece, in whole numbers."""
    if rule == "all":
        return count == size
    share = share_of(rule)
    return share.denominator * count > share.numerator * size


def largest_magnitude(maps: torch.Tensor, *, nonnegative: bool = False) -> torch.Tensor:
    """The largest |x| of each feature map of [N, C, H, W]: [N, C, 1, 1]; NaN where a map holds one.

    Two reductions read the maps once each, and one where nothing is negative; |x| first would write and read a copy.
    """
    if nonnegative:
        return maps.amax((-2, -1), keepdim=True)
    return torch.maximum(maps.amax((-2, -1), keepdim=True), -maps.amin((-2, -1), keepdim=True))


def flagged_feature_maps(
    maps: torch.Tensor, epsilon: float | torch.Tensor, rule: str, *, nonnegative: bool = False
) -> torch.Tensor:
    """Which feature maps of [N, C, H, W] are flagged: [N, C, 1, 1]; epsilon is a number or [C, 1, 1]."""
    if rule == "all":
        return largest_magnitude(maps, nonnegative=nonnegative) <= epsilon
    if rule == "mean":
        return maps.abs().mean((-2, -1), keepdim=True) <= epsilon
    count = small_elements(maps, epsilon).sum((-2, -1), dtype=torch.int64, keepdim=True)
    return _enough(count, maps.shape[-2] * maps.shape[-1], rule)


def flagged_tiles(maps: torch.Tensor, epsilon: float | torch.Tensor, tile: tuple[int, int], rule: str) -> torch.Tensor:
    """Where [N, C, H, W] lies in a flagged tile of `tile` (rows, columns); tiles at the far edges are cut off there."""
    height, width = maps.shape[-2:]
    rows, columns = min(tile[0], height), min(tile[1], width)
    below, beside = -height % rows, -width % columns
    by_mean = rule == "mean"
    values = maps.abs() if by_mean else small_elements(maps, epsilon).to(torch.int32)
    padded = F.pad(values, (0, beside, 0, below))
    grid = padded.reshape(*padded.shape[:2], -1, rows, padded.shape[-1] // columns, columns)
    total = grid.sum((-3, -1), dtype=None if by_mean else torch.int64)
    tall = torch.full((total.shape[-2], 1), rows, dtype=torch.int64, device=maps.device)
    wide = torch.full((1, total.shape[-1]), columns, dtype=torch.int64, device=maps.device)
    tall[-1], wide[:, -1] = rows - below, columns - beside
    flags = total / (tall * wide) <= epsilon if by_mean else _enough(total, tall * wide, rule)
    return flags.repeat_interleave(rows, -2).repeat_interleave(columns, -1)[..., :height, :width]


@dataclass(frozen=True)
class DynamicPruning:
    """Which pieces are flagged, and what stands in their place.

    epsilons: the absolute epsilon of each pruned layer, by name, one number or one per channel. means: what flagged
    pieces of a layer become, one number per channel; zero for layers without.
    """

    epsilons: Mapping[str, Epsilon]
    granularity: Granularity = "feature_map"
    tile: tuple[int, int] | None = None
    rule: str = "all"
    side: Side = "ofm"
    means: Mapping[str, Sequence[float]] | None = None

    @property
    def changes_nothing(self) -> bool:
        """Whether only zeros are set to zero, so that every result stays what it was."""
        every = (torch.as_tensor(epsilon) for epsilon in self.epsilons.values())
        return self.rule == "all" and not self.means and all(bool((epsilon == 0).all()) for epsilon in every)

    @cached_property
    def _by_channel(self) -> dict[str, torch.Tensor]:
        every = {name: epsilon for name, epsilon in self.epsilons.items() if not isinstance(epsilon, float | int)}
        return {name: torch.as_tensor(epsilon, dtype=torch.float64)[:, None, None] for name, epsilon in every.items()}

    @cached_property
    def _means(self) -> dict[str, torch.Tensor]:
        means = (self.means or {}).items()
        return {name: torch.as_tensor(mean, dtype=torch.float64)[:, None, None] for name, mean in means}

    def flagged(self, layer: str, maps: torch.Tensor, *, nonnegative: bool = False) -> torch.Tensor | None:
        """Which elements of a layer's feature maps [N, C, H, W] are not there; nonnegative: none is below zero.

        The mask has the maps' shape, or [N, C, 1, 1] for whole feature maps; None when the layer is not pruned.
        """
        epsilon = self.epsilons.get(layer)
        if epsilon is None:
            return None
        bound = self._by_channel[layer].to(maps) if layer in self._by_channel else float(epsilon)  # type: ignore[arg-type]
        if self.granularity == "element":
            return small_elements(maps, bound)
        if self.granularity == "tile" and self.tile is not None:
            return flagged_tiles(maps, bound, self.tile, self.rule)
        return flagged_feature_maps(maps, bound, self.rule, nonnegative=nonnegative)

    def replacement(self, layer: str, maps: torch.Tensor) -> torch.Tensor | None:
        """What flagged elements of a layer become, [C, 1, 1] in the maps' type; None for zero."""
        mean = self._means.get(layer)
        return None if mean is None else mean.to(maps)
