"""Steps of the array as long as the buffers need to feed it."""

import numpy as np
import numpy.typing as npt

from simulator.hardware.accelerator import Accelerator
from simulator.hardware.section import OPERANDS, Operand
from simulator.machine.pipeline import OperandStream
from simulator.machine.work import tile_sizes
from simulator.mapping.buffer_time import Floats, Transfers, array_port_cycles, vector_port_cycles
from simulator.mapping.dataflow.base import BufferAccesses, Ints
from simulator.mapping.schedule import LayerSchedule, changes

Bools = npt.NDArray[np.bool_]


def buffer_stalls(
    schedule: LayerSchedule,
    accelerator: Accelerator,
    step_cycles: Ints,
    accesses: BufferAccesses | None,
    inputs: dict[Operand, OperandStream],
) -> Ints:
    """Cycles by which the buffers lengthen every step of a layer: what their ports need beyond the array's cycles.

    accesses is None on the vector unit. DMA uses the same ports while the array works: with two tiles or more of an
    operand in a buffer, the next tile comes in evenly over the steps that work on the present one, and the OFM tile
    before leaves evenly over the steps of the next visit. With one tile the array stands still meanwhile. How long DRAM
    is busy is counted for the loads alone.
    """
    if not accelerator.buffers.limited:
        return np.zeros_like(step_cycles)
    sizes = tile_sizes(schedule)
    moved: dict[tuple[Operand, str], Floats] = {}
    dram_ps = np.zeros(len(step_cycles))
    for operand, stream in inputs.items():
        dram_ps = dram_ps + _next_tile(stream.loads, stream.duration_ps)
        if stream.slots > 1:
            moved[operand, "write"] = _next_tile(stream.loads, stream.tile_bytes)
    if accelerator.buffers.copies("ofm") > 1:
        together = sizes.ofm_elements // sizes.k * schedule.residents.size[schedule.steps.m]
        moved["ofm", "read"] = _stored_meanwhile(schedule, accelerator, together)
    transfers = Transfers(moved, dram_ps / accelerator.cycle_ps)
    if accesses is None:
        read = sum((_per_step(inputs[o].loads, inputs[o].tile_bytes) for o in OPERANDS if o in inputs), np.zeros(1))
        elements = np.rint(read * 8 / accelerator.precision.ifm).astype(np.int64)
        needed = vector_port_cycles(accelerator, elements, sizes.ofm_elements, transfers)
    else:
        needed = array_port_cycles(schedule.nest, accelerator, sizes, accesses, transfers)
    return np.asarray(np.maximum(needed - step_cycles, 0), np.int64)


def _per_step(starts: Bools, amounts: Ints) -> Floats:
    """What belongs to each span of steps that begins at one of `starts`, evenly over its steps."""
    first = np.flatnonzero(starts)
    lengths = np.diff(first, append=len(starts))
    return np.repeat(amounts / lengths, lengths)


def _next_tile(loads: Bools, amounts: Ints) -> Floats:
    """What belongs to the next tile, evenly over the steps of the present one."""
    return _per_step(loads, np.append(amounts[1:], 0))


def _stored_meanwhile(schedule: LayerSchedule, accelerator: Accelerator, elements: Ints) -> Floats:
    """Bytes of the OFM tile (or psums) of the visit before that leave at each step."""
    steps, precision = schedule.steps, accelerator.precision
    opens = changes(steps.g, steps.m, steps.s)
    last = steps.c[np.append(opens[1:], True)] == schedule.channels.count - 1
    stored = elements[opens] * np.where(last, precision.ofm, precision.psum) / 8
    return _per_step(opens, np.append(0, stored[:-1]))
