"""Every tiling of a small layer, walked step by step: which fit, and what each moves. Nothing here asks the planner."""

import itertools
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from numba import njit

from simulator.trace.records import Layer

Ints = npt.NDArray[np.int64]

ORDERS = np.array(list(itertools.permutations(range(3))), np.int64)
"""Of the loops over tiles, outermost first: 0 for S (positions and images), 1 for K, 2 for C."""
NAMES = "SKC"


@dataclass(frozen=True)
class Chip:
    """Buffers and widths. copies, bits: of IFM, kernel, OFM (bits of the psums last); pools: the buffer that each
    operand is in; capacity: bytes of these."""

    copies: tuple[int, int, int]
    pools: tuple[int, int, int]
    capacity: tuple[int, ...]
    bits: tuple[int, int, int, int]


@dataclass(frozen=True)
class Loops:
    """The loops of a layer, and per tile size (first axis) and tile the rows and columns that it reads and writes."""

    sizes: tuple[int, int, int, int, int, int]
    kernel: int
    rows: Ints
    columns: Ints
    ofm_rows: Ints
    ofm_columns: Ints


def loops_of(layer: Layer, batch: int) -> Loops:
    """The loops G, K, C, N, P, Q of a convolution."""
    assert layer.kernel is not None
    outputs, channels, r, s = layer.kernel
    transposed = layer.operator == "conv_transpose"
    p, q = layer.ifm[1:] if transposed else layer.ofm[1:]
    tables = []
    for axis, (loop, kernel) in enumerate(((p, r), (q, s))):
        touched = []
        for position in range(loop):
            first = position * layer.stride[axis] - layer.padding[axis]
            window = [position] if transposed else [first + layer.dilation[axis] * tap for tap in range(kernel)]
            touched.append((window[0], window[-1] + 1))
        tables.append(_by_tile(loop, touched, layer.ifm[1 + axis]))
        size = layer.ofm[1 + axis]
        written = [(position * size // loop, (position + 1) * size // loop) for position in range(loop)]
        tables.append(_by_tile(loop, written, size))
    rows, ofm_rows, columns, ofm_columns = tables
    groups = layer.groups
    return Loops((groups, outputs // groups, channels, batch, p, q), r * s, rows, columns, ofm_rows, ofm_columns)


def _by_tile(loop: int, touched: list[tuple[int, int]], size: int) -> Ints:
    """Rows of the tensor between the first and the last that a tile touches: [tile size, tile], 0 beyond the last."""
    table = np.zeros((loop + 1, loop), np.int64)
    for tile in range(1, loop + 1):
        for index, start in enumerate(range(0, loop, tile)):
            spans = touched[start : start + tile]
            first = max(0, min(span[0] for span in spans))
            table[tile, index] = max(0, min(size, max(span[1] for span in spans)) - first)
    return table


def least_traffic(loops: Loops, chip: Chip, allowed: Ints | None = None) -> tuple[int, dict[str, int | str]]:
    """Bytes of the tiling that moves the fewest and that tiling; -1 and nothing where none fits.

    allowed [p, k, c]: tiles that the array takes on, of whole rows, by the order SKC; None for all tiles and orders.
    """
    least, found = _least(
        np.array(loops.sizes),
        loops.kernel,
        loops.rows,
        loops.columns,
        loops.ofm_rows,
        loops.ofm_columns,
        np.array(chip.copies),
        np.array(chip.pools),
        np.array(chip.capacity),
        np.array(chip.bits),
        ORDERS if allowed is None else ORDERS[:0],
        np.zeros((1, 1, 1), np.int64) if allowed is None else allowed,
        np.array([list(order) == [0, 1, 2] for order in ORDERS]).argmax(),
        ORDERS,
    )
    if least < 0:
        return -1, {}
    tiles: dict[str, int | str] = dict(zip(("g", "k", "c", "n", "p", "q", "m"), found[:7].tolist(), strict=True))
    return int(least), tiles | {"order": "".join(NAMES[loop] for loop in ORDERS[found[7]])}


def traffic_of(loops: Loops, chip: Chip, tiles: Ints, order: str) -> int:
    """Bytes that one tiling (g, k, c, n, p, q, m) moves."""
    sequence = np.array([NAMES.index(loop) for loop in order], np.int64)
    tables = (loops.rows, loops.columns, loops.ofm_rows, loops.ofm_columns)
    return int(_walk(np.array(loops.sizes), loops.kernel, *tables, np.array(chip.bits), tiles, sequence))


@njit
def _ceil(a: int, b: int) -> int:
    return -(-a // b)


@njit
def _fits(  # type: ignore[no-untyped-def]
    sizes, kernel, rows, columns, ofm_rows, ofm_columns, copies, pools, capacity, bits, tile
) -> bool:
    g, k, c, n, p, q, m = tile
    position = n == sizes[3] and p == sizes[4] and q == sizes[5]
    area, ofm_area = rows[p].max() * columns[q].max(), ofm_rows[p].max() * ofm_columns[q].max()
    need = np.zeros(3, np.int64)
    only = (position and g == sizes[0] and c == sizes[2], g == sizes[0] and k == sizes[1] and c == sizes[2],
            position and g == sizes[0] and m == sizes[1])  # fmt: skip
    amounts = (g * c * n * area * bits[0], g * k * c * kernel * bits[1], g * m * n * ofm_area * bits[3])
    for operand in range(3):
        times = 1 if only[operand] else copies[operand]
        need[pools[operand]] += _ceil(amounts[operand], 8) * times
    return not (need[: len(capacity)] > capacity).any()


@njit
def _walk(  # type: ignore[no-untyped-def]
    sizes, kernel, rows, columns, ofm_rows, ofm_columns, bits, tile, order
) -> int:
    """Steps through all tiles with one tile of each operand at hand; counts bits that are loaded and stored."""
    g, k, c, n, p, q, m = tile
    n_tiles, p_tiles, q_tiles = _ceil(sizes[3], n), _ceil(sizes[4], p), _ceil(sizes[5], q)
    trips = np.array([n_tiles * p_tiles * q_tiles, _ceil(sizes[1], m), _ceil(sizes[2], c)])
    moved = 0
    index = np.zeros(3, np.int64)
    for group in range(_ceil(sizes[0], g)):
        groups = min(g, sizes[0] - group * g)
        held_s, held_c, held_k, held_kc, held_m, held_ms = -1, -1, -1, -1, -1, -1
        summed = np.zeros((trips[1], trips[0]), np.int64)  # channels that the psums of an OFM tile have in them
        psums = 0
        for a in range(trips[order[0]]):
            for b in range(trips[order[1]]):
                for d in range(trips[order[2]]):
                    index[order[0]], index[order[1]], index[order[2]] = a, b, d
                    at, block, channel = index[0], index[1], index[2]
                    image, row, column = at // (p_tiles * q_tiles), at // q_tiles % p_tiles, at % q_tiles
                    images = min(n, sizes[3] - image * n)
                    channels = min(c, sizes[2] - channel * c)
                    outputs = min(m, sizes[1] - block * m)
                    if (held_m, held_ms) != (block, at):
                        if held_m >= 0 and summed[held_m, held_ms] < sizes[2]:
                            moved += psums * bits[3]  # spilled
                        psums = groups * outputs * images * ofm_rows[p, row] * ofm_columns[q, column]
                        if summed[block, at] > 0:
                            moved += psums * bits[3]  # fetched again
                        held_m, held_ms = block, at
                    if (held_c, held_s) != (channel, at):
                        moved += groups * channels * images * rows[p, row] * columns[q, column] * bits[0]
                        held_c, held_s = channel, at
                    for turn in range(_ceil(outputs, k)):
                        here = block * m + turn * k
                        if (held_k, held_kc) != (here, channel):
                            moved += groups * min(k, outputs - turn * k) * channels * kernel * bits[1]
                            held_k, held_kc = here, channel
                    summed[block, at] += channels
                    if summed[block, at] == sizes[2]:
                        moved += psums * bits[2]  # finished
    return moved // 8


@njit
def _least(  # type: ignore[no-untyped-def]
    sizes, kernel, rows, columns, ofm_rows, ofm_columns, copies, pools, capacity, bits, orders, allowed, skc, every
):
    least, best = -1, np.zeros(8, np.int64)
    tile = np.zeros(7, np.int64)
    whole_rows = len(orders) == 0
    for g in range(1, sizes[0] + 1):
        if whole_rows and g > 1 and sizes[1] * sizes[2] > 1:
            continue
        for k in range(1, sizes[1] + 1):
            for c in range(1, sizes[2] + 1):
                for n in range(1, sizes[3] + 1):
                    for p in range(1, sizes[4] + 1):
                        if whole_rows and not allowed[p, k, c]:
                            continue
                        for q in range(sizes[5] if whole_rows else 1, sizes[5] + 1):
                            for turns in range(1, _ceil(sizes[1], k) + 1):
                                tile[:] = (g, k, c, n, p, q, min(sizes[1], k * turns))
                                if not _fits(sizes, kernel, rows, columns, ofm_rows, ofm_columns, copies, pools,
                                             capacity, bits, tile):  # fmt: skip
                                    continue
                                for which in range(len(every)):
                                    if whole_rows and which != skc:
                                        continue
                                    moved = _walk(sizes, kernel, rows, columns, ofm_rows, ofm_columns, bits, tile,
                                                  every[which])  # fmt: skip
                                    if least < 0 or moved < least:
                                        least = moved
                                        best[:7], best[7] = tile, which
    return least, best
