"""The OFM side of a layer: psums that spill, what is done to finished tiles on the way out, and their stores."""

import dataclasses
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from simulator.hardware.accelerator import Accelerator
from simulator.machine.burst_runs import BurstRuns
from simulator.machine.feature_map import Boxes, Region, StoredFeatureMap, stored_tiles
from simulator.machine.layer_costs import Loads, OperandTraffic, codec_ps, loads_of, map_loads, output_boxes, slots_of
from simulator.machine.loader import Moved, no_tiles
from simulator.machine.pipeline import OutputStream
from simulator.mapping.dataflow.base import ceil_div
from simulator.mapping.schedule import LayerSchedule, changes

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class WayOut:
    """What happens to a finished OFM tile, one entry per (group tile, resident block of outputs, position tile).

    stored: the feature map that leaves, boxes: which part of it a tile becomes; cycles: of post-processing; operands:
    what else it reads from memory; elements: read and written by operators that were layers of their own.
    """

    stored: StoredFeatureMap
    boxes: Boxes
    cycles: Ints
    operands: tuple[tuple[StoredFeatureMap, Boxes], ...] = ()
    elements: int = 0


@dataclass(frozen=True)
class OutputTraffic:
    """What the OFM side moves: finished elements, psums spilled and fetched again, and operands of fused layers.

    drained: finished elements that leave the OFM buffer, before anything that makes fewer of them.
    """

    ofm: OperandTraffic
    psum_writes: OperandTraffic
    psum_reads: OperandTraffic
    operands: OperandTraffic
    drained: int

    @property
    def all(self) -> tuple[OperandTraffic, ...]:
        """Everything that moves."""
        return self.ofm, self.psum_writes, self.psum_reads, self.operands


def output_stream(
    schedule: LayerSchedule,
    accelerator: Accelerator,
    way_out: WayOut,
    psums: tuple[StoredFeatureMap, Region | None],
    step_cycles: Ints,
) -> tuple[OutputStream, OutputTraffic]:
    """The OFM side: a tile is stored once its last channel is in; psums spill when the array leaves it before that.

    psums: the OFM as it is before `way_out`, and where its psums spill to. Elements are post-processed while the array
    produces them; what is not through by the end of the tile's visit (`step_cycles`) holds up the store.
    """
    steps = schedule.steps
    opens = changes(steps.g, steps.m, steps.s)
    closes = np.append(opens[1:], True)
    tile = (steps.g * schedule.residents.count + steps.m) * schedule.position_tiles + steps.s
    first = steps.c[opens] == 0
    last = steps.c[closes] == schedule.channels.count - 1
    opened, closed = tile[opens], tile[closes]

    boxes = output_boxes(schedule)
    finished = map_loads(accelerator, way_out.stored, way_out.boxes, closed[last], write=True)
    store_runs = tuple(part.spread(last) for part in finished.runs)
    restore_runs: tuple[BurstRuns, ...] = ()
    restore, store = np.zeros(len(opened), np.int64), np.zeros(len(closed), np.int64)
    store[last] = finished.duration_ps
    stored, restored = finished.moved.spread(last), Moved.nothing(len(opened))
    reads = writes = OperandTraffic()
    if not (first.all() and last.all()):
        own, region = psums
        spilling = dataclasses.replace(
            own, bits=accelerator.precision.psum, codec="raw", nonzero=None, kept=None, part=None, on_chip=False
        )
        tiles = stored_tiles(spilling, boxes)
        spilled = loads_of(accelerator, tiles, closed[~last], region, write=True)
        fetched = loads_of(accelerator, tiles, opened[~first], region)
        store_runs += tuple(part.spread(~last) for part in spilled.runs)
        restore_runs = tuple(part.spread(~first) for part in fetched.runs)
        store[~last], restore[~first] = spilled.duration_ps, fetched.duration_ps
        writes, reads = spilled.traffic, fetched.traffic
        stored, restored = stored + spilled.moved.spread(~last), fetched.moved.spread(~first)
    encode = no_tiles()
    rate = accelerator.compression.feature_map.encoder_rate
    if rate is not None and way_out.stored.codec != "raw":
        encode = np.zeros(len(closed), np.int64)
        encode[last] = codec_ps(accelerator, way_out.boxes.elements[closed[last]], rate)
    post, fetch = np.zeros((2, len(closed)), np.int64)
    produced = np.add.reduceat(step_cycles, np.flatnonzero(opens))
    late = np.maximum(way_out.cycles[closed] - produced, 0)
    post[last] = np.rint(late[last] * accelerator.cycle_ps).astype(np.int64)
    operands = [map_loads(accelerator, tensor, of, closed[last]) for tensor, of in way_out.operands]
    fetch[last] = sum((one.duration_ps for one in operands), np.zeros(int(last.sum()), np.int64))
    bits = accelerator.precision.psum if schedule.nest.unit == "array" else accelerator.precision.ofm
    stream = OutputStream(
        opens,
        closes,
        restore,
        store,
        post,
        slots_of(accelerator, "ofm"),
        ~last,
        ceil_div(boxes.elements[opened] * bits, 8),
        restore_runs,
        store_runs,
        fetch,
        tuple(part.spread(last) for one in operands for part in one.runs),
        encode,
        restored,
        stored,
        sum((one.moved for one in operands), Moved.nothing(int(last.sum()))).spread(last),
    )
    drained = int(boxes.elements.sum()) if way_out.elements else finished.traffic.elements
    return stream, OutputTraffic(finished.traffic, writes, reads, _together(operands), drained)


def _together(loads: list[Loads]) -> OperandTraffic:
    return sum((one.traffic for one in loads), OperandTraffic())
