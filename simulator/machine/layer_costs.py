"""One layer on one batch of images: every cost of every tile step as arrays, before any event is played."""

import dataclasses
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from simulator.hardware.accelerator import Accelerator
from simulator.hardware.section import Operand
from simulator.machine.burst_runs import BurstRuns, burst_runs
from simulator.machine.dram import RequestCosts, RunTable, request_costs
from simulator.machine.feature_map import Boxes, Region, StoredFeatureMap, StoredTiles, stored_tiles
from simulator.machine.kernels import kernel_requests
from simulator.machine.loader import Moved, no_tiles
from simulator.machine.memory_map import MemoryMap
from simulator.machine.pipeline import LayerWork, OperandStream, OutputStream
from simulator.mapping.dataflow.base import ceil_div
from simulator.mapping.schedule import LayerSchedule, changes
from simulator.trace.records import Shape

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class OperandTraffic:
    """What one operand moves in a layer, DRAM side: whole bursts, split into values and metadata; and what was wanted.

    elements are those that pass the buffer. skippable_bytes: what dynamic pruning flagged among what the tiles needed,
    as stored; skipped_bytes: what it kept from moving, in whole bursts. Size tables and flags are in neither.
    on_chip_bytes: what moves between the tiles and feature maps that stay on chip. coded: elements that pass a codec.
    """

    value_bytes: int = 0
    metadata_bytes: int = 0
    row_misses: int = 0
    row_hits: int = 0
    elements: int = 0
    skippable_bytes: int = 0
    skipped_bytes: int = 0
    on_chip_bytes: int = 0
    coded: int = 0

    def __add__(self, other: "OperandTraffic") -> "OperandTraffic":
        return OperandTraffic(
            *(mine + theirs for mine, theirs in zip(vars(self).values(), vars(other).values(), strict=True))
        )


@dataclass(frozen=True, eq=False)
class Loads:
    """Tile loads or stores in order of execution: time on a plain bus and elements of each, those that pass a codec on
    the way, their traffic together, what they ask of a memory system, and what each moves."""

    duration_ps: Ints
    traffic: OperandTraffic
    elements: Ints
    coded: Ints
    runs: tuple[BurstRuns, ...]
    moved: Moved


def slots_of(accelerator: Accelerator, operand: str) -> int:
    """Tiles of an operand that its buffer holds at a time."""
    return accelerator.buffers.copies(operand)


def map_loads(
    accelerator: Accelerator, tensor: StoredFeatureMap, boxes: Boxes, order: Ints, *, write: bool = False
) -> Loads:
    """The requests for `boxes` of a feature map, played in `order`. Of one that stays on chip nothing goes to DRAM."""
    tiles = stored_tiles(tensor, boxes)
    if not tensor.on_chip:
        return loads_of(accelerator, tiles, order, tensor.region, write=write)
    size = np.bincount(tiles.runs.request, weights=tiles.runs.length, minlength=boxes.count).astype(np.int64)
    elements, nothing = tiles.elements[order], np.zeros(len(order), np.int64)
    traffic = OperandTraffic(
        elements=int(elements.sum()),
        on_chip_bytes=int((size + np.asarray(tiles.table_bytes))[order].sum()),
        coded=int(_coded(tiles)[order].sum()),
    )
    return Loads(nothing, traffic, elements, nothing, (), Moved.nothing(len(order)))


def _coded(tiles: StoredTiles) -> Ints:
    return np.zeros_like(tiles.elements) if tiles.coded is None else tiles.coded


def codec_ps(accelerator: Accelerator, coded: Ints, rate: float | None) -> Ints:
    """Picoseconds for which a coder of so many elements per cycle is busy with each tile; empty without a rate."""
    if rate is None:
        return no_tiles()
    return np.rint(np.ceil(coded / rate) * accelerator.cycle_ps).astype(np.int64)


