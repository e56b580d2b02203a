"""Dynamic pruning of feature maps while a network runs: what is small enough is zero for everything that comes after.

A piece (a feature map, a tile of it, an element) is flagged when all of its elements, or more than 99 % of them, are
within epsilon of zero.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F  # noqa: N812 (PyTorch's own name for it)

Granularity = Literal["feature_map", "tile", "element"]
Rule = Literal["all", "99%"]
Side = Literal["ofm", "ifm"]


def small_elements(maps: torch.Tensor, epsilon: float) -> torch.Tensor:
    """Where |x| ≤ epsilon; NaN is not small."""
    return maps.abs() <= epsilon


def _enough(count: torch.Tensor, size: torch.Tensor | int, rule: Rule) -> torch.Tensor:
    """Whether `count` small elements of `size` flag a piece, in whole numbers: 0.99 has no exact binary form."""
    return count == size if rule == "all" else 100 * count > 99 * size


def flagged_feature_maps(maps: torch.Tensor, epsilon: float, rule: Rule) -> torch.Tensor:
    """Which feature maps of [N, C, H, W] are flagged: [N, C, 1, 1]."""
    if rule == "all":
        return small_elements(maps, epsilon).all(-1, keepdim=True).all(-2, keepdim=True)
    count = small_elements(maps, epsilon).sum((-2, -1), dtype=torch.int64, keepdim=True)
    return _enough(count, maps.shape[-2] * maps.shape[-1], rule)


def flagged_tiles(maps: torch.Tensor, epsilon: float, tile: tuple[int, int], rule: Rule) -> torch.Tensor:
    """Where [N, C, H, W] lies in a flagged tile of `tile` (rows, columns); tiles at the far edges are cut off there."""
    height, width = maps.shape[-2:]
    rows, columns = min(tile[0], height), min(tile[1], width)
    below, beside = -height % rows, -width % columns
    small = F.pad(small_elements(maps, epsilon).to(torch.int32), (0, beside, 0, below))
    grid = small.reshape(*small.shape[:2], -1, rows, small.shape[-1] // columns, columns)
    count = grid.sum((-3, -1), dtype=torch.int64)
    tall = torch.full((count.shape[-2], 1), rows, dtype=torch.int64, device=maps.device)
    wide = torch.full((1, count.shape[-1]), columns, dtype=torch.int64, device=maps.device)
    tall[-1], wide[:, -1] = rows - below, columns - beside
    flags = _enough(count, tall * wide, rule)
    return flags.repeat_interleave(rows, -2).repeat_interleave(columns, -1)[..., :height, :width]


@dataclass(frozen=True)
class DynamicPruning:
    """Which pieces are flagged. epsilons: the absolute epsilon of each pruned layer, by name."""

    epsilons: Mapping[str, float]
    granularity: Granularity = "feature_map"
    tile: tuple[int, int] | None = None
    rule: Rule = "all"
    side: Side = "ofm"

    @property
    def changes_nothing(self) -> bool:
        """Whether only zeros are set to zero, so that every result stays what it was."""
        return self.rule == "all" and all(epsilon == 0 for epsilon in self.epsilons.values())

    def flagged(self, layer: str, maps: torch.Tensor) -> torch.Tensor | None:
        """Which elements of a layer's feature maps [N, C, H, W] become zero.

        The mask has the maps' shape, or [N, C, 1, 1] for whole feature maps; None when the layer is not pruned.
        """
        epsilon = self.epsilons.get(layer)
        if epsilon is None:
            return None
        if self.granularity == "element":
            return small_elements(maps, epsilon)
        if self.granularity == "tile" and self.tile is not None:
            return flagged_tiles(maps, epsilon, self.tile, self.rule)
        return flagged_feature_maps(maps, epsilon, self.rule)
