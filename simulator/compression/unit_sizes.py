"""Units as a memory stores them: compressed, or raw where that is smaller."""

from dataclasses import dataclass

import numpy as np

from simulator.compression.codec import Bools, Codec, Ints, Units


@dataclass(frozen=True, eq=False)
class UnitSizes:
    """Bits of every unit that hold values and that say which are zero, and the units that are stored raw:
    [blocks, units] each. shared: bits that are stored once for all of them."""

    data: Ints
    index: Ints
    raw: Bools
    shared: int = 0

    @property
    def bits(self) -> Ints:
        """All bits of every unit."""
        return self.data + self.index


def unit_sizes(codec: Codec, units: Units, word_bits: int, *, raw_fallback: bool, granule_bits: int = 1) -> UnitSizes:
    """The sizes of units under a codec, with raw_fallback those of raw units where compressing saves nothing.

    granule_bits: units are stored in whole ones of so many bits, and fewer of them are a saving. The size of a unit
    tells whether it is raw, so the fallback takes a table of sizes and no bits of its own.
    """
    (data, index), shared = codec.unit_bits(units, word_bits), codec.shared_bits(units, word_bits)
    raw_bits = units.elements * word_bits
    if not raw_fallback:
        return UnitSizes(data, index, np.zeros(data.shape, np.bool_), shared)
    raw = np.asarray(-(-(data + index) // granule_bits) >= -(-raw_bits // granule_bits))
    return UnitSizes(np.where(raw, raw_bits, data), np.where(raw, 0, index), raw, shared)


def falls_back(codec: Codec, wanted: bool | None, *, on_its_own: bool) -> bool:
    """Whether units that the codec does not make smaller are stored raw: as wanted, and where nothing is said all but
    the units of a stream that are not coded on their own."""
    return (on_its_own or not codec.streams) if wanted is None else wanted


def stored_ratio(codec: Codec, density: float, word_bits: int, *, raw_fallback: bool) -> float:
    """Stored over raw bits to be expected where that share of the elements is not zero."""
    ratio = codec.expected_ratio(density, word_bits)
    return min(1.0, ratio) if raw_fallback else ratio