def loads_of(
    accelerator: Accelerator, tiles: StoredTiles, order: Ints, region: Region | None, *, write: bool = False
) -> Loads:
    """The DRAM requests of tiles, played in `order` (tile numbers, with repeats).

    The index inside a compressed tile is metadata; so is the size table, which is read in whole bursts of its own.
    region: where they lie, None where the DRAM is just a bandwidth.
    """
    costs = request_costs(accelerator.dram, tiles.runs)
    table = _table_requests(accelerator, tiles.table_bytes)
    index = np.minimum(tiles.index_bytes, costs.moved_bytes)
    moved = Moved((costs.moved_bytes - index)[order], (index + table.moved_bytes)[order])
    skippable = skipped = 0
    if tiles.skipping is not None:
        unpruned = request_costs(accelerator.dram, tiles.skipping.unpruned)
        skippable = -(-int(tiles.skipping.flagged_bits[order].sum()) // 8)
        skipped = int((unpruned.moved_bytes - costs.moved_bytes)[order].sum())
    return Loads(
        (costs.duration_ps + table.duration_ps)[order],
        OperandTraffic(
            value_bytes=int(moved.values.sum()),
            metadata_bytes=int(moved.metadata.sum()),
            row_misses=int((costs.row_misses + table.row_misses)[order].sum()),
            row_hits=int((costs.row_hits + table.row_hits)[order].sum()),
            elements=int(tiles.elements[order].sum()),
            skippable_bytes=skippable,
            skipped_bytes=skipped,
            coded=int(_coded(tiles)[order].sum()),
        ),
        tiles.elements[order],
        _coded(tiles)[order],
        () if region is None else _runs(accelerator, tiles, order, region, write),
        moved,
    )


def _runs(
    accelerator: Accelerator, tiles: StoredTiles, order: Ints, region: Region, write: bool
) -> tuple[BurstRuns, ...]:
    burst = accelerator.dram.burst
    runs = (burst_runs(tiles.runs, burst, region.address, write=write).in_order(order),)
    if not tiles.table_bytes.any():
        return runs
    table = _table_runs(accelerator, tiles.table_bytes)
    return (*runs, burst_runs(table, burst, region.table_address, write=write).in_order(order))


def _table_runs(accelerator: Accelerator, table_bytes: Ints) -> RunTable:
    """Each tile's part of a table, on bursts of its own."""
    table_bytes = np.asarray(table_bytes, np.int64)
    reserved = ceil_div(table_bytes, accelerator.dram.burst) * accelerator.dram.burst
    requests = np.arange(len(table_bytes), dtype=np.int64)
    return RunTable.of(len(table_bytes), requests, np.cumsum(reserved) - reserved, table_bytes)


def _table_requests(accelerator: Accelerator, table_bytes: Ints) -> RequestCosts:
    return request_costs(accelerator.dram, _table_runs(accelerator, table_bytes))


def input_boxes(schedule: LayerSchedule, index: int) -> Boxes:
    """The boxes of input `index` that the tiles need, one per (group tile, channel tile, position tile)."""
    nest = schedule.nest
    g, c, s = (
        axis.ravel()
        for axis in np.indices(
            (schedule.groups.count, schedule.channels.count, schedule.position_tiles), dtype=np.int64
        )
    )
    image, row, column = schedule.position_index(s)
    start = schedule.groups.start[g] * nest.c + schedule.channels.start[c]
    stop = (schedule.groups.stop[g] - 1) * nest.c + schedule.channels.stop[c]
    return Boxes(
        (schedule.images.start[image], schedule.images.stop[image]),
        nest.input_channels(start, stop, index),
        nest.input_rows(schedule.rows.start[row], schedule.rows.stop[row], index),
        nest.input_columns(schedule.columns.start[column], schedule.columns.stop[column], index),
    )


def output_boxes(schedule: LayerSchedule, shape: Shape | None = None) -> Boxes:
    """The boxes of the OFM that visits write, one per (group tile, resident block of outputs, position tile).

    shape: the same of another feature map (C, H, W) that goes with the OFM in proportion, by default the OFM itself.
    """
    nest = schedule.nest if shape is None else dataclasses.replace(schedule.nest, ofm=shape)
    counts = (schedule.groups.count, schedule.residents.count, schedule.position_tiles)
    g, m, s = (axis.ravel() for axis in np.indices(counts, dtype=np.int64))
    image, row, column = schedule.position_index(s)
    return Boxes(
        (schedule.images.start[image], schedule.images.stop[image]),
        nest.ofm_channels(
            schedule.groups.start[g] * nest.k + schedule.residents.start[m],
            (schedule.groups.stop[g] - 1) * nest.k + schedule.residents.stop[m],
        ),
        nest.ofm_rows(schedule.rows.start[row], schedule.rows.stop[row]),
        nest.ofm_columns(schedule.columns.start[column], schedule.columns.stop[column]),
    )


def input_loads(schedule: LayerSchedule) -> tuple[Bools, Ints]:
    """The steps that load an IFM tile, and the number of the box that each of them loads."""
    steps = schedule.steps
    loads = changes(steps.g, steps.c, steps.s)
    return loads, ((steps.g * schedule.channels.count + steps.c) * schedule.position_tiles + steps.s)[loads]


def input_stream(
    schedule: LayerSchedule, accelerator: Accelerator, tensors: list[StoredFeatureMap]
) -> tuple[OperandStream, OperandTraffic]:
    """The IFM side of a layer: all inputs of a tile are fetched together."""
    loads, order = input_loads(schedule)
    duration, elements, coded = np.zeros((3, len(order)), np.int64)
    traffic, moved = OperandTraffic(), Moved.nothing(len(order))
    runs: tuple[BurstRuns, ...] = ()
    for index, tensor in enumerate(tensors):
        boxes = input_boxes(schedule, index)
        one = map_loads(accelerator, tensor, boxes, order)
        runs, moved = runs + one.runs, moved + one.moved
        duration, traffic, coded = duration + one.duration_ps, traffic + one.traffic, coded + one.coded
        elements = elements + np.minimum(one.elements, boxes.elements[order])  # of whole rows only what belongs to it
    room = ceil_div(elements * accelerator.precision.ifm, 8)
    decode = codec_ps(accelerator, coded, accelerator.compression.feature_map.decoder_rate)
    slots = slots_of(accelerator, "ifm")
    return OperandStream(loads, duration, slots, room, runs, decode_ps=decode, moved=moved), traffic


def kernel_stream(
    schedule: LayerSchedule,
    accelerator: Accelerator,
    kernel_nonzero: Bools | None,
    active: Bools | None,
    memory: MemoryMap,
    layer_index: int,
) -> tuple[OperandStream, OperandTraffic]:
    """The kernel side of a layer, without the slices of feature maps that are not there."""
    steps = schedule.steps
    loads = changes(steps.g, steps.k, steps.c)
    tiles, order = kernel_requests(schedule, accelerator, kernel_nonzero, active, loads)
    one = loads_of(accelerator, tiles, order, memory.kernels(layer_index, tiles))
    room = ceil_div(one.elements * accelerator.precision.kernel, 8)
    how = accelerator.compression.kernel
    awaits_flags = active is not None and how.codec == "raw"
    decode = codec_ps(accelerator, one.coded, how.decoder_rate)
    return _kernel_stream(accelerator, loads, one, room, decode, known_before=not awaits_flags), one.traffic


def _kernel_stream(
    accelerator: Accelerator, loads: Bools, one: Loads, room: Ints, decode: Ints, *, known_before: bool
) -> OperandStream:
    slots, moves_on = slots_of(accelerator, "kernel"), accelerator.array.keeps_kernels
    return OperandStream(loads, one.duration_ps, slots, room, one.runs, moves_on, known_before, decode, one.moved)


def right_operand_loads(schedule: LayerSchedule) -> tuple[Boxes, Ints, Bools]:
    """The kernel tiles of a product of two activations as boxes of a feature map [G·K, C, 1], the box that each load
    fetches, and the steps with a load."""
    nest, steps = schedule.nest, schedule.steps
    counts = (schedule.groups.count, schedule.outputs.count, schedule.channels.count)
    g, k, c = (axis.ravel() for axis in np.indices(counts, dtype=np.int64))
    zero = np.zeros(len(g), np.int64)
    boxes = Boxes(
        (zero, zero + nest.n),
        (
            schedule.groups.start[g] * nest.k + schedule.outputs.start[k],
            (schedule.groups.stop[g] - 1) * nest.k + schedule.outputs.stop[k],
        ),
        (schedule.channels.start[c], schedule.channels.stop[c]),
        (zero, zero + 1),
    )
    loads = changes(steps.g, steps.k, steps.c)
    return boxes, ((steps.g * counts[1] + steps.k) * counts[2] + steps.c)[loads], loads


def right_operand_stream(
    schedule: LayerSchedule, accelerator: Accelerator, tensor: StoredFeatureMap
) -> tuple[OperandStream, OperandTraffic]:
    """The kernel side of a product of two activations: a feature map like any other."""
    boxes, order, loads = right_operand_loads(schedule)
    one = map_loads(accelerator, tensor, boxes, order)
    room = ceil_div(np.minimum(one.elements, boxes.elements[order]) * accelerator.precision.ifm, 8)
    decode = codec_ps(accelerator, one.coded, accelerator.compression.feature_map.decoder_rate)
    return _kernel_stream(accelerator, loads, one, room, decode, known_before=False), one.traffic


def layer_work(
    accelerator: Accelerator,
    layer: str,
    step_cycles: Ints,
    inputs: dict[Operand, OperandStream],
    output: OutputStream,
    overhead_ps: int,
) -> LayerWork:
    """Cycles turned into picoseconds such that rounding never adds up: each step ends on the rounded sum."""
    ends = np.rint(np.cumsum(step_cycles) * accelerator.cycle_ps).astype(np.int64)
    return LayerWork(
        np.diff(ends, prepend=0),
        inputs,
        output,
        layer,
        accelerator.buffers.spaces,
        accelerator.dma.prefetch,
        overhead_ps,
    )


def flag_requests(accelerator: Accelerator, read_bytes: list[int], written_bytes: int) -> RequestCosts:
    """The DRAM requests for a layer's flags: entry 0 reads those of its inputs, entry 1 writes those of its OFM.

    The flags of each tensor lie on bursts of their own.
    """
    sizes = np.array([*read_bytes, written_bytes], np.int64)
    table = _table_runs(accelerator, sizes)
    request = np.where(table.request < len(read_bytes), 0, 1)
    return request_costs(accelerator.dram, RunTable(2, request, table.start, table.length))


@dataclass(frozen=True)
class FlagRuns:
    """What a layer's flags ask of a memory system: those of its inputs, and those of its OFM."""

    reads: tuple[BurstRuns, ...] = ()
    writes: tuple[BurstRuns, ...] = ()


def flag_runs(accelerator: Accelerator, reads: list[tuple[Region, int]], write: tuple[Region, int] | None) -> FlagRuns:
    """The requests for flags: regions with their bytes."""

    def runs(region: Region, size: int, write: bool) -> BurstRuns:
        table = _table_runs(accelerator, np.array([size], np.int64))
        return burst_runs(table, accelerator.dram.burst, region.address, write=write)

    return FlagRuns(
        tuple(runs(region, size, False) for region, size in reads),
        () if write is None else (runs(*write, True),),
    )


def with_flags(work: LayerWork, flags: RequestCosts, runs: FlagRuns) -> LayerWork:
    """The layer with its flags: read before its first IFM tile, written after its last OFM tile."""
    read_ps, written_ps = flags.duration_ps.tolist()
    ifm, output = work.inputs["ifm"], work.output
    loads, stores = ifm.duration_ps.copy(), output.store_ps.copy()
    loads[0] += read_ps
    stores[-1] += written_ps
    first, last = np.zeros(len(loads), np.bool_), np.zeros(len(stores), np.bool_)
    first[0] = last[-1] = True
    load_runs = (*(part.spread(first) for part in runs.reads), *ifm.runs)
    store_runs = (*output.store_runs, *(part.spread(last) for part in runs.writes))
    read_bytes, written_bytes = flags.moved_bytes.tolist()
    loaded, stored = ifm.moved.with_metadata(0, read_bytes), output.stored.with_metadata(-1, written_bytes)
    inputs = {**work.inputs, "ifm": dataclasses.replace(ifm, duration_ps=loads, runs=load_runs, moved=loaded)}
    leaving = dataclasses.replace(output, store_ps=stores, store_runs=store_runs, stored=stored)
    return dataclasses.replace(work, inputs=inputs, output=leaving)
