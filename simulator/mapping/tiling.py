"""The search for tile sizes and loop order: least DRAM traffic under the buffers' capacities.

Reuse is counted by loop-nest analysis: an operand's tile stays in its buffer over the loops inside the innermost loop
that changes it, and is fetched again for every turn of a loop outside it (Yang et al., "Interstellar", ASPLOS 2020).
All candidates of a layer are evaluated at once.
"""

import itertools
import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from simulator.errors import InputError
from simulator.hardware.accelerator import Accelerator
from simulator.hardware.buffer import Space
from simulator.hardware.layout import lanes_of
from simulator.hardware.section import OPERANDS, Operand
from simulator.mapping.buffer_time import array_port_cycles, vector_port_cycles
from simulator.mapping.burst_waste import Lanes, TileExtent, burst_waste, tensor_waste
from simulator.mapping.dataflow import TileSizes, dataflow_of
from simulator.mapping.dataflow.base import ceil_div
from simulator.mapping.dataflow.row_stationary import RowStationary
from simulator.mapping.loop_nest import LoopNest
from simulator.mapping.schedule import Blocks, LayerSchedule, Tiling

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

ORDERS = tuple("".join(order) for order in itertools.permutations("SKC"))

TIME_SLACK = 1.1
"""Least traffic is sought among candidates at most 10 % slower than the fastest: bytes that cost no time to move are
not saved by leaving the array idle."""

TRAFFIC_SLACK = 1.01
"""Candidates within 1 % of the least traffic compete for the least time, those within 1 % of that for the fewest array
cycles, and those within 1 % of that for the fewest tiles: small tiles read the buffers more often."""


@dataclass(frozen=True)
class _Candidates:
    """Tile sizes, one entry per candidate; m as in `Tiling`."""

    g: Ints
    k: Ints
    c: Ints
    n: Ints
    p: Ints
    q: Ints
    m: Ints


@lru_cache(maxsize=4096)
def best_schedule(nest: LoopNest, accelerator: Accelerator, lanes: Lanes | None = None) -> LayerSchedule:
    """The tiling of `nest` with the least DRAM traffic among those that keep the array as busy as any can.

    lanes: how its tensors lie in memory, by default as the accelerator's default layout has it.
    Raises InputError when even the smallest tile does not fit into the buffers; the message names the buffer.
    """
    lanes = lanes or _default_lanes(nest, accelerator)
    candidates = _candidates_for(nest, accelerator)
    padding = accelerator.buffers.ifm.holds_padding
    ifm_elements = _ifm_tile_elements(nest, candidates, padding)
    fits = _fits(nest, accelerator, candidates, ifm_elements)
    if not fits.any():
        raise InputError(_why_nothing_fits(nest, accelerator, candidates, ifm_elements))
    candidates = _Candidates(**{name: values[fits] for name, values in vars(candidates).items()})
    ifm_elements = ifm_elements[fits]
    cycles, first_load, activations = _time(nest, accelerator, candidates, ifm_elements)

    orders = ORDERS if accelerator.array.dataflow != "row_stationary" or nest.unit == "vector" else ("SKC",)
    parts = np.stack([_traffic(nest, accelerator, candidates, order, lanes) for order in orders], axis=1)
    traffic = parts.sum(axis=0)
    to_cycles = accelerator.clock / accelerator.dram.bandwidth
    serial = [part for part, operand in zip(parts, OPERANDS, strict=True) if not _overlaps(accelerator, operand)]
    alone = cycles + sum(serial, np.zeros_like(traffic)) * to_cycles
    latency = np.maximum(alone, traffic * to_cycles + activations) + first_load
    fast = latency <= latency.min() * TIME_SLACK
    if accelerator.array.timing == "strict":
        fast = np.broadcast_to(cycles == cycles.min(), traffic.shape)
    good = fast & (traffic <= np.min(traffic[fast]) * TRAFFIC_SLACK)
    soon = good & (latency <= np.min(latency[good]) * TRAFFIC_SLACK)
    busy = soon & (cycles <= np.min(np.broadcast_to(cycles, soon.shape)[soon]) * TRAFFIC_SLACK)
    order, best = np.unravel_index(int(np.argmin(np.where(busy, _tiles(nest, candidates), np.inf))), traffic.shape)
    sizes = {name: int(values[best]) for name, values in vars(candidates).items()}
    return LayerSchedule(nest, Tiling(**sizes, order=orders[order]), math.ceil(traffic[order, best]))


