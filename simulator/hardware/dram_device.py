"""A DRAM standard as a file describes it: organisation, timing, commands and energy of one memory.

The files lie in `hwconfigs/dram/`, one for each speed grade, with the source of its numbers.
"""

from functools import lru_cache
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, Field, ValidationError, model_validator

from simulator.errors import InputError
from simulator.hardware.section import Positive, Section, not_bool
from simulator.hardware.units import Bytes, Milliwatts, Picojoules, PicojoulesPerByte, Picoseconds
from simulator.hardware.yaml_file import read_yaml
from simulator.resources import shipped_folder
from simulator.validated import validated

Clocks = Annotated[int, BeforeValidator(not_bool), Field(ge=0, le=1 << 30)]
MAX_CHANNELS = 64
MAX_COLUMNS = 4096


def _power_of_two(value: int) -> bool:
    return value > 0 and value & (value - 1) == 0


class Organisation(Section):
    """How many of everything there are. banks: in one bank group; row, burst: bytes of one (pseudo-)channel."""

    channels: Positive
    pseudo_channels: Positive = 1
    bank_groups: Positive
    banks: Positive
    rows: Positive = 1 << 16
    row: Bytes
    burst: Bytes

    @model_validator(mode="after")
    def _check(self) -> Self:
        for name, value in self.model_dump().items():
            if not _power_of_two(value):
                raise ValueError(f"{name} must be a power of two, found {value}")
        if self.row < self.burst:
            raise ValueError(f"row ({self.row} B) must hold at least one burst ({self.burst} B)")
        if self.pseudo_channels * self.bank_groups * self.banks > 64:
            raise ValueError("a channel has at most 64 banks, pseudo-channels together")
        if self.channels > MAX_CHANNELS:
            raise ValueError(f"channels must be at most {MAX_CHANNELS}, found {self.channels}")
        if self.row // self.burst > MAX_COLUMNS:
            raise ValueError(f"row ({self.row} B) must hold at most {MAX_COLUMNS} bursts ({self.burst} B)")
        return self


class DramTiming(Section):
    """Times in clocks, by JEDEC's names; `clock` is the period of the command clock in picoseconds.

    BL: clocks that a burst keeps the data pins busy. tRTW: read command to write command.
    """

    clock: Picoseconds
    BL: Positive
    CL: Clocks
    CWL: Clocks
    tRCDRD: Clocks
    tRCDWR: Clocks
    tRP: Clocks
    tRAS: Clocks
    tRTP: Clocks
    tWR: Clocks
    tCCD_S: Clocks
    tCCD_L: Clocks
    tRRD_S: Clocks
    tRRD_L: Clocks
    tFAW: Clocks
    tWTR_S: Clocks
    tWTR_L: Clocks
    tRTW: Clocks
    tRFC: Clocks
    tREFI: Positive

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.clock <= 0:
            raise ValueError("clock must be more than 0 ps")
        busy = self.tRFC + self.tRP + max(self.tRAS, self.tRCDRD, self.tRCDWR)
        if self.tREFI <= busy:
            raise ValueError(f"tREFI ({self.tREFI}) must be more than tRFC + tRP + tRAS or tRCD, the longer ({busy})")
        return self


class Commands(Section):
    """What the command bus does.

    activate_slots, precharge_slots: clocks that an activate and a precharge keep it busy; 0 for a command that fits
    into the half clocks that others leave. split_activate: an activate is two commands, the second at most so many
    clocks after the first (0: one command). separate_row_bus: activates and precharges have a bus of their own.
    data_clock: clocks for which the data clock runs on after a burst, when it has to be started again by a command
    (0: it always runs).
    """

    activate_slots: Positive = 1
    precharge_slots: Clocks = 1
    split_activate: Clocks = 0
    separate_row_bus: bool = False
    data_clock: Clocks = 0


class DramEnergy(Section):
    """Energy of one (pseudo-)channel.

    activate: per row opened, with its precharge. read, write: per byte. refresh: of all its banks, once. background:
    power of one channel. estimate: no published source for this device.
    """

    activate: Picojoules
    read: PicojoulesPerByte
    write: PicojoulesPerByte
    refresh: Picojoules = 0.0
    background: Milliwatts = 0.0
    estimate: bool = False


