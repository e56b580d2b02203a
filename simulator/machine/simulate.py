"""`simulate`: a trace on an accelerator, image by image, to a report."""

import functools
import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import simpy

from simulator.errors import InputError
from simulator.hardware.accelerator import OPERANDS, Accelerator, Operand
from simulator.machine.dram import DramPort
from simulator.machine.energy import layer_energy
from simulator.machine.feature_map import StoredFeatureMap
from simulator.machine.layer_costs import (
    OperandTraffic,
    input_stream,
    kernel_stream,
    layer_work,
    output_stream,
)
from simulator.machine.pipeline import LayerTiming, LayerWork, OperandStream, run_layer
from simulator.machine.pruning import (
    DynamicPruning,
    as_pruning,
    check_epsilon,
    compared_elements,
    flag_bits,
    kept_elements,
)
from simulator.machine.results import LayerResult, RunResult, TrafficRow
from simulator.machine.work import MacCounts, array_work, mac_counts, tiled_window_counts, window_counts
from simulator.mapping.dataflow.base import ceil_div
from simulator.mapping.plan import Schedule, plan
from simulator.mapping.schedule import LayerSchedule
from simulator.trace.trace import Trace

Bools = npt.NDArray[np.bool_]
Ints = npt.NDArray[np.int64]


def run(
    trace: Trace,
    accelerator: Accelerator,
    schedule: Schedule,
    images: Sequence[int],
    pruning: DynamicPruning | None,
) -> RunResult:
    """One batch of images through the whole network, layer after layer.

    images has `schedule.batch` entries, or is empty for a trace of shapes only.
    """
    machine = _Machine(trace, accelerator, schedule, list(images), pruning)
    env = simpy.Environment()
    process = env.process(machine.sequence(env))
    env.run(process)
    return RunResult(tuple(images), machine.results)


def image_batches(trace: Trace, images: Sequence[int] | None, batch: int) -> list[list[int]]:
    """The images to simulate, in batches; [[]] for a trace of shapes only.

    None means all. Raises InputError for an image that the trace does not hold, or when the number of images is no
    multiple of the batch.
    """
    if batch < 1:
        raise InputError(f"batch: found {batch}, expected 1 or more")
    if not trace.has_maps:
        if images is not None and len(images) > 0:
            raise InputError(f"trace '{trace.name}' holds shapes only, so there are no images to select")
        return [[]]
    chosen = list(range(trace.image_count)) if images is None else [int(image) for image in images]
    if not chosen:
        raise InputError(f"no image selected; trace '{trace.name}' holds {trace.image_count}")
    for image in chosen:
        trace.check_image(image)
    if len(chosen) % batch:
        raise InputError(f"{len(chosen)} images do not divide into batches of {batch}")
    return [chosen[start : start + batch] for start in range(0, len(chosen), batch)]


def run_all(
    trace: Trace,
    accelerator: Accelerator,
    *,
    images: Sequence[int] | None = None,
    pruning: DynamicPruning | str | None = None,
    batch: int = 1,
    progress: Callable[[int, int], None] | None = None,
) -> list[RunResult]:
    """Every batch of images through the network; `progress` is called with (batches done, batches)."""
    asked = as_pruning(pruning)
    if asked is not None:
        check_epsilon(trace, asked)
    batches = image_batches(trace, images, batch)
    schedule = plan(trace, accelerator, batch)
    results = []
    for done, chosen in enumerate(batches):
        results.append(run(trace, accelerator, schedule, chosen, asked))
        if progress is not None:
            progress(done + 1, len(batches))
    return results


@dataclass(frozen=True)
class _FeatureMap:
    """A tensor of the batch: what is not zero, and what dynamic pruning keeps; None when that is everything."""

    nonzero: Bools | None
    kept: Bools | None


