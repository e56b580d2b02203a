"""Packs feature maps as the trace stores them, some images at a time on as many threads as PyTorch uses."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch

from simulator.trace.file import Array

AT_A_TIME_BYTES = 1 << 19
"""Feature maps that are packed at a time, if they are more than one image's: half of a usual second-level cache."""


class MapPacker:
    """Zero-maps, counts and maxima of feature maps.

    All of it is numpy, an image or some small ones at a time: their feature maps stay in the cache for the three passes
    over them, and numpy lets other threads run meanwhile. PyTorch's threads would have to meet once per operator.
    """

    def __init__(self) -> None:
        threads = torch.get_num_threads()
        self._pool = ThreadPoolExecutor(threads) if threads > 1 else None

    def pack(self, maps: torch.Tensor, *, nonnegative: bool = False) -> tuple[Array, Array, Array]:
        """The zero-map uint8 [N, C, ceil(H·W/8)], non-zero counts uint32 [N, C] and max |x| float32 [N, C].

        -0.0 is zero, NaN is not. nonnegative says that no value is below zero, which saves looking for it.
        """
        images, channels, height, width = maps.shape
        flat = maps.reshape(images * channels, height * width)
        if flat.dtype not in (torch.float32, torch.float64):
            flat = flat.float()
        values = flat.cpu().numpy()
        packed = np.empty((len(values), -(-height * width // 8)), np.uint8)
        nonzero = np.empty(len(values), np.uint32)
        maximum = np.empty(len(values), np.float32)
        at_a_time = channels * max(1, AT_A_TIME_BYTES * images // max(values.nbytes, 1))

        def pack_from(first: int) -> None:
            some = slice(first, first + at_a_time)
            _pack(values[some], packed[some], nonzero[some], maximum[some], nonnegative)

        starts = range(0, len(values), at_a_time)
        if self._pool is None or len(starts) == 1:
            for first in starts:
                pack_from(first)
        else:
            list(self._pool.map(pack_from, starts))
        return packed.reshape(images, channels, -1), nonzero.reshape(images, -1), maximum.reshape(images, -1)


def _pack(values: Array, packed: Array, nonzero: Array, maximum: Array, nonnegative: bool) -> None:
    """[maps, H·W] values into their rows of the results."""
    channels, elements = values.shape
    if elements % 8 == 0:
        bits = values.reshape(-1) != 0
    else:
        padded = np.zeros((channels, packed.shape[1] * 8), np.bool_)
        np.not_equal(values, 0, out=padded[:, :elements])
        bits = padded.reshape(-1)
    packed[:] = np.packbits(bits).reshape(packed.shape)
    nonzero[:] = np.bitwise_count(packed).sum(axis=-1, dtype=np.uint32)
    highest = values.max(axis=-1)
    maximum[:] = highest if nonnegative else np.maximum(highest, -values.min(axis=-1))
