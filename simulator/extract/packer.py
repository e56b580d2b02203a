"""Packs feature maps as the trace stores them, image by image on as many threads as PyTorch uses."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch

from simulator.trace.file import Array


class MapPacker:
    """Zero-maps, counts and maxima of feature maps.

    All of it is numpy, one image at a time: an image's feature map stays in the cache for the three passes over it, and
    numpy lets other threads run meanwhile. PyTorch's threads would have to meet once per operator.
    """

    def __init__(self) -> None:
        threads = torch.get_num_threads()
        self._pool = ThreadPoolExecutor(threads) if threads > 1 else None

    def pack(self, maps: torch.Tensor, *, nonnegative: bool = False) -> tuple[Array, Array, Array]:
        """The zero-map uint8 [N, C, ceil(H·W/8)], non-zero counts uint32 [N, C] and max |x| float32 [N, C].

        -0.0 is zero, NaN is not. nonnegative says that no value is below zero, which saves looking for it.
        """
        images, channels, height, width = maps.shape
        flat = maps.reshape(images, channels, height * width)
        if flat.dtype not in (torch.float32, torch.float64):
            flat = flat.float()
        values = flat.cpu().numpy()
        packed = np.empty((images, channels, -(-height * width // 8)), np.uint8)
        nonzero = np.empty((images, channels), np.uint32)
        maximum = np.empty((images, channels), np.float32)

        def pack_image(image: int) -> None:
            _pack(values[image], packed[image], nonzero[image], maximum[image], nonnegative)

        if self._pool is None or images == 1:
            for image in range(images):
                pack_image(image)
        else:
            list(self._pool.map(pack_image, range(images)))
        return packed, nonzero, maximum


def _pack(values: Array, packed: Array, nonzero: Array, maximum: Array, nonnegative: bool) -> None:
    """One image's [C, H·W] values into its rows of the results."""
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
