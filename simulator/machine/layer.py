"""One layer on the machine: from its maps to the events to play, and from their timing to its counters."""

import dataclasses
import functools
import math
import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from simulator.hardware.accelerator import Accelerator
from simulator.hardware.section import Operand
from simulator.machine.array_time import ArrayTime, dense_array_time
from simulator.machine.batch import Batch
from simulator.machine.buffer_access import buffer_stalls
from simulator.machine.comparators import Comparisons, loaded_comparison_stalls
from simulator.machine.dram import RequestCosts
from simulator.machine.energy import CodedElements, PadCounts, layer_energy
from simulator.machine.launch import launch_ps
from simulator.machine.layer_costs import (
    FlagRuns,
    OperandTraffic,
    flag_requests,
    flag_runs,
    input_stream,
    kernel_stream,
    layer_work,
    right_operand_stream,
    with_flags,
)
from simulator.machine.output_costs import OutputTraffic, output_stream
from simulator.machine.pipeline import LayerTiming, LayerWork, OperandStream
from simulator.machine.results import Flagged, LayerResult, OnChipUse
from simulator.machine.traffic import ArrayElements, TrafficRow, buffer_bytes, on_chip_bytes, traffic_rows
from simulator.machine.way_out import folded_passes, way_out
from simulator.machine.work import (
    MacCounts,
    array_work,
    mac_counts,
    tile_sizes,
    tiled_window_counts,
    window_counts,
    working_channels,
)
from simulator.mapping.dataflow import dataflow_of
from simulator.mapping.dataflow.base import BufferAccesses, PadAccesses
from simulator.mapping.fusion import Stage
from simulator.mapping.loop_nest import LoopNest
from simulator.mapping.loops import loops_of
from simulator.mapping.precision import mac_energy, macs_per_cycle
from simulator.mapping.schedule import LayerSchedule
from simulator.trace.records import Layer

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class PreparedLayer:
    """A layer before its events are played: the work, and every counter that does not depend on time."""

    layer: Layer
    schedule: LayerSchedule
    work: LayerWork
    step_cycles: Ints
    buffer_stall_cycles: int
    macs: MacCounts
    array_time: ArrayTime | None
    traffic: list[TrafficRow]
    row_hits: int
    row_misses: int
    skippable_bytes: int
    skipped_bytes: int
    flags: Flagged
    vector_elements: int
    comparisons: Comparisons
    pads: PadCounts
    coded: CodedElements
    stay: OnChipUse

    def result(self, accelerator: Accelerator, timing: LayerTiming) -> LayerResult:
        """The layer's counters, now that its timing is known."""
        used = timing.dram
        moved = sum(row.bytes for row in self.traffic if row.level == "dram")
        energy = layer_energy(
            accelerator,
            dram_pj=moved * accelerator.dram.energy if used is None else used.energy_pj,
            buffer_bytes=buffer_bytes(self.traffic),
            on_chip_bytes=on_chip_bytes(self.traffic),
            pads=self.pads,
            mac_pj=mac_energy(self.schedule.nest, accelerator),
            performed=self.macs.performed,
            gated=self.macs.gated,
            vector_elements=self.vector_elements,
            compared=self.comparisons.compared,
            accumulated=self.comparisons.accumulated,
            coded=self.coded,
            duration_ps=timing.end_ps - timing.start_ps,
        )
        return LayerResult(
            name=self.layer.name,
            operator=self.layer.operator,
            macs=self.macs,
            compute_cycles=int(self.step_cycles.sum()),
            buffer_stall_cycles=self.buffer_stall_cycles,
            array_time=self.array_time,
            timing=timing,
            cycle_ps=accelerator.cycle_ps,
            array_macs=macs_per_cycle(self.schedule.nest, accelerator),
            traffic=self.traffic,
            energy_pj=energy,
            row_hits=self.row_hits if used is None else used.row_hits,
            row_misses=self.row_misses if used is None else used.reads + used.writes - used.row_hits,
            skippable_bytes=self.skippable_bytes,
            skipped_bytes=self.skipped_bytes,
            flags=self.flags,
            tiles=self.schedule.steps.count,
            tiling=self.schedule.tiling.describe(),
            on_chip=self.stay,
            loops=loops_of(self.schedule),
        )


