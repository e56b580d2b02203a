"""How long a tile keeps the ports of the on-chip buffers busy."""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from simulator.hardware.accelerator import Accelerator
from simulator.hardware.section import OPERANDS, Operand
from simulator.mapping.dataflow import TileSizes
from simulator.mapping.dataflow.access_pattern import Vector, access_vectors, bank_cycles
from simulator.mapping.dataflow.base import BufferAccesses, Ints
from simulator.mapping.loop_nest import LoopNest

Floats = npt.NDArray[np.float64]
Transfers = Mapping[tuple[Operand, str], Floats]
"""Bytes per tile that DMA moves into ("write") and out of ("read") the buffer of an operand while the array works."""

IN_ORDER = Vector()


def array_port_cycles(
    nest: LoopNest,
    accelerator: Accelerator,
    tile: TileSizes,
    accesses: BufferAccesses,
    transfers: Transfers | None = None,
) -> Ints:
    """Cycles for which the busiest buffer serves each tile of an array layer; 0 where nothing is limited."""
    vectors = access_vectors(accelerator.array, nest, tile)
    precision = accelerator.precision
    kernel_bits = precision.ifm if nest.two_activations else precision.kernel
    uses: list[tuple[Operand, str, Ints, int, Vector]] = [
        ("ifm", "read", accesses.ifm_reads, precision.ifm, vectors["ifm"]),
        ("kernel", "read", accesses.kernel_reads, kernel_bits, vectors["kernel"]),
        ("ofm", "read", accesses.psum_reads, precision.psum, vectors["psum"]),
        ("ofm", "write", accesses.psum_writes, precision.psum, vectors["psum"]),
    ]
    return _port_cycles(accelerator, uses, transfers or {})


def vector_port_cycles(
    accelerator: Accelerator, ifm_elements: Ints, ofm_elements: Ints, transfers: Transfers | None = None
) -> Ints:
    """The same for a layer on the vector unit, which reads and writes in the order in which tensors lie."""
    bits = accelerator.precision.ifm
    uses: list[tuple[Operand, str, Ints, int, Vector]] = [
        ("ifm", "read", ifm_elements, bits, IN_ORDER),
        ("ofm", "write", ofm_elements, bits, IN_ORDER),
    ]
    return _port_cycles(accelerator, uses, transfers or {})


def _port_cycles(
    accelerator: Accelerator, uses: list[tuple[Operand, str, Ints, int, Vector]], transfers: Transfers
) -> Ints:
    """Per buffer and direction: what banks need for the array's vectors and DMA's bytes, or the bandwidth for the sum.

    Reads and writes add up where they take turns at a port.
    """
    buffers = accelerator.buffers
    busiest: Ints = np.zeros(1, np.int64)
    for home in OPERANDS:
        buffer = getattr(buffers, home)
        if buffers.home(home) != home or not buffer.limited:
            continue
        directions = []
        for direction, bandwidth in (("read", buffer.read_bandwidth), ("write", buffer.write_bandwidth)):
            in_banks, amount = np.zeros(1), np.zeros(1)
            for operand, way, elements, bits, vector in uses:
                if buffers.home(operand) == home and way == direction:
                    interleaving = getattr(buffers, operand).interleaving
                    in_banks = in_banks + bank_cycles(buffer, elements, bits, vector, interleaving)
                    amount = amount + elements * bits / 8
            for (operand, way), moved in transfers.items():
                if buffers.home(operand) == home and way == direction:
                    in_banks = in_banks + (moved / buffer.peak_bandwidth if buffer.peak_bandwidth else 0)
                    amount = amount + moved
            directions.append(np.maximum(in_banks, amount / bandwidth) if bandwidth else in_banks)
        needed = directions[0] + directions[1] if buffer.takes_turns else np.maximum(*directions)
        busiest = np.maximum(busiest, np.ceil(needed - 1e-9).astype(np.int64))
    return busiest
