"""The search for tile sizes and loop order: all candidates of a layer are estimated at once, as arrays."""

import itertools
import math
from functools import lru_cache

import numpy as np

from simulator.errors import InputError
from simulator.hardware.accelerator import Accelerator
from simulator.hardware.layout import lanes_of
from simulator.hardware.mapping import NOTHING_FIXED, FixedTiles
from simulator.mapping.burst_waste import Storage, Stored
from simulator.mapping.candidates import candidates, smallest
from simulator.mapping.capacity import Capacity
from simulator.mapping.compressed import compressed_storage
from simulator.mapping.dataflow import dataflow_of
from simulator.mapping.dataflow.row_stationary import RowStationary
from simulator.mapping.energy import layer_energy_pj
from simulator.mapping.fixed_tiles import described
from simulator.mapping.latency import layer_time, tile_sizes
from simulator.mapping.loop_nest import LoopNest
from simulator.mapping.schedule import LayerSchedule, Tiling
from simulator.mapping.tiles import TILED, Bools, Floats, trips
from simulator.mapping.traffic import reuse, traffic
from simulator.trace.records import Shape

ORDERS = tuple("".join(order) for order in itertools.permutations("SKC"))

TIME_SLACK = 1.1
"""`balanced` seeks the least traffic among candidates at most 10 % slower than the fastest: bytes that cost no time to
move are not saved by leaving the array idle."""

CLOSE = 1.01
"""Candidates within 1 % of the least of a measure compete for the least of the next: small tiles read the buffers more
often."""

AS_FAST = 1.001
"""Candidates within 0.1 % of the least time count as equally fast."""

EQUAL = 1 + 1e-9
"""Candidates that differ by rounding alone."""


@lru_cache(maxsize=4096)
def best_schedule(
    nest: LoopNest, accelerator: Accelerator, storage: Storage | None = None, fixed: FixedTiles = NOTHING_FIXED
) -> LayerSchedule:
    """The tiling of `nest` that serves the accelerator's `mapping.objective` best.

    storage: how its tensors lie in memory, by default as the accelerator's default layout and codec have it. fixed:
    sizes and order to keep. Raises InputError when even the smallest tile does not fit into the buffers; the message
    names the buffer.
    """
    storage = storage or _default_storage(nest, accelerator)
    capacity, dataflow = Capacity(nest, accelerator), dataflow_of(accelerator, nest)
    tile = candidates(capacity, dataflow, storage, fixed)
    if not tile.count:
        given = described(fixed)
        raise InputError(
            (f"fixed tiles ({given}): " if given else "") + capacity.why_not(smallest(nest, dataflow, fixed))
        )
    orders = ORDERS
    if isinstance(dataflow, RowStationary) and nest.unit == "array":
        orders = ("SKC",)
    if fixed.order is not None:
        orders = (fixed.order,)

    loads = reuse(nest, tile, orders)
    moved = traffic(nest, accelerator, tile, storage, loads)
    sizes = tile_sizes(nest, accelerator, tile)
    time = layer_time(nest, accelerator, dataflow, tile, sizes, moved)
    objective = accelerator.mapping.objective
    if objective == "fewest_tiles" and nest.unit == "vector":
        objective = "balanced"
    steps = trips(nest, tile).steps.astype(np.float64)
    measures: list[tuple[Floats, float]] = [(time.layer, AS_FAST), (time.array, CLOSE)]
    if objective == "balanced":
        first = (time.array, 1.0) if accelerator.array.timing == "strict" else (time.layer, TIME_SLACK)
        measures = [first, (moved.total, CLOSE), *measures]
    elif objective == "latency":
        measures = [(time.layer, AS_FAST), (moved.total, CLOSE), *measures]
    elif objective == "dram_bytes":
        measures = [(moved.total, EQUAL), *measures]
    elif objective == "fewest_tiles":
        measures = [(steps, 1.0), (moved.total, CLOSE), *measures]
    else:
        energy = layer_energy_pj(nest, accelerator, dataflow, tile, sizes, storage, loads, moved, time)
        measures = [(energy if objective == "energy" else energy * time.layer, EQUAL), *measures]
    order, best = _best([*measures, (steps, 1.0)], moved.total.shape)
    chosen = {loop: int(getattr(tile, loop)[best]) for loop in TILED}
    tiling, cycles = Tiling(**chosen, order=orders[order]), np.broadcast_to(time.layer, moved.total.shape)[order, best]
    return LayerSchedule(nest, tiling, math.ceil(moved.total[order, best]), float(cycles))


def _best(measures: list[tuple[Floats, float]], shape: tuple[int, ...]) -> tuple[int, int]:
    """Order and candidate that are left when each measure in turn leaves those within its factor of the least."""
    left: Bools = np.ones(shape, np.bool_)
    for measure, slack in measures:
        of_any_order = left if measure.ndim > 1 else left.any(axis=0)
        left &= measure <= measure[of_any_order].min() * slack
    order, best = np.unravel_index(int(np.argmax(left)), shape)
    return int(order), int(best)


def _default_storage(nest: LoopNest, accelerator: Accelerator) -> Storage:
    def stored(shape: Shape) -> Stored:
        lanes = lanes_of(accelerator.layout.default, shape[0])
        if accelerator.compression.feature_map.codec == "raw":
            return Stored(lanes)
        return compressed_storage(accelerator, lanes, shape, 1.0)

    return Storage(tuple(map(stored, nest.inputs)), stored(nest.ofm))