def prepare_layer(
    batch: Batch, layer_index: int, schedule: LayerSchedule, stages: Sequence[Stage] = ()
) -> PreparedLayer:
    """Every cost of a layer on a batch, with all that is done to its OFM on the way out, computed at once."""
    layer, nest, accelerator = batch.trace.layers[layer_index], schedule.nest, batch.accelerator
    inputs = [batch.stored(tensor, shape, nest.n) for tensor, shape in zip(layer.inputs, nest.inputs, strict=False)]
    ifm, ifm_traffic = input_stream(schedule, accelerator, inputs)
    streams: dict[Operand, OperandStream] = {"ifm": ifm}
    kernel_traffic, accesses, pads, array_time = OperandTraffic(), None, PadCounts(), None
    if nest.unit == "array":
        active, kernel_map = batch.active_channels(schedule, layer), batch.kernel(layer_index)
        if nest.two_activations:
            right = batch.stored(layer.inputs[1], (nest.g * nest.k, nest.c, 1), nest.n)
            streams["kernel"], kernel_traffic = right_operand_stream(schedule, accelerator, right)
        else:
            streams["kernel"], kernel_traffic = kernel_stream(
                schedule,
                accelerator,
                kernel_map,
                batch.with_replaced(layer, nest, active),
                batch.memory,
                layer_index,
            )
        step_cycles, macs, accesses, pads, array_time = _array(batch, layer, schedule, active, kernel_map)
    else:
        step_cycles, macs = vector_cycles(schedule, batch, layer), MacCounts.none()
    stalls = buffer_stalls(schedule, accelerator, step_cycles, accesses, streams)
    if batch.pruned and nest.unit == "array":
        stalls = stalls + loaded_comparison_stalls(accelerator, ifm, step_cycles + stalls)

    out = way_out(batch, layer, stages, schedule)
    own = batch.unplaced(layer.output, nest.ofm, nest.n) if stages else out.stored
    psums = own, batch.memory.psums(layer_index, own)
    output, output_traffic = output_stream(schedule, accelerator, out, psums, step_cycles + stalls)
    leaving = _as_one(batch, layer, stages)
    flags, runs = _flags(batch, leaving)
    overhead_ps = launch_ps(accelerator, layer, schedule.nest.unit, batch.size)
    busy = layer_work(accelerator, layer.name, step_cycles + stalls, streams, output, overhead_ps)
    work = with_flags(busy, flags, runs)
    parts = (ifm_traffic, kernel_traffic, *output_traffic.all)
    moved = functools.reduce(operator.add, parts)
    flags_moved = (int(flags.moved_bytes[0]), int(flags.moved_bytes[1]))
    return PreparedLayer(
        layer=layer,
        schedule=schedule,
        work=work,
        step_cycles=step_cycles,
        buffer_stall_cycles=int(stalls.sum()),
        macs=macs,
        array_time=array_time,
        traffic=traffic_rows(
            accelerator,
            nest.two_activations,
            ifm_traffic,
            kernel_traffic,
            output_traffic,
            flags_moved,
            None if accesses is None else _elements(accesses),
        ),
        row_hits=moved.row_hits + int(flags.row_hits.sum()),
        row_misses=moved.row_misses + int(flags.row_misses.sum()),
        skippable_bytes=moved.skippable_bytes,
        skipped_bytes=moved.skipped_bytes,
        flags=_flagged(batch, leaving),
        vector_elements=_vector_elements(layer, ifm_traffic, output_traffic) + out.elements,
        comparisons=batch.comparisons(leaving, ifm_traffic.elements),
        pads=pads,
        coded=_coded(nest.two_activations, ifm_traffic, kernel_traffic, output_traffic),
        stay=OnChipUse(
            sum(map(batch.stays, leaving.inputs)),
            int(batch.stays(leaving.output)),
            batch.residence.held_bytes(layer_index),
        ),
    )


