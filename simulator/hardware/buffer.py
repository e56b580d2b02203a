"""The on-chip buffers of an accelerator file."""

from typing import Self

from pydantic import model_validator

from simulator.hardware.section import OPERANDS, Operand, Section
from simulator.hardware.units import Bytes, PicojoulesPerByte


class Buffer(Section):
    """An SRAM buffer, either of its own (`capacity`) or part of another operand's (`shared_with`).

    capacity: bytes. read_energy, write_energy: picojoules per byte; left out, they follow from the capacity
    (docs/architecture.md).
    """

    capacity: Bytes | None = None
    shared_with: Operand | None = None
    double_buffered: bool = True
    read_energy: PicojoulesPerByte | None = None
    write_energy: PicojoulesPerByte | None = None

    @model_validator(mode="after")
    def _check(self) -> Self:
        if (self.capacity is None) == (self.shared_with is None):
            found = "neither" if self.capacity is None else "both"
            raise ValueError(f"expected either 'capacity' or 'shared_with', found {found}")
        if self.capacity is not None and self.capacity <= 0:
            raise ValueError("capacity must be more than 0 B")
        if self.shared_with is not None and (self.read_energy is not None or self.write_energy is not None):
            raise ValueError("a shared buffer takes its energy from the buffer that it shares")
        return self


class Buffers(Section):
    """One buffer per operand; the OFM buffer also holds the psums."""

    ifm: Buffer
    kernel: Buffer
    ofm: Buffer

    def home(self, operand: Operand) -> Operand:
        """The operand whose buffer really holds `operand`: itself, or the one it shares with."""
        shared: Operand | None = getattr(self, operand).shared_with
        return operand if shared is None else shared

    def of(self, operand: Operand) -> Buffer:
        """The physical buffer that holds `operand`."""
        buffer: Buffer = getattr(self, self.home(operand))
        return buffer

    @model_validator(mode="after")
    def _check(self) -> Self:
        for operand in OPERANDS:
            buffer: Buffer = getattr(self, operand)
            if buffer.shared_with is not None:
                owner: Buffer = getattr(self, buffer.shared_with)
                if buffer.shared_with == operand or owner.shared_with is not None:
                    raise ValueError(f"{operand}.shared_with must name an operand that has a buffer of its own")
        return self
