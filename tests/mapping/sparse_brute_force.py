"""Schemes of skipping zeros as plain loops, written from their formulas and not from the code that they check."""

import math
from collections.abc import Iterator

import numpy as np

Bools = np.ndarray


def lcg(seed: int, count: int) -> np.ndarray:
    """x' = (1103515245·x + 12345) mod 2^31, value x' >> 16."""
    values = np.empty(count, np.int64)
    for index in range(count):
        seed = (1103515245 * seed + 12345) % 2**31
        values[index] = seed >> 16
    return values


def lcg_maps(zero_activations: int, zero_weights: int) -> tuple[Bools, Bools]:
    """The published case: 32 → 32 channels, 3×3 kernels on 28×28, with so many percent of zeros."""
    ifm = lcg(1000 + zero_activations, 32 * 28 * 28) % 100 >= zero_activations
    kernel = lcg(5000 + zero_weights, 32 * 32 * 9) % 100 >= zero_weights
    return ifm.reshape(32, 28, 28), kernel.reshape(32, 32, 3, 3)


def padded(ifm: Bools, padding: int) -> Bools:
    return np.pad(ifm, ((0, 0), (padding, padding), (padding, padding)))


def output_size(ifm: Bools, kernel: Bools, stride: int, padding: int) -> tuple[int, int]:
    return tuple((ifm.shape[1 + a] + 2 * padding - kernel.shape[2 + a]) // stride + 1 for a in (0, 1))


def windows(ifm: Bools, kernel: Bools, stride: int, padding: int) -> Iterator[Bools]:
    """The [C, R, S] elements under the kernel, position by position."""
    plane, (rows, columns) = padded(ifm, padding), output_size(ifm, kernel, stride, padding)
    for p in range(rows):
        for q in range(columns):
            yield plane[:, p * stride : p * stride + kernel.shape[2], q * stride : q * stride + kernel.shape[3]]


def effectual_products(ifm: Bools, kernel: Bools, stride: int, padding: int) -> int:
    return sum(int((window[None] & kernel).sum()) for window in windows(ifm, kernel, stride, padding))


def bank(k: int, x: int, y: int, banks: int) -> int:
    return ((((k & 4) << 2) ^ ((x & 2) << 3) ^ ((y & 2) << 3)) + ((x & 1) << 3) + ((y & 1) << 2) + (k & 3)) % banks


def scnn(
    ifm: Bools,
    kernel: Bools,
    stride: int,
    padding: int,
    *,
    rows: int,
    columns: int,
    activations: int,
    weights: int,
    banks: int,
    accumulators: int,
) -> dict[str, int]:
    """Every product of the Cartesian product, one by one."""
    plane, (out_rows, out_columns) = padded(ifm, padding), output_size(ifm, kernel, stride, padding)
    (channels, height, width), (outputs, _, r_size, s_size) = plane.shape, kernel.shape
    tile_rows, tile_columns = math.ceil(height / rows), math.ceil(width / columns)
    group = max(1, accumulators // (math.ceil(out_rows / rows) * math.ceil(out_columns / columns)))
    size = activations * weights
    found = dict.fromkeys(("cycles", "products", "outside", "fragmentation", "bank_conflicts", "imbalance", "halo"), 0)
    for first in range(0, outputs, group):
        last = min(first + group, outputs)
        for c in range(channels):
            times = []
            for pe_row in range(rows):
                for pe_column in range(columns):
                    time = 0
                    for phase in [(a, b) for a in range(stride) for b in range(stride)]:
                        acts = [
                            (y, x)
                            for y in range(pe_row * tile_rows, min((pe_row + 1) * tile_rows, height))
                            for x in range(pe_column * tile_columns, min((pe_column + 1) * tile_columns, width))
                            if plane[c, y, x] and (y % stride, x % stride) == phase
                        ]
                        some = [
                            (r, s, k)
                            for r in range(r_size)
                            for s in range(s_size)
                            for k in range(first, last)
                            if kernel[k, c, r, s] and (r % stride, s % stride) == phase
                        ]
                        for i in range(0, len(acts), activations):
                            for f in range(0, len(some), weights):
                                used = [0] * banks
                                pairs = 0
                                for y, x in acts[i : i + activations]:
                                    for r, s, k in some[f : f + weights]:
                                        pairs += 1
                                        if y < r or x < s:
                                            continue
                                        p, q = (y - r) // stride, (x - s) // stride
                                        if p < out_rows and q < out_columns:
                                            used[bank(k, q, p, banks)] += 1
                                turns = max(1, max(used))
                                time += turns
                                found["products"] += sum(used)
                                found["outside"] += pairs - sum(used)
                                found["fragmentation"] += size - pairs
                                found["bank_conflicts"] += (turns - 1) * size
                    times.append(time)
            found["cycles"] += max(times)
            found["imbalance"] += sum(max(times) - time for time in times) * size
        above, left = (math.ceil(max(0, reach - 1 - padding) / stride) for reach in (r_size, s_size))
        below, right = (math.ceil(min(padding, reach - 1) / stride) for reach in (r_size, s_size))
        tile = math.ceil(tile_rows / stride), math.ceil(tile_columns / stride)
        rims = [a * b for a in (above, tile[0], below) for b in (left, tile[1], right)]
        del rims[4]  # its own outputs
        found["cycles"] += max(rims) * (last - first)
        found["halo"] += max(rims) * (last - first) * rows * columns * size
    return found


def cnvlutin(ifm: Bools, kernel: Bools, stride: int, padding: int, *, lanes: int, filters: int, brick: int) -> int:
    cycles = 0
    for window in windows(ifm, kernel, stride, padding):
        busy, number = [0] * lanes, 0
        for r in range(window.shape[1]):
            for s in range(window.shape[2]):
                for c in range(0, window.shape[0], brick):
                    busy[number % lanes] += max(1, int(window[c : c + brick, r, s].sum()))
                    number += 1
        cycles += max(busy)
    return cycles * math.ceil(kernel.shape[0] / filters)


def bricks(ifm: Bools, kernel: Bools, stride: int, padding: int, *, filters: int, brick: int, kernels: bool) -> int:
    cycles = 0
    for window in windows(ifm, kernel, stride, padding):
        for k in range(0, kernel.shape[0], filters):
            for r in range(window.shape[1]):
                for s in range(window.shape[2]):
                    for c in range(0, window.shape[0], brick):
                        needed = not kernels or kernel[k : k + filters, c : c + brick, r, s].any()
                        cycles += bool(window[c : c + brick, r, s].any() and needed)
    return cycles


def eyeriss_v2(ifm: Bools, kernel: Bools, stride: int, padding: int, *, rows: int, columns: int) -> int:
    (out_rows, out_columns), outputs = output_size(ifm, kernel, stride, padding), kernel.shape[0]
    across = min(out_rows, columns)
    down = min(outputs, rows * columns // across)
    work = [[0] * across for _ in range(down)]
    row_block = [a for a in range(across) for _ in range(a * out_rows // across, (a + 1) * out_rows // across)]
    k_block = [d for d in range(down) for _ in range(d * outputs // down, (d + 1) * outputs // down)]
    for number, window in enumerate(windows(ifm, kernel, stride, padding)):
        for k in range(outputs):
            work[k_block[k]][row_block[number // out_columns]] += int((window & kernel[k]).sum())
    return max(max(row) for row in work)


def eie(ifm: Bools, kernel: Bools, stride: int, padding: int, *, pes: int, fifo: int, index_bits: int) -> int:
    """PEs with queues, one vector after the other, event by event."""
    outputs, total = kernel.shape[0], 0
    columns = kernel.reshape(outputs, -1)
    for window in windows(ifm, kernel, stride, padding):
        active = np.flatnonzero(window.ravel())
        begin = [[0] * pes for _ in active]
        free = [0] * pes
        broadcast = -1
        for turn, column in enumerate(active):
            room = 0 if turn < fifo else max(begin[turn - fifo])
            broadcast = max(broadcast + 1, room)
            for pe in range(pes):
                begin[turn][pe] = max(broadcast, free[pe])
                free[pe] = begin[turn][pe] + stored_entries(columns[pe::pes, column], index_bits)
        total += max(*free, broadcast + 1)
    return total


def stored_entries(rows: Bools, index_bits: int) -> int:
    """Non-zeros of a PE's part of a column, and a padding zero wherever more zeros lie before one than can be
    counted."""
    entries = zeros = 0
    for value in rows:
        if value or zeros == 2**index_bits - 1:
            entries += 1
            zeros = 0
        else:
            zeros += 1
    trailing = len(rows) - 1 - int(np.flatnonzero(rows)[-1]) if rows.any() else len(rows)
    return entries - trailing // 2**index_bits


def sigma(ifm: Bools, kernel: Bools, stride: int, padding: int, *, size: int, load: int) -> int:
    folds, filled = [], 0
    for row in kernel.reshape(kernel.shape[0], -1).sum(axis=1).tolist():
        if filled + row > size:
            if filled:
                folds.append(filled)
            filled = 0
            while row > size:
                folds.append(size)
                row -= size
        filled += row
    if filled:
        folds.append(filled)
    positions = math.prod(output_size(ifm, kernel, stride, padding))
    return sum(math.ceil(fold / load) + positions for fold in folds)
