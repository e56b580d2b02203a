"""What a codec answers: the sizes of units of elements from where they are not zero."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Units:
    """Units of equal length, in blocks that lie apart in memory.

    elements: those of a unit. nonzeros: how many of them are not zero, [blocks, units]. positions: which ones, as a
    function that makes [blocks, units, elements] in storage order; codecs to which counts are enough never call it.
    """

    elements: int
    nonzeros: Ints
    positions: Callable[[], Bools]


class Codec(ABC):
    """How values are stored. streams: whether the units of a block follow each other in one stream of codes, which is
    decoded from its beginning; else a unit is decoded on its own.
    """

    name: ClassVar[str]
    streams: ClassVar[bool] = False
    needs_values: ClassVar[bool] = False

    @abstractmethod
    def unit_bits(self, units: Units, word_bits: int) -> tuple[Ints, Ints]:
        """Bits of every unit that hold values, and bits that say which are zero: [blocks, units] each."""

    @abstractmethod
    def largest_bits(self, elements: int, word_bits: int) -> int:
        """Bits that a block of so many elements takes up at most."""

    @abstractmethod
    def zero_bits(self, zeros: npt.ArrayLike, index_bits: npt.ArrayLike, word_bits: int) -> Ints:
        """Bits that so many zeros take up in a unit with so many index bits."""

    @abstractmethod
    def expected_ratio(self, density: float, word_bits: int) -> float:
        """Stored over raw bits where that share of the elements, anywhere among them, is not zero."""


class CountedCodec(Codec):
    """A codec whose sizes depend on how many elements are not zero, wherever they are."""

    @abstractmethod
    def data_bits(self, elements: npt.ArrayLike, nonzeros: npt.ArrayLike, word_bits: int) -> Ints:
        """Bits that hold values."""

    @abstractmethod
    def index_bits(self, elements: npt.ArrayLike, nonzeros: npt.ArrayLike, word_bits: int) -> Ints:
        """Bits that say which values are zero."""

    def unit_bits(self, units: Units, word_bits: int) -> tuple[Ints, Ints]:
        """`data_bits` and `index_bits` of every unit."""
        counts = units.elements, units.nonzeros, word_bits
        return self.data_bits(*counts), self.index_bits(*counts)

    def largest_bits(self, elements: int, word_bits: int) -> int:
        """Those of the block as it is: a codec of this kind stores raw what it would enlarge."""
        return elements * word_bits
