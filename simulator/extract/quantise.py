"""Feature maps as the whole numbers that a quantised accelerator would hold."""

import numpy as np
import torch

from simulator.errors import InputError
from simulator.trace.file import Array
from simulator.trace.values import MOST_BITS, pack_values


def check_value_bits(bits: int | None) -> None:
    """Raises InputError for a width that values cannot be recorded in."""
    if bits is not None and not 2 <= bits <= MOST_BITS:
        raise InputError(f"values of {bits} bits cannot be recorded, expected 2 to {MOST_BITS}")


def quantised(maps: torch.Tensor, bits: int) -> Array:
    """Feature maps [N, C, H, W] as numbers of 2 to 16 bits, the bytes of each low one first: uint8 [N, C, H·W·bytes].

    Each image of a tensor has a scale of its own, by which its largest |x| is the largest number: of 0 to 2^bits − 1
    where no value is below zero, and else of −(2^(bits−1) − 1) to 2^(bits−1) − 1 in two's complement. A value that is
    not zero stays apart from zero by at least one, so that values have their zeros where the zero-map has them. NaN
    counts as the smallest such value.
    """
    images = maps.reshape(maps.shape[0], maps.shape[1], -1).double().cpu().numpy()
    lowest, largest = images.min(axis=(1, 2), keepdims=True), np.abs(images).max(axis=(1, 2), keepdims=True)
    levels = np.where(lowest < 0, 2 ** (bits - 1) - 1, 2**bits - 1)
    with np.errstate(invalid="ignore", divide="ignore"):
        steps = np.nan_to_num(np.rint(images / largest * levels), nan=0.0)
    sign = np.where(images < 0, -1.0, 1.0)
    numbers = np.where((steps == 0) & (images != 0), sign, steps).astype(np.int64)
    return pack_values(numbers & ((1 << bits) - 1), bits)