class DramDevice(Section):
    """A memory: `name` as in its file's name. mapping: the address map that suits it, see `dram/address_map.py`."""

    name: str
    description: str
    organisation: Organisation
    timing: DramTiming
    commands: Commands = Commands.unchecked()
    mapping: str = "hybrid"
    energy: DramEnergy

    @property
    def bandwidth(self) -> float:
        """Peak bytes per second of all channels."""
        organisation, timing = self.organisation, self.timing
        pins = organisation.channels * organisation.pseudo_channels
        return pins * organisation.burst / (timing.BL * timing.clock) * 1e12


class Controller(Section):
    """Queues and policy of the memory controllers. Entries are bursts.

    queues: `shared` takes the oldest command that is ready over all banks, `banked` gives every bank a queue of
    `bank_queue` entries and lets banks take turns. Writes go once more than `write_high` wait (`banked`: that many or
    more) and, where shared, until fewer than `write_low` are left; where banked, also when more than `write_low` wait
    and no command is queued. hit_limit: row hits after which a waiting request may close the row (`banked`).
    """

    queues: Literal["shared", "banked"]
    read_queue: Positive = 32
    write_queue: Positive = 32
    bank_queue: Clocks = 0
    write_high: Positive
    write_low: Clocks
    hit_limit: Clocks = 0

    @model_validator(mode="after")
    def _check(self) -> Self:
        if (self.queues == "banked") != (self.bank_queue > 0):
            raise ValueError("'bank_queue' belongs to queues: banked, and queues: banked needs it")
        if self.write_high > self.write_queue:
            raise ValueError(f"write_high ({self.write_high}) must not be more than write_queue ({self.write_queue})")
        return self


CONTROLLERS: dict[str, Controller] = {
    # CMU-SAFARI/ramulator2: buffers of 32 entries, watermarks 0.8 and 0.2 of them
    "ramulator2": Controller.unchecked(queues="shared", write_high=25, write_low=7),
    # umd-memsys/DRAMsim3: 32 transactions each way, 8 commands per bank, 4 hits before a row may be taken away
    "dramsim3": Controller.unchecked(queues="banked", bank_queue=8, write_high=32, write_low=8, hit_limit=4),
}
"""The controllers of the two simulators that the model is held against, by name."""


def device_names() -> list[str]:
    """Names of the shipped DRAM standards, sorted."""
    return sorted(path.stem for path in (shipped_folder("hwconfigs") / "dram").glob("*.yaml"))


def device_path(name_or_path: str | Path) -> Path:
    """The YAML file of a shipped standard's name, or the path itself when it names a file. Raises InputError."""
    path = Path(name_or_path)
    if path.suffix in (".yaml", ".yml") or path.is_file():
        if not path.is_file():
            raise InputError(f"{path}: no such DRAM file")
        return path
    shipped = shipped_folder("hwconfigs") / "dram" / f"{name_or_path}.yaml"
    if shipped.is_file():
        return shipped
    from simulator.hardware.validation import did_you_mean  # only mistakes need it

    names = device_names()
    raise InputError(
        f"DRAM '{name_or_path}' is neither a file nor a preset (presets: {', '.join(names)})"
        f"{did_you_mean(str(name_or_path), names)}"
    )


def load_device(name_or_path: str | Path | DramDevice) -> DramDevice:
    """The DRAM of a shipped standard's name or of a YAML file; a `DramDevice` comes back as it is.

    Raises InputError that names file, line, key, what was found and what was expected.
    """
    if isinstance(name_or_path, DramDevice):
        return name_or_path
    path = device_path(name_or_path)
    return _load(path, path.stat().st_mtime_ns)


@lru_cache(maxsize=64)
def _load(path: Path, _modified_ns: int) -> DramDevice:
    document = read_yaml(path, "a DRAM", "keys such as 'organisation:' and 'timing:'")
    try:
        return validated(DramDevice, document.data)
    except ValidationError as error:
        from simulator.hardware.validation import problems_text  # only mistakes need it

        raise InputError(problems_text(error, DramDevice, document)) from None
