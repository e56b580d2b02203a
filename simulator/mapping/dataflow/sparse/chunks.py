"""Chunks of non-zeros as SCNN's PEs take them from their compressed tiles, and those that have to be looked at
singly."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from simulator.mapping.dataflow.sparse.bank_times import (
    ABSENT,
    BASE,
    DIGITS,
    BankTimes,
    larger_bytes,
    largest_byte,
)
from simulator.mapping.dataflow.sparse.base import Bools, Ints

Places = npt.NDArray[np.int32]
Codes = npt.NDArray[np.int16]


@dataclass(frozen=True, eq=False)
class ActivationChunks:
    """Chunks of non-zero activations: their rows and columns in the plane, [chunks, 4], −1 where a chunk has fewer.

    segment: the channel · PEs + PE of each chunk, channel: its channel; chunks and count: chunks and non-zeros of every
    segment.
    """

    y: Places
    x: Places
    segment: Ints
    channel: Ints
    chunks: Ints
    count: Ints

    @property
    def total(self) -> int:
        """All chunks."""
        return len(self.segment)

    def code(self, offset: tuple[int, int], stride: tuple[int, int], outputs: tuple[int, int], banks: int) -> Codes:
        """Each chunk as a number of `BankTimes`, at the kernel position whose outputs lie `offset` back."""
        y, x = self.y - np.int32(offset[0]), self.x - np.int32(offset[1])
        there = (self.y >= 0) & (y >= 0) & (x >= 0)
        if stride != (1, 1):
            y, x = y // np.int32(stride[0]), x // np.int32(stride[1])
        there &= (y < outputs[0]) & (x < outputs[1])
        digit = ((y & 1) | ((x & 1) << 1) | (((x ^ y) & 2) << 1)) & ((banks - 1) >> 2)
        return digits_code(np.where(there, digit, ABSENT))


def digits_code(digits: Places) -> Codes:
    """Digits [chunks, 4] as numbers of `BankTimes`."""
    small = digits.astype(np.int16)
    code = small[:, 0].copy()
    for place in range(1, DIGITS):
        code += small[:, place] * np.int16(BASE[place])
    return code


def activation_chunks(plane: Bools, stride: tuple[int, int], phase: tuple[int, int], size: int) -> ActivationChunks:
    """The non-zeros of one phase of the stride, of a plane [C, PE rows, PE columns, rows, columns], in chunks."""
    channels, pe_rows, pe_columns, height, width = plane.shape
    segments = channels * pe_rows * pe_columns
    some = plane
    if stride != (1, 1):
        row = np.arange(pe_rows)[:, None] * height + np.arange(height)
        column = np.arange(pe_columns)[:, None] * width + np.arange(width)
        some = plane & (row % stride[0] == phase[0])[:, None, :, None] & (column % stride[1] == phase[1])[:, None, :]
    segment, inside = np.divmod(np.flatnonzero(some).astype(np.int32), np.int32(height * width))
    count = np.bincount(segment, minlength=segments)
    chunks, place = _in_chunks(count, size)
    pe_row, pe_column = np.divmod(np.arange(segments, dtype=np.int32) % (pe_rows * pe_columns), pe_columns)
    y, x = np.divmod(np.arange(height * width, dtype=np.int32), width)
    rows, columns = np.full((2, int(chunks.sum()), DIGITS), -1, np.int32)
    rows.reshape(-1)[place] = y[inside] + (pe_row * height)[segment]
    columns.reshape(-1)[place] = x[inside] + (pe_column * width)[segment]
    owner = np.repeat(np.arange(segments), chunks)
    return ActivationChunks(rows, columns, owner, owner // (pe_rows * pe_columns), chunks, count)


def _in_chunks(count: Ints, size: int) -> tuple[Ints, Ints]:
    """Lists of `count` elements cut into chunks of up to `size`: chunks of each list, and the place of every element
    where each chunk has DIGITS places."""
    chunks = -(-count // size)
    ends = np.cumsum(count)
    number = np.arange(int(ends[-1])) - np.repeat(ends - count, count)
    if size < DIGITS:
        number += number // size * (DIGITS - size)
    return chunks, number + np.repeat(DIGITS * (np.cumsum(chunks) - chunks), count)


@dataclass(frozen=True, eq=False)
class WeightChunks:
    """Chunks of the non-zero weights of a group of output channels: kernel position (−1 for none) and k & 7 (8 for
    none) of each weight, [chunks, 4]; owner: the channel of each chunk; count: chunks of every channel."""

    position: Places
    k: Places
    owner: Ints
    count: Ints
    positions: int

    @property
    def crossing(self) -> Bools:
        """Chunks that reach over more than one kernel position."""
        first, second, third, last = self.position.T
        return np.asarray(np.maximum(second, np.maximum(third, last)) > first)

    def kinds(self, times: BankTimes) -> Ints:
        """How many of the others there are of each kind: [channels, positions · kinds]."""
        own = ~self.crossing
        kinds = len(times.cycles[0])
        kind = times.kind[digits_code(self.k[own])]
        place = (self.owner[own] * self.positions + self.position[own, 0]) * kinds + kind
        counts = np.bincount(place, minlength=len(self.count) * self.positions * kinds)
        return counts.reshape(len(self.count), self.positions * kinds)


def weight_chunks(weights: Bools, first: int, size: int) -> WeightChunks:
    """The non-zeros of weights [C, kernel positions, K] in chunks; `first` is the number of the first output
    channel."""
    channels, positions, outputs = weights.shape
    channel, inside = np.divmod(np.flatnonzero(weights).astype(np.int32), np.int32(positions * outputs))
    count = np.bincount(channel, minlength=channels)
    chunks, place = _in_chunks(count, size)
    at, output = np.divmod(np.arange(positions * outputs, dtype=np.int32), outputs)
    position = np.full((int(chunks.sum()), DIGITS), -1, np.int32)
    k = np.full_like(position, ABSENT)
    position.reshape(-1)[place] = at[inside]
    k.reshape(-1)[place] = ((first + output) & 7)[inside]
    return WeightChunks(position, k, np.repeat(np.arange(channels), chunks), chunks, positions)


def crossing_cycles(acts: ActivationChunks, codes: Codes, chunks: WeightChunks, times: BankTimes) -> Ints:
    """Cycles of the chunks of weights that reach over kernel positions, per (channel, PE).

    codes: [kernel positions, chunks of activations]. One such chunk of every channel at a time.
    """
    cycles = np.zeros(len(acts.count), np.int64)
    crossing = np.flatnonzero(chunks.crossing)
    owner = chunks.owner[crossing]
    turn = np.arange(len(crossing)) - np.searchsorted(owner, owner)
    for number in range(int(turn.max(initial=-1)) + 1):
        of_channel = np.full(len(chunks.count), -1, np.int64)
        of_channel[owner[turn == number]] = crossing[turn == number]
        mine = of_channel[acts.channel]
        chosen = np.flatnonzero(mine >= 0)
        chunk = mine[chosen]
        position, k = chunks.position[chunk], chunks.k[chunk]
        words = [
            np.where(position[:, j] >= 0, times.words[(k[:, j] >> 2) & 1, codes[position[:, j], chosen]], np.uint64(0))
            for j in range(DIGITS)
        ]
        fullest = np.zeros(len(chosen), np.uint64)
        for j in range(DIGITS):
            together = words[j].copy()
            for other in range(DIGITS):
                if other != j:
                    together += words[other] * ((k[:, other] ^ k[:, j]) & 3 == 0)
            fullest = larger_bytes(fullest, together)
        of_chunk = np.maximum(1, largest_byte(fullest))
        cycles += np.bincount(acts.segment[chosen], of_chunk, len(cycles)).astype(np.int64)
    return cycles
