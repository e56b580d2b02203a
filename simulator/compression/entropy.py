"""What no code without memory beats."""

from typing import ClassVar

import numpy as np
import numpy.typing as npt

from simulator.compression.codec import Codec, Ints, Units


class Entropy(Codec):
    """n·H(p), a bound and no codec: the bits of n symbols that are drawn alike and apart (Shannon 1948).

    p is how often each symbol occurs in all units together. Of zero-maps the symbols are zero and non-zero, and every
    non-zero value costs its w bits besides; where values are known they are the symbols. Codes that see neighbours, as
    all that count runs do, can be smaller. A unit's share is rounded up to whole bits.
    """

    name: ClassVar[str] = "entropy"
    takes_values: ClassVar[bool] = True

    def unit_bits(self, units: Units, word_bits: int) -> tuple[Ints, Ints]:
        """Of known values all bits as values; of maps the non-zero values, and the entropy of their places."""
        if units.values is not None:
            values = units.values()
            _, symbol, count = np.unique(values, return_inverse=True, return_counts=True)
            information = -np.log2(count / values.size)
            bits = information[symbol.reshape(values.shape)].sum(axis=-1)
            return _whole(bits), np.zeros(units.nonzeros.shape, np.int64)
        nonzeros, total = units.nonzeros, units.nonzeros.size * units.elements
        density = nonzeros.sum() / total
        if density in (0, 1):
            return nonzeros * word_bits, np.zeros(nonzeros.shape, np.int64)
        bits = -(nonzeros * np.log2(density) + (units.elements - nonzeros) * np.log2(1 - density))
        return nonzeros * word_bits, _whole(bits)

    def largest_bits(self, elements: int, word_bits: int) -> int:
        """As many bits for each element as the rarest symbol of 2^62 could have."""
        return elements * (word_bits + 62)

    def zero_bits(self, zeros: npt.ArrayLike, word_bits: int) -> Ints:
        """None: how much they tell depends on all others."""
        return np.zeros_like(np.asarray(zeros, np.int64))

    def expected_ratio(self, density: float, word_bits: int) -> float:
        """d + H(d) / w."""
        return density + binary_entropy(density) / word_bits


def binary_entropy(share: float) -> float:
    """Bits that one of two outcomes tells on average, of which one has that share."""
    if share in (0, 1):
        return 0.0
    return float(-share * np.log2(share) - (1 - share) * np.log2(1 - share))


def _whole(bits: npt.NDArray[np.float64]) -> Ints:
    """Rounded up, but for what floating point has added."""
    return np.ceil(bits - 1e-6).astype(np.int64)
