"""Energy of a layer: action counts times the accelerator's energy table, by component."""

from collections.abc import Mapping
from dataclasses import dataclass

from simulator.hardware.accelerator import Accelerator
from simulator.hardware.section import OPERANDS, Operand
from simulator.hardware.sram_energy import buffer_energy, sram_pj_per_byte

COMPONENTS = (
    "dram",
    "dram_background",
    *(f"{operand}_buffer" for operand in OPERANDS),
    "on_chip_memory",
    "scratch_pads",
    "array_network",
    "mac",
    "mac_gated",
    "post_processing",
    "pruning_unit",
    "codec",
    "clock",
    "leakage",
)


@dataclass(frozen=True)
class PadCounts:
    """Words read from and written to the scratch pads of all PEs in a layer, and psums handed from PE to PE."""

    ifm_reads: int = 0
    ifm_writes: int = 0
    kernel_reads: int = 0
    kernel_writes: int = 0
    psum_reads: int = 0
    psum_writes: int = 0
    psum_hops: int = 0


@dataclass(frozen=True)
class CodedElements:
    """Elements that leave the decoders of feature maps and of kernels in a layer, and that enter the encoder."""

    decoded: int = 0
    kernel_decoded: int = 0
    encoded: int = 0


def on_chip_energy(accelerator: Accelerator) -> tuple[float, float]:
    """Picojoules per byte (read, written) of feature maps that stay on chip; in the buffers those of IFM and OFM."""
    memory, buffers = accelerator.on_chip, accelerator.buffers
    if memory.capacity is None:
        return buffer_energy(buffers.of("ifm"))[0], buffer_energy(buffers.of("ofm"))[1]
    read = sram_pj_per_byte(memory.capacity) if memory.read_energy is None else memory.read_energy
    return read, read if memory.write_energy is None else memory.write_energy


def layer_energy(
    accelerator: Accelerator,
    *,
    dram_pj: float,
    buffer_bytes: Mapping[tuple[Operand, str], int],
    on_chip_bytes: tuple[int, int],
    pads: PadCounts,
    mac_pj: float,
    performed: int,
    gated: int,
    vector_elements: int,
    compared: int,
    accumulated: int,
    coded: CodedElements,
    duration_ps: int,
) -> dict[str, float]:
    """Picojoules of each of COMPONENTS.

    dram_pj is what DRAM takes without its background power, mac_pj one MAC at the widths of the layer's operands.
    buffer_bytes is keyed by (operand, "read" or "write"), on_chip_bytes (read, written) are those of feature maps that
    stay on chip.
    Milliwatts times picoseconds are femtojoules.
    """
    energy = accelerator.energy
    result = dict.fromkeys(COMPONENTS, 0.0)
    result["dram"] = dram_pj
    result["dram_background"] = accelerator.dram.background * duration_ps * 1e-3
    for operand in OPERANDS:
        read_pj, write_pj = buffer_energy(accelerator.buffers.of(operand))
        reads, writes = buffer_bytes.get((operand, "read"), 0), buffer_bytes.get((operand, "write"), 0)
        result[f"{operand}_buffer"] = reads * read_pj + writes * write_pj
    result["on_chip_memory"] = sum(
        size * each for size, each in zip(on_chip_bytes, on_chip_energy(accelerator), strict=True)
    )
    result["scratch_pads"] = _pad_energy(accelerator, pads)
    result["array_network"] = pads.psum_hops * energy.hop
    result["mac"] = performed * mac_pj
    result["mac_gated"] = gated * energy.mac_gated
    result["post_processing"] = vector_elements * energy.post_processing
    result["pruning_unit"] = compared * energy.compare + accumulated * energy.accumulate
    maps, kernels = accelerator.compression.feature_map, accelerator.compression.kernel
    result["codec"] = (
        coded.decoded * maps.decode_energy
        + coded.encoded * maps.encode_energy
        + coded.kernel_decoded * kernels.decode_energy
    )
    result["clock"] = energy.clock * duration_ps * 1e-3
    result["leakage"] = energy.leakage * duration_ps * 1e-3
    return result


def _pad_energy(accelerator: Accelerator, counts: PadCounts) -> float:
    pads = accelerator.array.scratch_pads
    if pads is None:
        return 0.0
    return (
        counts.ifm_reads * pads.ifm.read_energy
        + counts.ifm_writes * pads.ifm.write_energy
        + counts.kernel_reads * pads.kernel.read_energy
        + counts.kernel_writes * pads.kernel.write_energy
        + counts.psum_reads * pads.psum.read_energy
        + counts.psum_writes * pads.psum.write_energy
    )
