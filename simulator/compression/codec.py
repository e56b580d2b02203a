"""What a codec answers: the sizes of units of elements from where they are not zero, and for some from their values."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]


def true_counts(true: Bools) -> Ints:
    """How many elements of each unit of a map [..., elements] are true."""
    small = true.shape[-1] < 1 << 16
    found: Ints = true.view(np.uint8).sum(axis=-1, dtype=np.uint16 if small else np.int64).astype(np.int64)
    return found


@dataclass(frozen=True, eq=False)
class Units:
    """Units of equal length, in blocks that lie apart in memory.

    elements: those of a unit. nonzeros: how many of them are not zero, [blocks, units]. positions: which ones, as a
    function that makes [blocks, units, elements] in storage order; codecs to which counts are enough never call it.
    values: the same for the values as whole numbers, None where nobody knows them.
    """

    elements: int
    nonzeros: Ints
    positions: Callable[[], Bools]
    values: Callable[[], Ints] | None = None

    @classmethod
    def of(cls, nonzero: Bools, values: Ints | None = None) -> "Units":
        """The units of a map [blocks, units, elements], and of its values where they are known."""
        return cls(nonzero.shape[2], true_counts(nonzero), lambda: nonzero, None if values is None else lambda: values)


class Codec(ABC):
    """How values are stored. `unit_bits` is what the format takes and nothing else: to store raw what it would enlarge
    is up to the memory that it lies in (`unit_sizes`).

    streams: whether the units of a block follow each other in one stream of codes, which is decoded from its beginning;
    else a unit is decoded on its own. needs_values: whether zero-maps are not enough; takes_values: whether it can do
    with zero-maps, and does better with values. along_channels: whether it wants
    the input channels of a kernel side by side.
    """

    name: ClassVar[str]
    streams: ClassVar[bool] = False
    needs_values: ClassVar[bool] = False
    takes_values: ClassVar[bool] = False
    along_channels: ClassVar[bool] = False

    @abstractmethod
    def unit_bits(self, units: Units, word_bits: int) -> tuple[Ints, Ints]:
        """Bits of every unit that hold values, and bits that say which are zero: [blocks, units] each."""

    def shared_bits(self, units: Units, word_bits: int) -> int:
        """Bits that are stored once for all units, such as a code table."""
        return 0

    @abstractmethod
    def largest_bits(self, elements: int, word_bits: int) -> int:
        """Bits that so many elements take up at most, in one unit or in a stream."""

    @abstractmethod
    def zero_bits(self, zeros: npt.ArrayLike, word_bits: int) -> Ints:
        """Bits that so many zeros take up in a unit."""

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
