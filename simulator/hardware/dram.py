"""The DRAM of an accelerator file."""

from typing import Self

from pydantic import model_validator

from simulator.hardware.section import Section
from simulator.hardware.units import Bytes, BytesPerSecond, Milliwatts, PicojoulesPerByte, Picoseconds


class Dram(Section):
    """The memory behind the buffers.

    bandwidth: bytes per second, data bus of all channels. burst: bytes moved by one access. row: bytes in one open row
    (over all channels). row_miss: picoseconds in which the data bus stands still for a row activation that other banks
    cannot hide. energy: picojoules per byte.
    """

    name: str
    bandwidth: BytesPerSecond
    burst: Bytes
    row: Bytes
    row_miss: Picoseconds
    energy: PicojoulesPerByte
    background: Milliwatts = 0.0

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.bandwidth <= 0:
            raise ValueError("bandwidth must be more than 0 B/s")
        if self.burst <= 0 or self.row <= 0 or self.row % self.burst:
            raise ValueError(f"row ({self.row} B) must be a multiple of burst ({self.burst} B)")
        return self