def _coded(two_activations: bool, ifm: OperandTraffic, kernel: OperandTraffic, output: OutputTraffic) -> CodedElements:
    """What passes the codecs. The right operand of a product of two activations is a feature map."""
    maps = ifm.coded + output.operands.coded
    return CodedElements(
        maps + (kernel.coded if two_activations else 0), 0 if two_activations else kernel.coded, output.ofm.coded
    )


def _as_one(batch: Batch, layer: Layer, stages: Sequence[Stage]) -> Layer:
    """The layer as memory sees it: with what its stages read beside what they get from it, and what leaves them."""
    layers = batch.trace.layers
    others = [tensor for stage in stages for tensor in stage.others(layers[stage.layer])]
    output = layers[stages[-1].layer].output if stages else layer.output
    return dataclasses.replace(layer, inputs=(*layer.inputs, *others), output=output)


def _flagged(batch: Batch, layer: Layer) -> Flagged:
    """What the pruning unit has seen of a layer: of its OFM, or of its first IFM where the unit sits there."""
    tensor = layer.output if batch.accelerator.pruning.side == "ofm" else layer.inputs[0]
    elements = batch.size * math.prod(batch.trace.tensors[tensor].shape)
    return Flagged(elements, batch.flagged_elements(tensor))


def _flags(batch: Batch, layer: Layer) -> tuple[RequestCosts, FlagRuns]:
    """The flags of a layer and the pruning unit's tables: on a plain bus, and for a memory system."""
    read = [(tensor, batch.flag_bytes(tensor)) for tensor in layer.inputs]
    tables = batch.table_bytes(layer)
    written = batch.flag_bytes(layer.output)
    costs = flag_requests(batch.accelerator, [*(size for _, size in read), *tables], written)
    reads = [(region, size) for tensor, size in read if size and (region := batch.memory.flags(tensor, size))]
    for number, size in enumerate(tables):
        table = batch.memory.tables(layer.output, number, size)
        reads += [] if table is None else [(table, size)]
    region = batch.memory.flags(layer.output, written) if written else None
    return costs, flag_runs(batch.accelerator, reads, None if region is None else (region, written))


def _vector_elements(layer: Layer, ifm: OperandTraffic, output: OutputTraffic) -> int:
    """Elements that the post-processing unit handles.

    All that a vector layer reads and writes; each OFM element of an array layer once per operator that was fused into
    it (batch norm is part of the kernel). Layers that are done on the way out come on top.
    """
    if layer.kernel is None:
        return ifm.elements + output.ofm.elements
    return output.drained * sum(name != "batch_norm" for name in layer.fused)


def _array(
    batch: Batch, layer: Layer, schedule: LayerSchedule, active: Bools | None, kernel_map: Bools | None
) -> tuple[Ints, MacCounts, BufferAccesses, PadCounts, ArrayTime]:
    nest, zeros = schedule.nest, batch.accelerator.array.zeros
    nonzero = batch.maps(layer.inputs[0]).nonzero
    shape = nest.inputs[0]
    if batch.accelerator.array.skipping is not None:  # flagged feature maps are zeros like others to it
        from simulator.machine.skipping_work import skipping_work  # other arrays do without

        maps = [None] if nonzero is None else list(nonzero.reshape(-1, *shape))
        found = skipping_work(schedule, batch.accelerator, maps, kernel_map)
        return found.array.cycles, found.macs, _per_step(schedule, found.array.accesses), PadCounts(), found.time
    met = _of_images(nest, nonzero, lambda image: window_counts(nest, image))
    tile_met = None
    if zeros.ifm == "skip":
        tile_met = _of_images(nest, nonzero, lambda image: tiled_window_counts(schedule, image))
    working = working_channels(schedule, batch.accelerator, active)
    work = array_work(schedule, batch.accelerator, working, tile_met, kernel_map)
    macs = mac_counts(schedule, zeros, met, kernel_map, working)
    cycles = int(work.cycles.sum())
    statistical = (
        cycles if tile_met is None and zeros.kernel != "skip" else _lanes_expected(schedule, batch, met, kernel_map)
    )
    worked = macs.performed + macs.gated
    multipliers = macs_per_cycle(nest, batch.accelerator)
    time = dense_array_time(cycles, multipliers, macs.effectual, worked, statistical)
    return work.cycles, macs, _per_step(schedule, work.accesses), _pad_counts(work.pads, macs), time