def _default_lanes(nest: LoopNest, accelerator: Accelerator) -> Lanes:
    name = accelerator.layout.default
    return Lanes(tuple(lanes_of(name, shape[0]) for shape in nest.inputs), lanes_of(name, nest.ofm[0]))


def _overlaps(accelerator: Accelerator, operand: Operand) -> bool:
    """Whether an operand's transfers run while the array works."""
    held_in_pads = operand == "kernel" and accelerator.array.keeps_kernels
    return held_in_pads or accelerator.buffers.copies(operand) > 1


def _tile_sizes(size: int) -> list[int]:
    """The tile sizes worth trying: each number of tiles in its most even cut, ceil(size / count)."""
    root = math.isqrt(size)
    few_tiles = {-(-size // count) for count in range(1, root + 1)}
    return sorted(few_tiles | set(range(1, root + 1)))


def _candidates_for(nest: LoopNest, accelerator: Accelerator) -> _Candidates:
    dataflow = dataflow_of(accelerator)
    if nest.unit == "array" and isinstance(dataflow, RowStationary):
        return _passes(nest, dataflow)
    return _candidates(nest)


def _passes(nest: LoopNest, dataflow: RowStationary) -> _Candidates:
    """Tiles that one pass of a row-stationary array takes on: whole rows, and the psums of several passes together.

    Depthwise layers have a group per PE set, other groups follow each other.
    """
    positions = [(1, p) for p in _tile_sizes(nest.p)]
    positions += [(n, nest.p) for n in _tile_sizes(nest.n)]
    if nest.n > 1:
        positions += [(n, p) for n in _tile_sizes(nest.n) for p in _tile_sizes(nest.p)]
    s = np.array(sorted(set(positions)), np.int64)
    sets = dataflow.sets(s[:, 1], nest.r)
    s, sets = s[sets > 0], sets[sets > 0]
    if nest.k == 1 and nest.c == 1:
        groups = np.array(_tile_sizes(nest.g), np.int64)
        i, g = (axis.ravel() for axis in np.indices((len(s), len(groups))))
        one = np.ones(len(i), np.int64)
        return _Candidates(g=groups[g], k=one, c=one, n=s[i, 0], p=s[i, 1], q=one * nest.q, m=one)
    pairs = np.array([(k, c) for k in _tile_sizes(nest.k) for c in _tile_sizes(nest.c)], np.int64)
    several, which = np.unique(sets, return_inverse=True)
    found = []
    for index, count in enumerate(several):
        possible = pairs[dataflow.pass_of(count, pairs[:, 0], pairs[:, 1], np.asarray(1), nest.r, nest.s).p > 0]
        resident = [
            (k, c, min(nest.k, k * turns)) for k, c in possible.tolist() for turns in _tile_sizes(-(-nest.k // k))
        ]
        channel = np.array(resident, np.int64).reshape(-1, 3)
        i, j = (axis.ravel() for axis in np.indices((int((which == index).sum()), len(channel))))
        found.append(np.concatenate([s[which == index][i], channel[j]], axis=1))
    n, p, k, c, m = np.concatenate(found).T
    one = np.ones(len(n), np.int64)
    return _Candidates(g=one, k=k, c=c, n=n, p=p, q=one * nest.q, m=m)


def _candidates(nest: LoopNest) -> _Candidates:
    """All combinations of tile sizes.

    Columns are cut only when a tile is one row high, and a tile holds several images only when it holds them whole:
    anything else reads more halo for the same buffer space.
    """
    positions = [(1, 1, q) for q in _tile_sizes(nest.q)]
    positions += [(1, p, nest.q) for p in _tile_sizes(nest.p)]
    positions += [(n, nest.p, nest.q) for n in _tile_sizes(nest.n)]
    channels = [(1, k, c) for k in _tile_sizes(nest.k) for c in _tile_sizes(nest.c)]
    channels += [(g, nest.k, nest.c) for g in _tile_sizes(nest.g) if g > 1]
    position_array = np.array(sorted(set(positions)), np.int64)
    channel_array = np.array(sorted(set(channels)), np.int64)
    s, c = (index.ravel() for index in np.indices((len(position_array), len(channel_array))))
    n, p, q = position_array[s].T
    g, k, channel = channel_array[c].T
    return _Candidates(g=g, k=k, c=channel, n=n, p=p, q=q, m=k)


def _extent(size: int, loop: int, tile: Ints) -> Ints:
    """Rows or columns that the largest tile of a loop takes where they map in proportion."""
    return np.minimum(size, ceil_div(tile * size, loop) + (tile < loop))


def _ifm_tile_elements(nest: LoopNest, tile: _Candidates, padding: bool) -> Ints:
    total = np.zeros_like(tile.n)
    for index, (channels, height, width) in enumerate(nest.inputs):
        if index == 0:
            rows, columns = nest.window_rows(tile.p, padding), nest.window_columns(tile.q, padding)
        else:
            rows, columns = _extent(height, nest.p, tile.p), _extent(width, nest.q, tile.q)
        total += tile.n * np.minimum(channels, ceil_div(tile.g * tile.c * channels, nest.g * nest.c)) * rows * columns
    return total


def _ofm_tile_elements(nest: LoopNest, tile: _Candidates, outputs: Ints) -> Ints:
    """Elements of `outputs` channels of an OFM tile in each group."""
    rows = _extent(nest.ofm[1], nest.p, tile.p) if nest.ofm[1] != nest.p else tile.p
    columns = _extent(nest.ofm[2], nest.q, tile.q) if nest.ofm[2] != nest.q else tile.q
    return tile.g * outputs * tile.n * rows * columns


def _tile_bytes(
    nest: LoopNest, accelerator: Accelerator, tile: _Candidates, ifm_elements: Ints
) -> dict[Operand, tuple[Ints, npt.NDArray[np.bool_]]]:
    """Bytes of one tile of each operand, and whether it is the operand's only tile."""
    precision = accelerator.precision
    one_position = (tile.n >= nest.n) & (tile.p >= nest.p) & (tile.q >= nest.q)
    one_group, one_k, one_c, one_m = tile.g >= nest.g, tile.k >= nest.k, tile.c >= nest.c, tile.m >= nest.k
    kernel = tile.g * tile.k * tile.c * nest.kernel_positions if nest.unit == "array" else np.zeros_like(tile.g)
    ofm_bits = precision.psum if nest.unit == "array" else precision.ofm
    return {
        "ifm": (ceil_div(ifm_elements * precision.ifm, 8), one_position & one_group & one_c),
        "kernel": (ceil_div(kernel * _kernel_bits(nest, accelerator), 8), one_group & one_k & one_c),
        "ofm": (ceil_div(_ofm_tile_elements(nest, tile, tile.m) * ofm_bits, 8), one_position & one_group & one_m),
    }


def _need(nest: LoopNest, accelerator: Accelerator, tile: _Candidates, ifm_elements: Ints) -> list[tuple[Space, Ints]]:
    """Bytes that a candidate needs in each part of the buffers: as many copies of a tile as its operand's buffering
    asks for, one where it is the only tile, in whole allocation units."""
    buffers = accelerator.buffers
    of_operand = {}
    for operand, (tile_bytes, only) in _tile_bytes(nest, accelerator, tile, ifm_elements).items():
        unit: int = buffers.of(operand).allocation_unit
        of_operand[operand] = ceil_div(tile_bytes * np.where(only, 1, buffers.copies(operand)), unit) * unit
    nothing = np.zeros_like(tile.g)
    return [(space, sum((of_operand[o] for o in space.operands), nothing)) for space in buffers.spaces]


def _fits(nest: LoopNest, accelerator: Accelerator, tile: _Candidates, ifm_elements: Ints) -> npt.NDArray[np.bool_]:
    fits = np.ones(len(tile.g), np.bool_)
    for space, need in _need(nest, accelerator, tile, ifm_elements):
        fits &= need <= space.capacity
    return fits


def _why_nothing_fits(nest: LoopNest, accelerator: Accelerator, tile: _Candidates, ifm_elements: Ints) -> str:
    for space, need in _need(nest, accelerator, tile, ifm_elements):
        if need.min() > space.capacity:
            return (
                f"accelerator '{accelerator.name}': {space.setting}, but the smallest tile of "
                f"{' and '.join(space.operands)} needs {need.min()} B"
            )
    return f"accelerator '{accelerator.name}': no tile fits into all buffers at once; enlarge buffers.*.capacity"


def _time(
    nest: LoopNest, accelerator: Accelerator, tile: _Candidates, ifm_elements: Ints
) -> tuple[Floats, Floats, Floats]:
    """Estimated cycles: of the array, before the first and after the last tile, and of row activations.

    Those of the array are as many as the buffers need to feed it. Each tile step opens a row for its IFM and one for
    its kernels.
    """
    tiles = _tiles(nest, tile)
    if nest.unit == "array":
        outputs = _ofm_tile_elements(nest, tile, tile.k)
        sizes = TileSizes(
            g=tile.g,
            k=tile.k,
            c=tile.c,
            n=tile.n,
            p=tile.p,
            q=tile.q,
            r=nest.r,
            s=nest.s,
            ifm_elements=ifm_elements,
            ifm_rows=nest.window_rows(tile.p, accelerator.buffers.ifm.holds_padding),
            ofm_elements=outputs,
            stride=nest.stride if nest.windowed else (1, 1),
            winograd=nest.winograd,
        )
        dataflow = dataflow_of(accelerator)
        cycles = dataflow.cycles(sizes)
        if accelerator.buffers.limited:
            accesses = dataflow.accesses(sizes).accumulating(np.where(tile.c < nest.c, outputs, 0))
            cycles = np.maximum(cycles, array_port_cycles(nest, accelerator, sizes, accesses))
    else:
        outputs = _ofm_tile_elements(nest, tile, tile.k)
        cycles = ceil_div(np.maximum(ifm_elements, outputs), accelerator.post_processing.lanes)
        if accelerator.buffers.limited:
            cycles = np.maximum(cycles, vector_port_cycles(accelerator, ifm_elements, outputs))
    cycles = cycles * tiles
    outside = sum(size for size, _ in _tile_bytes(nest, accelerator, tile, ifm_elements).values())
    serial = np.asarray(outside) / accelerator.dram.bandwidth * accelerator.clock
    activations = 2 * tiles * accelerator.dram.row_miss / accelerator.cycle_ps
    return cycles.astype(np.float64), serial.astype(np.float64), activations


def _tiles(nest: LoopNest, tile: _Candidates) -> Ints:
    """Tile steps of the layer."""
    count: Ints = np.ones(len(tile.g), np.int64)
    for loop in ("g", "k", "c", "n", "p", "q"):
        count = count * ceil_div(getattr(nest, loop), getattr(tile, loop))
    return count


def _loads(nest: LoopNest, tile: _Candidates, order: str, relevant: str, irrelevant: str) -> Ints:
    """How often an operand is fetched: once, or once per turn of the loop that it does not depend on."""
    trips = {
        "S": ceil_div(nest.n, tile.n) * ceil_div(nest.p, tile.p) * ceil_div(nest.q, tile.q),
        "K": ceil_div(nest.k, tile.m),
        "C": ceil_div(nest.c, tile.c),
    }
    inside = order[order.index(irrelevant) + 1 :]
    displaced = (tile.m > tile.k) & ("K" in relevant) & ("C" in relevant)  # kernel tiles take turns innermost
    for loop in inside:
        if loop in relevant:
            displaced |= trips[loop] > 1
    return np.where(displaced, trips[irrelevant], 1)


def _kernel_bits(nest: LoopNest, accelerator: Accelerator) -> int:
    return accelerator.precision.ifm if nest.two_activations else accelerator.precision.kernel


def _traffic(nest: LoopNest, accelerator: Accelerator, tile: _Candidates, order: str, lanes: Lanes) -> Floats:
    """DRAM bytes of IFM, kernel and OFM (with spilled psums): [3, candidates].

    An unaligned run of bytes counts with the part of a burst that it wastes on average.
    """
    precision, burst = accelerator.precision, accelerator.dram.burst
    whole_rows = accelerator.compression.feature_map != "raw"
    ifm = _ifm_layer_bytes(nest, tile, accelerator, lanes) * _loads(nest, tile, order, "SC", "K")
    slices = tile.g * tile.k * tile.c * nest.kernel_positions
    bits = _kernel_bits(nest, accelerator)
    kernel = nest.kernel_elements * bits / 8 * _loads(nest, tile, order, "KC", "S")
    kernel = kernel * np.where(slices >= nest.kernel_elements, 1.0, burst_waste(slices * bits / 8, bits / 8, burst))
    visits = _loads(nest, tile, order, "SK", "C")
    ofm_elements = nest.n * nest.ofm[0] * nest.ofm[1] * nest.ofm[2]
    extent = TileExtent(tile.g * tile.m, nest.g * nest.k, tile.p, tile.q)
    waste = tensor_waste(nest, extent, nest.ofm, lanes.ofm, precision.ofm, burst, whole_rows)
    ofm = ofm_elements * precision.ofm / 8 * waste
    if whole_rows:
        ofm = ofm * ceil_div(nest.q, tile.q)
    spills = 2 * (visits - 1) * ofm_elements * precision.psum / 8
    if lanes.ofm > 1:
        spills = spills * tensor_waste(nest, extent, nest.ofm, lanes.ofm, precision.psum, burst, False)
    return np.asarray(np.stack(np.broadcast_arrays(ifm, kernel, ofm + spills)), np.float64)


def _ifm_layer_bytes(nest: LoopNest, tile: _Candidates, accelerator: Accelerator, lanes: Lanes) -> Floats:
    """Bytes of all inputs when each tile of positions and channels is fetched once, halo included.

    Compressed rows are fetched whole, whatever columns a tile needs of them.
    """
    bits, whole_rows = accelerator.precision.ifm, accelerator.compression.feature_map != "raw"
    extent = TileExtent(tile.g * tile.c, nest.g * nest.c, tile.p, tile.q)
    total: Floats = np.zeros(len(tile.g))
    for index, (channels, _, width) in enumerate(nest.inputs):
        rows = _summed_extent(nest, tile.p, nest.p, index, "rows")
        columns = _summed_extent(nest, tile.q, nest.q, index, "columns")
        if whole_rows:
            columns = np.where(tile.q >= nest.q, columns, width * ceil_div(nest.q, tile.q))
        burst, stored = accelerator.dram.burst, lanes.inputs[index]
        waste = tensor_waste(nest, extent, nest.inputs[index], stored, bits, burst, whole_rows)
        total += nest.n * channels * rows * columns * (bits / 8) * waste
    return total


def _summed_extent(nest: LoopNest, tile: Ints, loop: int, index: int, axis: str) -> Ints:
    """Input rows (or columns) over all tiles of a loop, for every tile size among the candidates."""
    span = nest.input_rows if axis == "rows" else nest.input_columns
    unique, inverse = np.unique(tile, return_inverse=True)
    sums = []
    for size in unique:
        blocks = Blocks.of(loop, int(size))
        first, last = span(blocks.start, blocks.stop, index)
        sums.append(int((last - first).sum()))
    return np.array(sums, np.int64)[inverse]