class _Machine:
    """The sequencer: builds each layer's costs and runs its processes, one layer after the other."""

    def __init__(
        self,
        trace: Trace,
        accelerator: Accelerator,
        schedule: Schedule,
        images: list[int],
        pruning: DynamicPruning | None,
    ) -> None:
        self.trace = trace
        self.accelerator = accelerator
        self.schedule = schedule
        self.images = images
        self.pruning = pruning
        self.results: list[LayerResult] = []
        self._produced = {layer.output for layer in trace.layers}
        self._last_use = {tensor: index for index, layer in enumerate(trace.layers) for tensor in layer.inputs}
        self._tensors: dict[int, _FeatureMap] = {}

    def sequence(self, env: simpy.Environment) -> Any:
        """The SimPy process: layers in order, each from its first load to its last store."""
        dram = DramPort(env)
        for index, schedule in enumerate(self.schedule.layers):
            if schedule is None:
                self.results.append(LayerResult.nothing(self.trace.layers[index]))
            else:
                yield from self._layer(env, dram, index, schedule)
            for tensor in [tensor for tensor in self._tensors if self._last_use.get(tensor, -1) <= index]:
                del self._tensors[tensor]
        return None

    def _flagged_by_unit(self, tensor: int) -> bool:
        """Whether the pruning unit saw this tensor as somebody's OFM and stored its flags."""
        source = self.trace.tensors[tensor].source
        root = tensor if source is None else source
        return self.pruning is not None and self.accelerator.pruning.side == "ofm" and root in self._produced

    def _feature_map(self, tensor: int) -> _FeatureMap:
        """The maps of a tensor for the whole batch, unpacked once while a layer or two need them."""
        if tensor not in self._tensors:
            record = self.trace.tensors[tensor]
            nonzero = None
            if self.images and not self._zero_free(tensor):
                nonzero = np.stack([self.trace.nonzero(tensor, image) for image in self.images])
            kept = None
            if nonzero is not None and self.pruning is not None:
                unit = self.accelerator.pruning
                kept = np.stack([kept_elements(unit, image) for image in nonzero])
                kept = None if kept.all() else kept
            assert nonzero is None or nonzero.shape[1:] == record.shape
            self._tensors[tensor] = _FeatureMap(nonzero, kept)
        return self._tensors[tensor]

    def _zero_free(self, tensor: int) -> bool:
        record = self.trace.tensors[tensor]
        if record.parts:
            return all(self._zero_free(part) for part in record.parts)
        return record.zero_free

    def _stored(self, tensor: int, shape: tuple[int, int, int], *, is_input: bool) -> StoredFeatureMap:
        """A tensor as it lies in DRAM, seen with the (C, H, W) that a layer gives it."""
        maps = self._feature_map(tensor)
        record = self.trace.tensors[tensor]
        source = tensor if record.source is None else record.source
        from_outside = source not in self._produced and not record.parts
        codec = "raw" if from_outside else self.accelerator.compression.feature_map
        pruned = self._flagged_by_unit(tensor) or (bool(record.parts) and self.pruning is not None and is_input)
        precision = self.accelerator.precision
        images = max(1, len(self.images)) if self.images else self.schedule.batch
        kept = maps.kept if pruned and self.accelerator.pruning.side == "ofm" else None
        return StoredFeatureMap(
            (images, *shape),
            precision.ifm if is_input else precision.ofm,
            codec,
            None if maps.nonzero is None or codec == "raw" else maps.nonzero.reshape(images, *shape),
            _as_seen(kept, record.shape, images, shape),
        )

    def _layer(self, env: simpy.Environment, dram: DramPort, index: int, schedule: LayerSchedule) -> Any:
        layer, nest, accelerator = self.trace.layers[index], schedule.nest, self.accelerator
        images = nest.n
        shapes = nest.inputs
        inputs = [
            self._folded(
                self._stored(tensor, self.trace.tensors[tensor].shape if i else layer.ifm, is_input=True), nest.n, shape
            )
            for i, (tensor, shape) in enumerate(zip(layer.inputs, shapes, strict=False))
        ]
        output = self._folded(self._stored(layer.output, layer.ofm, is_input=False), images, nest.ofm)
        ifm_stream, ifm_traffic = input_stream(schedule, accelerator, inputs)
        streams: dict[str, OperandStream] = {"ifm": ifm_stream}
        kernel_traffic = OperandTraffic()
        macs = MacCounts(0, 0, 0, 0, 0)
        buffer_elements: dict[tuple[Operand, str], int] = {}
        if nest.unit == "array":
            active = self._active_channels(schedule, index)
            kernel_map = self._kernel_map(index)
            streams["kernel"], kernel_traffic = kernel_stream(schedule, accelerator, kernel_map, active)
            step_cycles, macs, buffer_elements = self._array(schedule, index, active, kernel_map)
        else:
            step_cycles = _vector_cycles(schedule, accelerator.post_processing.lanes)
        flag_input, flag_output = self._flag_bytes(index)
        unit = accelerator.pruning
        flags_here = self._flagged_by_unit(layer.output)
        compare_ps = accelerator.cycle_ps / unit.comparators if flags_here else 0.0
        ofm_stream, ofm_traffic = output_stream(schedule, accelerator, output, compare_ps)
        work = layer_work(accelerator, step_cycles, streams, ofm_stream)
        work, flag_traffic = _with_flags(work, accelerator, flag_input, flag_output)
        timing: LayerTiming = yield from run_layer(env, dram, work)

        compared = self._compared(index) if self.pruning is not None else 0
        vector_elements = ifm_traffic.elements + ofm_traffic.ofm.elements if nest.unit == "vector" else 0
        rows = _traffic_rows(
            accelerator, ifm_traffic, kernel_traffic, ofm_traffic, flag_traffic, buffer_elements, nest.unit
        )
        dram_bytes = sum(row.bytes for row in rows if row.level == "dram")
        energy = layer_energy(
            accelerator,
            dram_bytes=dram_bytes,
            buffer_bytes=_buffer_bytes(rows),
            performed=macs.performed,
            gated=macs.gated,
            vector_elements=vector_elements,
            compared=compared,
            duration_ps=timing.end_ps - timing.start_ps,
        )
        everything = [ifm_traffic, kernel_traffic, ofm_traffic.ofm, ofm_traffic.psum_reads, ofm_traffic.psum_writes]
        total = functools.reduce(operator.add, everything)
        self.results.append(
            LayerResult(
                name=layer.name,
                operator=layer.operator,
                macs=macs,
                compute_cycles=int(step_cycles.sum()),
                timing=timing,
                cycle_ps=accelerator.cycle_ps,
                array_macs=accelerator.array.macs,
                traffic=rows,
                energy_pj=energy,
                row_hits=total.row_hits,
                row_misses=total.row_misses,
                tiles=schedule.steps.count,
                tiling=schedule.tiling.describe(),
            )
        )

    def _folded(self, stored: StoredFeatureMap, images: int, shape: tuple[int, int, int]) -> StoredFeatureMap:
        """The same bytes with the images folded into the channels, where the loop nest counts them as groups."""
        if stored.shape == (images, *shape):
            return stored
        target = (images, *shape)
        return StoredFeatureMap(
            target,
            stored.bits,
            stored.codec,
            None if stored.nonzero is None else stored.nonzero.reshape(target),
            None if stored.kept is None else stored.kept.reshape(images, -1, *stored.kept.shape[2:]),
        )

    def _kernel_map(self, index: int) -> Bools | None:
        layer = self.trace.layers[index]
        if not layer.two_activations:
            return self.trace.kernel_nonzero(index)
        maps = [self.trace.kernel_nonzero(index, image) for image in self.images]
        if not maps or maps[0] is None:
            return None
        return np.concatenate([image for image in maps if image is not None])

    def _active_channels(self, schedule: LayerSchedule, index: int) -> Bools | None:
        """Input channels that dynamic pruning leaves, [G·C, position tiles]; None when it leaves all."""
        layer, nest = self.trace.layers[index], schedule.nest
        tensor = layer.inputs[0]
        from_outside = tensor not in self._produced and self.trace.tensors[tensor].source is None
        if self.pruning is None or (from_outside and not self.trace.tensors[tensor].parts):
            return None
        kept = self._feature_map(tensor).kept
        if kept is None:
            return None
        record_shape = self.trace.tensors[tensor].shape
        seen = _as_seen(kept, record_shape, len(self.images), layer.ifm)
        if seen is None:
            return None
        seen = seen.reshape(nest.n, nest.g * nest.c, *seen.shape[2:])
        tiles = schedule.position_tiles
        image, row, column = schedule.position_index(np.arange(tiles, dtype=np.int64))
        by_image = np.logical_or.reduceat(seen, schedule.images.start, axis=0)
        if seen.shape[2:] == (1, 1):
            return np.ascontiguousarray(by_image[image, :, 0, 0].T)
        first_row, last_row = nest.input_rows(schedule.rows.start[row], schedule.rows.stop[row])
        first_column, last_column = nest.input_columns(schedule.columns.start[column], schedule.columns.stop[column])
        active = np.empty((nest.g * nest.c, tiles), np.bool_)
        for tile in range(tiles):
            box = by_image[image[tile], :, first_row[tile] : last_row[tile], first_column[tile] : last_column[tile]]
            active[:, tile] = box.any(axis=(1, 2))
        return active

    def _array(
        self, schedule: LayerSchedule, index: int, active: Bools | None, kernel_map: Bools | None
    ) -> tuple[Ints, MacCounts, dict[tuple[Operand, str], int]]:
        layer, nest, accelerator = self.trace.layers[index], schedule.nest, self.accelerator
        zeros = accelerator.array.zeros
        maps = self._feature_map(layer.inputs[0]).nonzero
        ifm_shape = (nest.g * nest.c, *nest.inputs[0][1:])
        if maps is None:
            per_image = [np.ones(ifm_shape, np.bool_)]
            met = [window_counts(nest, per_image[0])] * nest.n
        else:
            per_image = list(maps.reshape(nest.n, *ifm_shape))
            met = [window_counts(nest, image) for image in per_image]
        tile_met = None
        if zeros.ifm == "skip":
            tile_met = [tiled_window_counts(schedule, image) for image in per_image]
            tile_met = tile_met * (nest.n // len(tile_met))
        work = array_work(schedule, accelerator, active, tile_met, kernel_map)
        skipped = None
        if active is not None:
            kept = self._feature_map(layer.inputs[0]).kept
            assert kept is not None
            seen = _as_seen(kept, self.trace.tensors[layer.inputs[0]].shape, len(self.images), layer.ifm)
            assert seen is not None
            skipped = list(~np.asarray(seen.reshape(nest.n, nest.g * nest.c, -1).any(axis=2)))
        macs = mac_counts(nest, zeros, met, kernel_map, skipped)
        accesses = work.accesses
        shape = (schedule.steps.count,)
        elements: dict[tuple[Operand, str], int] = {
            ("ifm", "read"): int(np.broadcast_to(accesses.ifm_reads, shape).sum()),
            ("kernel", "read"): int(np.broadcast_to(accesses.kernel_reads, shape).sum()),
            ("ofm", "write"): int(np.broadcast_to(accesses.psum_writes, shape).sum()),
            ("ofm", "read"): int(np.broadcast_to(accesses.psum_reads, shape).sum()),
        }
        return work.cycles, macs, elements

    def _flag_bytes(self, index: int) -> tuple[int, int]:
        """Bytes of flags that a layer reads for its inputs and writes for its OFM."""
        layer, unit = self.trace.layers[index], self.accelerator.pruning
        images = max(1, len(self.images))

        def size(tensor: int) -> int:
            return images * -(-flag_bits(unit, *self.trace.tensors[tensor].shape) // 8)

        if self.pruning is None or unit.side != "ofm" or not self.images:
            return 0, 0
        read = sum(size(tensor) for tensor in layer.inputs if self._has_flags(tensor))
        return read, size(layer.output)

    def _has_flags(self, tensor: int) -> bool:
        return self._flagged_by_unit(tensor) or bool(self.trace.tensors[tensor].parts)

    def _compared(self, index: int) -> int:
        """Comparisons with epsilon: of what is written (side `ofm`) or of what is loaded (side `ifm`)."""
        layer = self.trace.layers[index]
        if self.accelerator.pruning.side == "ofm":
            tensors = [layer.output]
        else:
            tensors = [layer.inputs[0]] if layer.kernel is not None else []
        total = 0
        for tensor in tensors:
            nonzero = self._feature_map(tensor).nonzero
            if nonzero is None:
                total += self.trace.tensors[tensor].shape[0] * max(1, len(self.images))
            else:
                total += sum(compared_elements(image) for image in nonzero)
        return total


def _as_seen(
    kept: Bools | None, stored_shape: tuple[int, int, int], images: int, shape: tuple[int, int, int]
) -> Bools | None:
    """What pruning keeps of a tensor, for a layer that sees the same elements as another (C, H, W) (a flatten)."""
    if kept is None:
        return None
    if stored_shape == shape:
        return kept
    full = np.broadcast_to(kept, (images, *stored_shape)).reshape(images, *shape)
    if shape[1] * shape[2] == 1 or kept.shape[2:] != (1, 1):
        return full
    return np.asarray(full.any(axis=(2, 3), keepdims=True))


def _vector_cycles(schedule: LayerSchedule, lanes: int) -> Ints:
    """Cycles of each step on the vector unit: what it reads or what it writes, whichever is more."""
    nest, steps = schedule.nest, schedule.steps
    image, row, column = schedule.position_index(steps.s)
    images = schedule.images.size[image]
    channel_start, channel_stop = schedule.groups.start[steps.g], schedule.groups.stop[steps.g]
    read = np.zeros(steps.count, np.int64)
    for index in range(len(nest.inputs)):
        sides = [
            nest.input_channels(channel_start, channel_stop, index),
            nest.input_rows(schedule.rows.start[row], schedule.rows.stop[row], index),
            nest.input_columns(schedule.columns.start[column], schedule.columns.stop[column], index),
        ]
        read += images * np.prod([last - first for first, last in sides], axis=0)
    written = images * schedule.groups.size[steps.g] * schedule.rows.size[row] * schedule.columns.size[column]
    return ceil_div(np.maximum(read, written), lanes)


def _with_flags(
    work: LayerWork, accelerator: Accelerator, read_bytes: int, written_bytes: int
) -> tuple[LayerWork, dict[str, int]]:
    """The layer with its flags: read before its first IFM tile, written after its last OFM tile, in whole bursts."""
    dram = accelerator.dram

    def moved(size: int) -> int:
        return -(-size // dram.burst) * dram.burst

    def time(size: int) -> int:
        return round(moved(size) / dram.bandwidth * 1e12) + (dram.row_miss * -(-size // dram.row) if size else 0)

    if read_bytes:
        ifm = work.inputs["ifm"]
        duration = ifm.duration_ps.copy()
        duration[0] += time(read_bytes)
        work = LayerWork(
            work.step_ps, {**work.inputs, "ifm": OperandStream(ifm.loads, duration, ifm.slots)}, work.output
        )
    if written_bytes:
        store = work.output.store_ps.copy()
        store[-1] += time(written_bytes)
        out = work.output
        output = type(out)(out.opens, out.closes, out.restore_ps, store, out.post_ps, out.slots)
        work = LayerWork(work.step_ps, work.inputs, output)
    return work, {"read": moved(read_bytes), "write": moved(written_bytes)}


def _traffic_rows(
    accelerator: Accelerator,
    ifm: OperandTraffic,
    kernel: OperandTraffic,
    output: Any,
    flags: dict[str, int],
    buffer_elements: dict[tuple[Operand, str], int],
    unit: str,
) -> list[TrafficRow]:
    precision = accelerator.precision

    def size(elements: int, bits: int) -> int:
        return -(-elements * bits // 8)

    metadata_read = ifm.metadata_bytes + kernel.metadata_bytes + flags["read"]
    rows = [
        TrafficRow("ifm", "dram", "read", ifm.value_bytes),
        TrafficRow("kernel", "dram", "read", kernel.value_bytes),
        TrafficRow("ofm", "dram", "write", output.ofm.value_bytes),
        TrafficRow("psum", "dram", "read", output.psum_reads.value_bytes),
        TrafficRow("psum", "dram", "write", output.psum_writes.value_bytes),
        TrafficRow("metadata", "dram", "read", metadata_read),
        TrafficRow("metadata", "dram", "write", output.ofm.metadata_bytes + flags["write"]),
        TrafficRow("ifm", "buffer", "write", size(ifm.elements, precision.ifm)),
        TrafficRow("kernel", "buffer", "write", size(kernel.elements, precision.kernel)),
        TrafficRow("ofm", "buffer", "read", size(output.ofm.elements, precision.ofm)),
    ]
    if unit == "vector":
        rows.append(TrafficRow("ifm", "buffer", "read", size(ifm.elements, precision.ifm)))
        rows.append(TrafficRow("ofm", "buffer", "write", size(output.ofm.elements, precision.ofm)))
        return rows
    spilled = output.psum_reads.elements
    rows += [
        TrafficRow("ifm", "buffer", "read", size(buffer_elements["ifm", "read"], precision.ifm)),
        TrafficRow("kernel", "buffer", "read", size(buffer_elements["kernel", "read"], precision.kernel)),
        TrafficRow("psum", "buffer", "write", size(buffer_elements["ofm", "write"] + spilled, precision.psum)),
        TrafficRow(
            "psum", "buffer", "read", size(buffer_elements["ofm", "read"] + output.psum_writes.elements, precision.psum)
        ),
    ]
    return rows


def _buffer_bytes(rows: list[TrafficRow]) -> dict[tuple[Operand, str], int]:
    """Bytes that pass each operand's buffer; psums live in the OFM's."""
    homes: dict[str, Operand] = {**{operand: operand for operand in OPERANDS}, "psum": "ofm"}
    totals: dict[tuple[Operand, str], int] = {}
    for row in rows:
        if row.level == "buffer":
            key = (homes[row.operand], row.direction)
            totals[key] = totals.get(key, 0) + row.bytes
    return totals
