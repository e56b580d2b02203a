"""How long a tile keeps the ports of the on-chip buffers busy."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from simulator.hardware.accelerator import Accelerator
from simulator.hardware.buffer import Buffer
from simulator.hardware.section import OPERANDS, Operand
from simulator.mapping.dataflow import TileSizes
from simulator.mapping.dataflow.access_pattern import Vector, access_vectors, bank_cycles
from simulator.mapping.dataflow.base import BufferAccesses, Ints
from simulator.mapping.loop_nest import LoopNest

Floats = npt.NDArray[np.float64]
Use = tuple[Operand, str, Ints, int, Vector]
"""An operand, "read" or "write", how many elements of how many bits, and which of them at a time."""

IN_ORDER = Vector()


@dataclass(frozen=True, eq=False)
class Transfers:
    """What DMA moves per tile while the array works on it.

    moved: bytes into ("write") and out of ("read") the buffer of an operand; dram_cycles: how long DRAM takes for that.
    """

    moved: Mapping[tuple[Operand, str], Floats]
    dram_cycles: Floats


NO_TRANSFERS = Transfers({}, np.zeros(1))


def array_port_cycles(
    nest: LoopNest,
    accelerator: Accelerator,
    tile: TileSizes,
    accesses: BufferAccesses,
    transfers: Transfers = NO_TRANSFERS,
) -> Ints:
    """Cycles for which the busiest buffer serves each tile of an array layer; 0 where nothing is limited."""
    vectors = access_vectors(accelerator.array, nest, tile)
    precision = accelerator.precision
    kernel_bits = precision.ifm if nest.two_activations else precision.kernel
    uses: list[Use] = [
        ("ifm", "read", accesses.ifm_reads, precision.ifm, vectors["ifm"]),
        ("kernel", "read", accesses.kernel_reads, kernel_bits, vectors["kernel"]),
        ("ofm", "read", accesses.psum_reads, precision.psum, vectors["psum"]),
        ("ofm", "write", accesses.psum_writes, precision.psum, vectors["psum"]),
    ]
    return _port_cycles(accelerator, uses, transfers)


def vector_port_cycles(
    accelerator: Accelerator, ifm_elements: Ints, ofm_elements: Ints, transfers: Transfers = NO_TRANSFERS
) -> Ints:
    """The same for a layer on the vector unit, which reads and writes in the order in which tensors lie."""
    bits = accelerator.precision.ifm
    uses: list[Use] = [
        ("ifm", "read", ifm_elements, bits, IN_ORDER),
        ("ofm", "write", ofm_elements, bits, IN_ORDER),
    ]
    return _port_cycles(accelerator, uses, transfers)


def _port_cycles(accelerator: Accelerator, uses: list[Use], transfers: Transfers) -> Ints:
    """What the busiest buffer needs.

    Where DRAM takes longer than the array's work, DMA's F cycles at the ports come evenly over its D cycles, and the
    array's A last A / (1 − F/D); else they add up.
    """
    buffers = accelerator.buffers
    busiest: Ints = np.zeros(1, np.int64)
    for home in OPERANDS:
        if buffers.home(home) != home or not getattr(buffers, home).limited:
            continue
        alone = _at_ports(accelerator, home, uses, {})
        needed = _at_ports(accelerator, home, uses, transfers.moved) if transfers.moved else alone
        stolen, dram = needed - alone, transfers.dram_cycles
        spread = alone * dram / np.where(dram > stolen, dram - stolen, 1.0)
        needed = np.where(dram > stolen, np.minimum(needed, spread), needed)
        busiest = np.maximum(busiest, np.ceil(needed - 1e-9).astype(np.int64))
    return busiest


def _at_ports(
    accelerator: Accelerator, home: Operand, uses: list[Use], moved: Mapping[tuple[Operand, str], Floats]
) -> Floats:
    """Cycles at the ports of one buffer: what banks need for the array's vectors and DMA's bytes, or the bandwidth for
    the sum. Reads and writes add up where they take turns."""
    buffers = accelerator.buffers
    buffer: Buffer = getattr(buffers, home)
    cycles: list[Floats] = []
    for direction, bandwidth in (("read", buffer.read_bandwidth), ("write", buffer.write_bandwidth)):
        in_banks, amount = np.zeros(1), np.zeros(1)
        for operand, way, elements, bits, vector in uses:
            if buffers.home(operand) == home and way == direction:
                interleaving = getattr(buffers, operand).interleaving
                in_banks = in_banks + bank_cycles(buffer, elements, bits, vector, interleaving)
                amount = amount + elements * bits / 8
        for (operand, way), size in moved.items():
            if buffers.home(operand) == home and way == direction:
                in_banks = in_banks + (size / buffer.peak_bandwidth if buffer.peak_bandwidth else 0.0)
                amount = amount + size
        cycles.append(np.maximum(in_banks, amount / bandwidth) if bandwidth else in_banks)
    reads, writes = cycles
    return reads + writes if buffer.takes_turns else np.maximum(reads, writes)
