"""The share of a feature map's elements that lie in pieces which are zero as a whole, for pieces of several kinds."""

from collections.abc import Mapping

import numpy as np

from simulator.trace.zero_map import Bools, tile_counts

BRICK = 16
"""Channels of a brick: those that Cnvlutin and NVDLA keep side by side (Albericio et al., ISCA 2016)."""


def zero_shares(nonzero: Bools, tile: tuple[int, int]) -> Mapping[str, float]:
    """Shares in 0..1 of the elements of a [C, H, W] map that lie in all-zero pieces.

    element: the zeros. row: rows of one feature map. tile: `tile` (rows, columns) of one feature map, cut off at the
    far edges. feature_map: whole [H, W] planes. brick: BRICK channels that follow each other, at one position (the last
    brick has what is left of them). pixel: all channels of one position.
    """
    channels, height, width = nonzero.shape
    rows, columns = tile
    empty_tiles = tile_counts(nonzero, rows, columns) == 0
    tall = np.diff(np.arange(0, height, rows), append=height)
    wide = np.diff(np.arange(0, width, columns), append=width)
    starts = np.arange(0, channels, BRICK)
    empty_bricks = ~np.logical_or.reduceat(nonzero, starts, axis=0)
    deep = np.diff(starts, append=channels)
    elements = nonzero.size
    return {
        "element": 1 - np.count_nonzero(nonzero) / elements,
        "row": float(np.mean(~nonzero.any(axis=2))),
        "tile": float((empty_tiles * (tall[:, None] * wide)).sum() / elements),
        "feature_map": float(np.mean(~nonzero.any(axis=(1, 2)))),
        "brick": float((empty_bricks * deep[:, None, None]).sum() / elements),
        "pixel": float(np.mean(~nonzero.any(axis=0))),
    }
