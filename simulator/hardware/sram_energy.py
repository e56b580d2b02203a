"""Energy of an SRAM access: a buffer's own figures, or by capacity where its file gives none."""

import math
from collections.abc import Collection

from simulator.hardware.accelerator import Accelerator
from simulator.hardware.buffer import Buffer
from simulator.hardware.on_chip import OnChip
from simulator.hardware.section import OPERANDS

# Capacity in bytes, picojoules per 64-bit access; 45 nm. Source: Horowitz, "Computing's energy problem", ISSCC 2014.
HOROWITZ_2014 = ((8 * 1024, 10.0), (32 * 1024, 20.0), (1024 * 1024, 100.0))


def sram_pj_per_byte(capacity_bytes: int) -> float:
    """Picojoules per byte read or written, on a straight line between the table's points in log-log scale.

    Beyond the table's ends the nearest segment goes on.
    """
    points = [(math.log(size), math.log(energy / 8)) for size, energy in HOROWITZ_2014]
    x = math.log(capacity_bytes)
    (x0, y0), (x1, y1) = points[:2] if x < points[1][0] else points[1:]
    return math.exp(y0 + (y1 - y0) * (x - x0) / (x1 - x0))


def buffer_energy(buffer: Buffer) -> tuple[float, float]:
    """Picojoules per byte (read, written) of a physical buffer."""
    assert buffer.capacity is not None
    read = sram_pj_per_byte(buffer.capacity) if buffer.read_energy is None else buffer.read_energy
    return read, read if buffer.write_energy is None else buffer.write_energy


def energies_left_behind(accelerator: Accelerator, changed: Collection[str]) -> list[str]:
    """The settings of SRAM energies that stay what the file says although `changed` changes that memory's capacity.

    changed: the settings that are set anew, such as `buffers.ifm.capacity`; accelerator: with or without them.
    """
    memories: dict[str, Buffer | OnChip] = {f"buffers.{name}": getattr(accelerator.buffers, name) for name in OPERANDS}
    memories["on_chip"] = accelerator.on_chip
    return [
        f"{name}.{key}"
        for name, memory in memories.items()
        for key in ("read_energy", "write_energy")
        if f"{name}.capacity" in changed and getattr(memory, key) is not None and f"{name}.{key}" not in changed
    ]
