"""Estimated energy of tilings: action counts times the accelerator's energy table, as for a run without zeros."""

import numpy as np

from simulator.hardware.accelerator import Accelerator
from simulator.hardware.section import Operand
from simulator.hardware.sram_energy import buffer_energy
from simulator.mapping.burst_waste import Storage
from simulator.mapping.capacity import kernel_bits
from simulator.mapping.dataflow import Dataflow, TileSizes
from simulator.mapping.dataflow.base import ceil_div
from simulator.mapping.dataflow.row_stationary import RowStationary
from simulator.mapping.latency import Time
from simulator.mapping.loop_nest import LoopNest
from simulator.mapping.precision import mac_energy
from simulator.mapping.tiles import Floats, Tiles
from simulator.mapping.traffic import Reuse, Traffic, ifm_fetched_elements


def layer_energy_pj(
    nest: LoopNest,
    accelerator: Accelerator,
    dataflow: Dataflow,
    tile: Tiles,
    sizes: TileSizes,
    storage: Storage,
    loads: Reuse,
    moved: Traffic,
    time: Time,
) -> Floats:
    """Picojoules of a layer under each order of the loops: [orders, candidates].

    DRAM, buffers on the side of DMA and on that of the array, MACs, scratch pads and the PEs' network, and what clock,
    leakage and DRAM's background take over the layer's time.
    """
    energy = accelerator.energy
    seconds_mw = energy.clock + energy.leakage + accelerator.dram.background  # mW · ps = fJ
    total = moved.total * accelerator.dram.energy + time.layer * (accelerator.cycle_ps * seconds_mw * 1e-3)
    total = total + _dma_side(nest, accelerator, tile, storage, loads)
    if nest.unit == "vector":
        return total + _vector_side(nest, accelerator, tile, storage)
    return (
        total
        + _array_side(nest, accelerator, dataflow, tile, sizes)
        + nest.multiplications * mac_energy(nest, accelerator)
    )


def _dma_side(nest: LoopNest, accelerator: Accelerator, tile: Tiles, storage: Storage, loads: Reuse) -> Floats:
    """What loads and stores take at the buffers: all elements of a tile, as they are not compressed there."""
    precision = accelerator.precision
    outputs = nest.n * nest.ofm[0] * nest.ofm[1] * nest.ofm[2]
    spills = (loads.ofm - 1) * outputs * (precision.psum / 8)
    read, written = _per_byte(accelerator, "ofm")
    return np.asarray(
        _ifm_bytes(nest, accelerator, tile, storage) * loads.ifm * _per_byte(accelerator, "ifm")[1]
        + (nest.kernel_elements * kernel_bits(nest, accelerator) / 8)
        * loads.kernel
        * _per_byte(accelerator, "kernel")[1]
        + spills * (written + read)
        + outputs * (precision.ofm / 8) * read,
        np.float64,
    )


def _ifm_bytes(nest: LoopNest, accelerator: Accelerator, tile: Tiles, storage: Storage) -> Floats:
    """Bytes of all inputs, as they lie in the buffer, when each tile of positions and channels is fetched once."""
    inputs = range(len(storage.inputs))
    elements = sum(ifm_fetched_elements(nest, tile, index, whole_rows=False) for index in inputs)
    return np.asarray(elements * (accelerator.precision.ifm / 8), np.float64)


def _vector_side(nest: LoopNest, accelerator: Accelerator, tile: Tiles, storage: Storage) -> Floats:
    """What the vector unit reads and writes."""
    read, written = _per_byte(accelerator, "ifm")[0], _per_byte(accelerator, "ofm")[1]
    outputs = nest.n * nest.ofm[0] * nest.ofm[1] * nest.ofm[2] * (accelerator.precision.ofm / 8)
    return _ifm_bytes(nest, accelerator, tile, storage) * read + outputs * written


def _array_side(nest: LoopNest, accelerator: Accelerator, dataflow: Dataflow, tile: Tiles, sizes: TileSizes) -> Floats:
    """What the array takes from the buffers, and its scratch pads.

    Tiles at the edges count with their share of a whole tile's accesses.
    """
    precision, pads = accelerator.precision, accelerator.array.scratch_pads
    accesses = dataflow.accesses(sizes)
    accumulated = sizes.ofm_elements * (1 - 1 / ceil_div(nest.c, tile.c))  # all but the first tile of channels add
    ifm, kernel, ofm = (_per_byte(accelerator, operand)[0] for operand in ("ifm", "kernel", "ofm"))
    of_tile = (
        accesses.ifm_reads * (precision.ifm / 8 * ifm)
        + accesses.kernel_reads * (kernel_bits(nest, accelerator) / 8 * kernel)
        + (accesses.psum_reads + accumulated) * (precision.psum / 8 * ofm)
        + accesses.psum_writes * (precision.psum / 8 * _per_byte(accelerator, "ofm")[1])
    )
    constant = 0.0
    if pads is not None and isinstance(dataflow, RowStationary):
        words = dataflow.pad_accesses(sizes)
        of_tile = of_tile + (
            words.ifm_writes * pads.ifm.write_energy
            + words.kernel_writes * pads.kernel.write_energy
            + words.psum_hops * accelerator.energy.hop
        )
        of_mac = pads.ifm.read_energy + pads.kernel.read_energy + pads.psum.read_energy + pads.psum.write_energy
        constant = nest.macs * of_mac
    work = tile.g * tile.k * tile.c * tile.n * tile.p * tile.q * (nest.r * nest.s)
    return np.asarray(of_tile * (nest.macs / work) + constant, np.float64)


def _per_byte(accelerator: Accelerator, operand: Operand) -> tuple[float, float]:
    return buffer_energy(accelerator.buffers.of(operand))
