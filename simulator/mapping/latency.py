"""Estimated time of tilings."""

from dataclasses import dataclass

import numpy as np

from simulator.hardware.accelerator import Accelerator
from simulator.hardware.section import OPERANDS, Operand
from simulator.mapping.buffer_time import array_port_cycles, vector_port_cycles
from simulator.mapping.capacity import ifm_tile_elements, ofm_tile_elements, tile_bytes
from simulator.mapping.dataflow import Dataflow, TileSizes
from simulator.mapping.loop_nest import LoopNest
from simulator.mapping.tiles import Floats, Ints, Tiles, trips
from simulator.mapping.traffic import Traffic


@dataclass(frozen=True, eq=False)
class Time:
    """Estimated cycles of candidates: of the array (or vector unit), and of the layer under each order of the loops."""

    array: Floats
    layer: Floats


def tile_sizes(nest: LoopNest, accelerator: Accelerator, tile: Tiles) -> TileSizes:
    """The largest tile of each candidate as dataflows see it."""
    padding = accelerator.buffers.ifm.holds_padding
    return TileSizes(
        g=tile.g,
        k=tile.k,
        c=tile.c,
        n=tile.n,
        p=tile.p,
        q=tile.q,
        r=nest.r,
        s=nest.s,
        ifm_elements=ifm_tile_elements(nest, tile, padding),
        ifm_rows=nest.window_rows(tile.p, padding),
        ofm_elements=ofm_tile_elements(nest, tile, tile.k),
        stride=nest.stride if nest.windowed else (1, 1),
        winograd=nest.winograd,
    )


def layer_time(
    nest: LoopNest, accelerator: Accelerator, dataflow: Dataflow, tile: Tiles, sizes: TileSizes, moved: Traffic
) -> Time:
    """What takes longer: the array with the transfers that do not overlap with it and the first and last tile, or DRAM
    with all tiles and the array's work on the last one.

    The array takes as many cycles as the buffers need to feed it. Where feature maps stay in what tiles leave free, a
    tile counts its own transfer beside DRAM's, for it displaces as many bytes of maps that must move then.
    """
    steps = trips(nest, tile).steps
    array = (_tile_cycles(nest, accelerator, dataflow, tile, sizes) * steps).astype(np.float64)
    to_cycles = accelerator.clock / accelerator.dram.bandwidth
    serial: Floats | float = 0.0
    for operand in OPERANDS:
        if not _overlaps(accelerator, operand):
            serial = serial + getattr(moved, operand)
    alone = array + serial * to_cycles
    waits = steps * (_wait_of_a_step_ps(accelerator) / accelerator.cycle_ps)
    if accelerator.on_chip.feature_maps and accelerator.on_chip.capacity is None:
        outside = beside = sum(tile_bytes(nest, accelerator, tile).values()) * to_cycles
    else:
        outside, beside = moved.first_and_last * to_cycles, array / steps
    return Time(array, np.maximum(alone + outside, moved.total * to_cycles + waits + beside))


def _tile_cycles(nest: LoopNest, accelerator: Accelerator, dataflow: Dataflow, tile: Tiles, sizes: TileSizes) -> Ints:
    if nest.unit == "vector":
        cycles = accelerator.post_processing.cycles(np.maximum(sizes.ifm_elements, sizes.ofm_elements))
        if accelerator.buffers.limited:
            cycles = np.maximum(cycles, vector_port_cycles(accelerator, sizes.ifm_elements, sizes.ofm_elements))
        return cycles
    cycles = dataflow.cycles(sizes)
    if accelerator.buffers.limited:
        fetched = np.where(tile.c < nest.c, sizes.ofm_elements, 0)
        accesses = dataflow.accesses(sizes).accumulating(fetched)
        cycles = np.maximum(cycles, array_port_cycles(nest, accelerator, sizes, accesses))
    return cycles


def _wait_of_a_step_ps(accelerator: Accelerator) -> float:
    """Picoseconds by which DRAM's data comes later for every tile step, however few bytes that loads.

    A plain bus stands still for two rows, one for the IFM and one for kernels. With a `standard` the first burst comes
    when its bank is precharged, activated and read; tiles that are asked for beforehand share that.
    """
    device = accelerator.dram.device
    if device is None:
        return 2 * accelerator.dram.row_miss
    timing = device.timing
    return (timing.tRP + timing.tRCDRD + timing.CL) * timing.clock / accelerator.dma.prefetch


def _overlaps(accelerator: Accelerator, operand: Operand) -> bool:
    """Whether an operand's transfers run while the array works."""
    held_in_pads = operand == "kernel" and accelerator.array.keeps_kernels
    return held_in_pads or accelerator.buffers.copies(operand) > 1
