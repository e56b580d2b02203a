"""What each layer moves, by operand, level and direction."""

from dataclasses import dataclass

from simulator.hardware.accelerator import Accelerator
from simulator.hardware.section import OPERANDS, Operand
from simulator.machine.layer_costs import OperandTraffic
from simulator.machine.output_costs import OutputTraffic

ON_CHIP = "on_chip"
"""The operand of traffic with feature maps that stay on chip."""


@dataclass(frozen=True)
class TrafficRow:
    """Bytes that one operand moved at one level in one direction. At level "dram" they are whole bursts."""

    operand: str
    level: str
    direction: str
    bytes: int


@dataclass(frozen=True)
class ArrayElements:
    """Elements that the array reads from and writes to the buffers in a layer."""

    ifm_reads: int = 0
    kernel_reads: int = 0
    psum_reads: int = 0
    psum_writes: int = 0


def traffic_rows(
    accelerator: Accelerator,
    two_activations: bool,
    ifm: OperandTraffic,
    kernel: OperandTraffic,
    output: OutputTraffic,
    flags_moved: tuple[int, int],
    array: ArrayElements | None,
) -> list[TrafficRow]:
    """All rows of a layer. flags_moved are bytes of flags (read, written); array is None on the vector unit.

    Feature maps that stay on chip are an operand of their own there: what is loaded from them and stored to them.
    What is done on the way out takes its other operands straight from memory, past the buffers.
    """
    precision = accelerator.precision
    kernel_bits = precision.ifm if two_activations else precision.kernel

    def size(elements: int, bits: int) -> int:
        return -(-elements * bits // 8)

    read_metadata = ifm.metadata_bytes + kernel.metadata_bytes + output.operands.metadata_bytes
    rows = [
        TrafficRow("ifm", "dram", "read", ifm.value_bytes + output.operands.value_bytes),
        TrafficRow("kernel", "dram", "read", kernel.value_bytes),
        TrafficRow("ofm", "dram", "write", output.ofm.value_bytes),
        TrafficRow("psum", "dram", "read", output.psum_reads.value_bytes),
        TrafficRow("psum", "dram", "write", output.psum_writes.value_bytes),
        TrafficRow("metadata", "dram", "read", read_metadata + flags_moved[0]),
        TrafficRow("metadata", "dram", "write", output.ofm.metadata_bytes + flags_moved[1]),
        TrafficRow("ifm", "buffer", "write", size(ifm.elements, precision.ifm)),
        TrafficRow("kernel", "buffer", "write", size(kernel.elements, kernel_bits)),
        TrafficRow("ofm", "buffer", "read", size(output.drained, precision.ofm)),
    ]
    if accelerator.on_chip.feature_maps:  # which of them stay may differ from image to image, the rows may not
        loaded = ifm.on_chip_bytes + kernel.on_chip_bytes + output.operands.on_chip_bytes
        rows += [
            TrafficRow(ON_CHIP, "buffer", "read", loaded),
            TrafficRow(ON_CHIP, "buffer", "write", output.ofm.on_chip_bytes),
        ]
    if array is None:
        return [
            *rows,
            TrafficRow("ifm", "buffer", "read", size(ifm.elements, precision.ifm)),
            TrafficRow("ofm", "buffer", "write", size(output.ofm.elements, precision.ofm)),
        ]
    fetched, spilled = output.psum_reads.elements, output.psum_writes.elements
    return [
        *rows,
        TrafficRow("ifm", "buffer", "read", size(array.ifm_reads, precision.ifm)),
        TrafficRow("kernel", "buffer", "read", size(array.kernel_reads, kernel_bits)),
        TrafficRow("psum", "buffer", "write", size(array.psum_writes + fetched, precision.psum)),
        TrafficRow("psum", "buffer", "read", size(array.psum_reads + spilled, precision.psum)),
    ]


def buffer_bytes(rows: list[TrafficRow]) -> dict[tuple[Operand, str], int]:
    """Bytes that pass each operand's buffer, by (operand, direction); psums live in the OFM's."""
    homes: dict[str, Operand] = {**{operand: operand for operand in OPERANDS}, "psum": "ofm"}
    totals: dict[tuple[Operand, str], int] = {}
    for row in rows:
        if row.level == "buffer" and row.operand != ON_CHIP:
            key = (homes[row.operand], row.direction)
            totals[key] = totals.get(key, 0) + row.bytes
    return totals


def on_chip_bytes(rows: list[TrafficRow]) -> tuple[int, int]:
    """Bytes read from and written to feature maps that stay on chip."""
    reads, writes = (
        sum(row.bytes for row in rows if row.operand == ON_CHIP and row.direction == direction)
        for direction in ("read", "write")
    )
    return reads, writes