def _of_images(nest: LoopNest, nonzero: Bools | None, count: Callable[[Bools], Ints]) -> list[Ints]:
    """What `count` finds by channel in the first input of every image; without zeros all channels are like one."""
    shape = nest.inputs[0]
    if nonzero is not None:
        return [count(image) for image in nonzero.reshape(nest.n, *shape)]
    found = count(np.ones((1, *shape[1:]), np.bool_))
    return [np.broadcast_to(found, (shape[0], *found.shape[1:]))] * nest.n


def _lanes_expected(schedule: LayerSchedule, batch: Batch, met: list[Ints], kernel_map: Bools | None) -> int:
    """Cycles of lanes that skip zeros as densities alone let expect: the dense ones times the shares that are left."""
    nest, zeros = schedule.nest, batch.accelerator.array.zeros
    dense = int(dataflow_of(batch.accelerator, schedule.nest).cycles(tile_sizes(schedule)).sum())
    windows = nest.n * nest.g * nest.c * nest.p * nest.q * nest.r * nest.s
    ifm = sum(int(counts.sum()) for counts in met) / windows if zeros.ifm == "skip" else 1.0
    kernel = float(kernel_map.mean()) if zeros.kernel == "skip" and kernel_map is not None else 1.0
    return round(dense * ifm * kernel)


def _per_step(schedule: LayerSchedule, accesses: BufferAccesses) -> BufferAccesses:
    """Accesses with an entry for every step."""
    return BufferAccesses(*(np.broadcast_to(of_step, (schedule.steps.count,)) for of_step in vars(accesses).values()))


def _pad_counts(written: PadAccesses | None, macs: MacCounts) -> PadCounts:
    """Each MAC reads its IFM word; one that is performed also its kernel word and its psum, which it writes again."""
    if written is None:
        return PadCounts()
    return PadCounts(
        ifm_reads=macs.performed + macs.gated,
        ifm_writes=int(written.ifm_writes.sum()),
        kernel_reads=macs.performed,
        kernel_writes=int(written.kernel_writes.sum()),
        psum_reads=macs.performed,
        psum_writes=macs.performed,
        psum_hops=int(written.psum_hops.sum()),
    )


def _elements(accesses: BufferAccesses) -> ArrayElements:
    return ArrayElements(*(int(of_step.sum()) for of_step in vars(accesses).values()))


def vector_cycles(schedule: LayerSchedule, batch: Batch, layer: Layer) -> Ints:
    """Cycles of each step on the vector unit: what it reads or what it writes, whichever is more, over its lanes, as
    often as the operator and what was folded into it pass over it."""
    nest, steps, unit = schedule.nest, schedule.steps, batch.accelerator.post_processing
    passes = unit.passes(layer.operator) + folded_passes(batch, layer) - 1
    image, row, column = schedule.position_index(steps.s)
    images = schedule.images.size[image]
    channels = schedule.groups.start[steps.g], schedule.groups.stop[steps.g]
    rows = schedule.rows.start[row], schedule.rows.stop[row]
    columns = schedule.columns.start[column], schedule.columns.stop[column]
    read = np.zeros(steps.count, np.int64)
    for index in range(len(nest.inputs)):
        sides = (
            nest.input_channels(*channels, index),
            nest.input_rows(*rows, index),
            nest.input_columns(*columns, index),
        )
        read += images * np.prod([last - first for first, last in sides], axis=0)
    written = images * schedule.groups.size[steps.g] * schedule.rows.size[row] * schedule.columns.size[column]
    plane = nest.p * nest.q
    written = -(-written * unit.whole_blocks(layer.operator, plane) // plane)
    return unit.cycles(np.maximum(read, written) * passes)
