"""Feature maps that stay on chip between layers, in an accelerator file."""

from typing import Self

from pydantic import model_validator

from simulator.hardware.section import Section
from simulator.hardware.units import Bytes, PicojoulesPerByte


class OnChip(Section):
    """Whether feature maps may stay on chip from the layer that makes them to the last one that reads them.

    capacity: of a memory for them alone; without it they lie in what the tiles of each layer leave free in the IFM and
    OFM buffers. read_energy, write_energy: picojoules per byte of that memory; left out, they follow from its capacity
    (docs/architecture.md).
    """

    feature_maps: bool = False
    capacity: Bytes | None = None
    read_energy: PicojoulesPerByte | None = None
    write_energy: PicojoulesPerByte | None = None

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.capacity is not None and self.capacity <= 0:
            raise ValueError("capacity must be more than 0 B")
        for key in ("read_energy", "write_energy"):
            if self.capacity is None and getattr(self, key) is not None:
                raise ValueError(f"{key} belongs to a memory of its own, with a 'capacity', and there is none")
        return self
