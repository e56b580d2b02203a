"""The DRAM of an accelerator file, and the DMA through which all streams reach it."""

from typing import Any, Literal, Self

from pydantic import ConfigDict, Field, JsonValue, SerializerFunctionWrapHandler, model_serializer, model_validator

from simulator.hardware.dram_device import CONTROLLERS, Controller, DramDevice, load_device
from simulator.hardware.section import Positive, Section
from simulator.hardware.units import Bytes, BytesPerSecond, Milliwatts, PicojoulesPerByte, Picoseconds

_FLAT_REQUIRED: list[JsonValue] = ["name", "bandwidth", "burst", "row", "energy"]
_FLAT = ("bandwidth", "burst", "row", "row_miss", "energy", "background")
FLAT_KEYS = ("name", *_FLAT)
"""The keys of a DRAM that is just a bandwidth."""
_STANDARD = ("channels", "mapping", "interleave", "controller", "allocation")


class Dram(Section):
    """The memory behind the buffers: a `standard` that is simulated command by command, or just a bandwidth.

    standard: a name from hwconfigs/dram or a file like those. With it, channels: how many there are, by default as many
    as its file says; mapping: a named address map or one spelled out (docs/memory.md); interleave: bytes after which
    the next channel takes over; controller: `ramulator2`, `dramsim3` or a section of its own; allocation: where tensors
    begin: `staggered` on a new row, each in another bank than the one before it, `aligned` all in the same bank,
    `packed` right behind each other.

    Without it, bandwidth: bytes per second of the data bus. burst: bytes moved by one access. row: bytes in one open
    row. row_miss: picoseconds in which the bus stands still for a row activation that other banks cannot hide. energy:
    picojoules per byte; background: milliwatts. With a standard these follow from its file.
    """

    model_config = ConfigDict(
        json_schema_extra={"required": [], "anyOf": [{"required": ["standard"]}, {"required": [*_FLAT_REQUIRED]}]}
    )

    name: str
    standard: str | None = None
    channels: Positive | None = None
    mapping: str | None = None
    interleave: Bytes = Field(default=256, validate_default=False)
    controller: str | Controller = "ramulator2"
    allocation: Literal["staggered", "aligned", "packed"] = "staggered"
    bandwidth: BytesPerSecond
    burst: Bytes
    row: Bytes
    row_miss: Picoseconds = Field(default=0, validate_default=False)
    energy: PicojoulesPerByte
    background: Milliwatts = 0.0

    @model_validator(mode="before")
    @classmethod
    def _from_standard(cls, data: Any) -> Any:
        if not isinstance(data, dict):
            return data
        standard = data.get("standard")
        if standard is None:
            given = [key for key in _STANDARD if key in data]
            if given:
                raise ValueError(f"'{given[0]}' belongs to a DRAM with a 'standard', and there is none")
            return data
        given = [key for key in _FLAT if key in data]
        if given:
            raise ValueError(f"'{given[0]}' follows from standard: {standard}; expected one or the other")
        device = _with_channels(load_device(str(standard)), data.get("channels"))
        organisation = device.organisation
        derived = {
            "name": device.name,
            "bandwidth": f"{device.bandwidth * (1 - device.timing.tRFC / device.timing.tREFI):.0f} B/s",
            "burst": f"{organisation.burst} B",
            "row": f"{organisation.row * organisation.channels * organisation.pseudo_channels} B",
            "row_miss": "0 ps",
            "energy": f"{device.energy.read} pJ/B",
            "background": f"{device.energy.background * organisation.channels} mW",
        }
        return derived | data

    @model_serializer(mode="wrap")
    def _as_written(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        written = self.written_fields()
        return {key: value for key, value in handler(self).items() if key in written and value is not None}

    def written_fields(self) -> tuple[str, ...]:
        """The keys of a standard or those of a plain bandwidth."""
        left_out = ("standard", *_STANDARD) if self.standard is None else _FLAT
        return tuple(key for key in type(self).model_fields if key not in left_out)

    @property
    def device(self) -> DramDevice | None:
        """The memory that is simulated command by command, None where there is just a bandwidth."""
        return None if self.standard is None else _with_channels(load_device(self.standard), self.channels)

    @property
    def policy(self) -> Controller:
        """The memory controllers."""
        return self.controller if isinstance(self.controller, Controller) else CONTROLLERS[self.controller]

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.bandwidth <= 0:
            raise ValueError("bandwidth must be more than 0 B/s")
        if self.burst <= 0 or self.row <= 0 or self.row % self.burst:
            raise ValueError(f"row ({self.row} B) must be a multiple of burst ({self.burst} B)")
        if isinstance(self.controller, str) and self.controller not in CONTROLLERS:
            known = ", ".join(CONTROLLERS)
            raise ValueError(f"controller: expected one of {known} or a section, found '{self.controller}'")
        if self.channels is not None and self.channels & (self.channels - 1):
            raise ValueError(f"channels must be a power of two, found {self.channels}")
        if self.interleave & (self.interleave - 1):
            raise ValueError(f"interleave must be a power of two, found {self.interleave} B")
        return self


def _with_channels(device: DramDevice, channels: Any) -> DramDevice:
    if not isinstance(channels, int) or isinstance(channels, bool) or channels < 1:
        return device
    organisation = device.organisation.model_copy(update={"channels": channels})
    return device.model_copy(update={"organisation": organisation})


class Dma(Section):
    """How the streams (IFM, kernels, psums, OFM) share the way to a DRAM with a `standard`.

    request: bytes that a stream sends before the next may. outstanding: requests of one stream whose data has not come
    yet. arbitration: `round_robin`, or `priority` in the order of `priority`. prefetch: tiles that a stream may have
    asked for at a time, as far as its buffer has room. prefetch_kernels: whether a layer's first kernel tile comes
    while the layers before it still run, once these have asked for all their loads and leave it room in the buffer.
    prefetch_layers: for how many layers with kernels ahead, one after another; what lies behind a layer with several
    kernel tiles waits for it.
    """

    request: Bytes = Field(default=256, validate_default=False)
    outstanding: Positive = 64
    arbitration: Literal["round_robin", "priority"] = "round_robin"
    priority: tuple[Literal["ifm", "kernel", "psum", "ofm"], ...] = ("ifm", "kernel", "psum", "ofm")
    prefetch: Positive = 1
    prefetch_kernels: bool = False
    prefetch_layers: Positive = 1

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.request <= 0:
            raise ValueError("request must be more than 0 B")
        if sorted(self.priority) != ["ifm", "kernel", "ofm", "psum"]:
            raise ValueError(
                f"priority must name ifm, kernel, psum and ofm once each, found {', '.join(self.priority)}"
            )
        return self
