"""N values of every M."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from simulator.compression.codec import Bools, Codec, Ints, Units


@dataclass(frozen=True)
class NOfM(Codec):
    """N:M sparsity, 2:4 unless told otherwise (NVIDIA A100 Tensor Core GPU Architecture, 2020).

    Every group of M neighbours keeps N values, zeros among them where it has fewer, with ceil(log2 M) bits each that
    say which they are; the last group of a unit is padded. A group with more than N non-zeros does not fit: a unit that
    has one is stored raw, and so is one that the format would not make smaller. Its size in the table tells.
    """

    name: ClassVar[str] = "n_m"
    along_channels: ClassVar[bool] = True
    n: int = 2
    m: int = 4

    @property
    def _index(self) -> int:
        return (self.m - 1).bit_length()

    def unit_bits(self, units: Units, word_bits: int) -> tuple[Ints, Ints]:
        """The kept values and where they are; or all values of a unit that does not fit."""
        kept = self._kept(units.elements)
        smaller = kept * (word_bits + self._index) < units.elements * word_bits
        fits = (units.nonzeros <= self.n) & smaller
        if smaller and not fits.all():
            fits = self._fullest_group(units.positions()) <= self.n
        data = np.where(fits, kept * word_bits, units.elements * word_bits).astype(np.int64)
        return data, np.where(fits, kept * self._index, 0).astype(np.int64)

    def _kept(self, elements: int) -> int:
        return -(-elements // self.m) * self.n

    def _fullest_group(self, nonzero: Bools) -> Ints:
        """Non-zeros in the fullest group of each unit."""
        padding = -nonzero.shape[-1] % self.m
        if padding:
            nonzero = np.concatenate([nonzero, np.zeros((*nonzero.shape[:-1], padding), np.bool_)], axis=-1)
        count = np.zeros((*nonzero.shape[:-1], nonzero.shape[-1] // self.m), np.uint16)
        for place in range(self.m):
            count += nonzero[..., place :: self.m]
        fullest: Ints = count.max(axis=-1).astype(np.int64)
        return fullest

    def largest_bits(self, elements: int, word_bits: int) -> int:
        """All values raw."""
        return elements * word_bits

    def zero_bits(self, zeros: npt.ArrayLike, word_bits: int) -> Ints:
        """What any elements take up: N kept ones of M."""
        return np.asarray(zeros, np.int64) * self.n * (word_bits + self._index) // self.m

    def expected_ratio(self, density: float, word_bits: int) -> float:
        """N/M with its index where the zeros can have been put to fit, else raw."""
        return min(1.0, self.n / self.m * (1 + self._index / word_bits)) if density <= self.n / self.m else 1.0
