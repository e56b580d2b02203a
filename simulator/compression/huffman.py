"""Short codes for frequent values."""

import heapq
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from simulator.compression.codec import Codec, Ints, Units
from simulator.compression.entropy import binary_entropy

_LENGTH_BITS = 6
"""Bits of a code's length in the table. A code of 64 bits takes more than 10^13 elements, by Fibonacci's numbers."""


class Huffman(Codec):
    """Huffman's code of the values, zeros among them, as Deep Compression has it for kernels (Han et al., ICLR 2016).

    One code for all units, made from how often each value occurs in all of them. Its table is counted: w bits that say
    how many values there are, and for each its w bits and the length of its code in 6 bits, from which canonical codes
    follow. Where there is only one value its code is empty. A hardware encoder would need the table before it starts.
    """

    name: ClassVar[str] = "huffman"
    needs_values: ClassVar[bool] = True

    def unit_bits(self, units: Units, word_bits: int) -> tuple[Ints, Ints]:
        """The codes of each unit's values; no index."""
        assert units.values is not None
        values = units.values()
        _, symbol, count = np.unique(values, return_inverse=True, return_counts=True)
        bits = code_lengths(count)[symbol.reshape(values.shape)].sum(axis=-1)
        return bits.astype(np.int64), np.zeros(units.nonzeros.shape, np.int64)

    def shared_bits(self, units: Units, word_bits: int) -> int:
        """The table."""
        assert units.values is not None
        return word_bits + len(np.unique(units.values())) * (word_bits + _LENGTH_BITS)

    def largest_bits(self, elements: int, word_bits: int) -> int:
        """The longest code for each."""
        return elements * min((1 << word_bits) - 1, (1 << _LENGTH_BITS) - 1)

    def zero_bits(self, zeros: npt.ArrayLike, word_bits: int) -> Ints:
        """One bit each, the shortest code."""
        return np.asarray(zeros, np.int64)

    def expected_ratio(self, density: float, word_bits: int) -> float:
        """At least a bit each, and of values that are all alike frequent d + H(d) / w."""
        return max(1 / word_bits, density + binary_entropy(density) / word_bits)


def code_lengths(counts: npt.NDArray[np.int64]) -> Ints:
    """Bits of the code of each symbol, from how often it occurs (at least once)."""
    symbols = len(counts)
    if symbols == 1:
        return np.zeros(1, np.int64)
    parent = [0] * (2 * symbols - 1)
    heap = [(count, symbol) for symbol, count in enumerate(counts.tolist())]
    heapq.heapify(heap)
    for node in range(symbols, 2 * symbols - 1):
        (fewest, first), (fewer, second) = heapq.heappop(heap), heapq.heappop(heap)
        parent[first] = parent[second] = node
        heapq.heappush(heap, (fewest + fewer, node))
    depth = [0] * (2 * symbols - 1)
    for node in range(2 * symbols - 3, -1, -1):
        depth[node] = depth[parent[node]] + 1
    return np.array(depth[:symbols], np.int64)
