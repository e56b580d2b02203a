"""The model beside cycle-accurate simulators: rows of a CSV file, each a pattern on a device with the time it took.

Columns: sim (whose controller: `dramsim3` or `ramulator2`), cfg (the device), map (the address map), pat (seq, stride,
rand, rwmix, tri), load (`sat`: as fast as it goes; `half`: at half the peak), nbytes_req or bytes (how much), ns (the
time); and what the pattern needs: op (r or w), chunk, stride, ratio, skew (0 or 1).
"""

import csv
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from simulator.dram.address_map import address_map
from simulator.dram.patterns import SPAN, Kind, Pattern, runs_of
from simulator.dram.traffic import play_runs
from simulator.errors import InputError
from simulator.hardware.dram_device import CONTROLLERS, DramDevice, device_names, load_device
from simulator.resources import shipped_folder

LOADS = {"sat": 1.0, "half": 0.5}
PATTERNS: dict[str, tuple[Kind, tuple[str, ...]]] = {
    "seq": ("seq", ("op",)),
    "stride": ("stride", ("stride",)),
    "rand": ("random", ("op", "chunk")),
    "rwmix": ("mix", ("chunk", "ratio", "skew")),
    "tri": ("streams", ("chunk", "skew")),
}
"""The patterns by their names in files, and the columns that each needs."""

_LIMITS = {"chunk": SPAN, "stride": SPAN, "ratio": 1000, "nbytes_req": 1 << 32, "bytes": 1 << 32}
_COLUMNS = ("sim", "cfg", "map", "pat", "load", "ns", "op", "chunk", "stride", "ratio", "skew")


@dataclass(frozen=True)
class ReferenceRow:
    """A measured row: its line in the file, its values as they stand there, and what they mean."""

    line: int
    values: dict[str, str]
    device: DramDevice
    pattern: Pattern
    total_bytes: int
    nanoseconds: float

    @property
    def load(self) -> str:
        """`sat` or `half`."""
        return self.values["load"]


@dataclass(frozen=True)
class ComparedRow:
    """A row with what the model says to it. Percentages of peak count every burst whole."""

    row: ReferenceRow
    nanoseconds: float
    percent: float
    reference_percent: float

    @property
    def error(self) -> float:
        """Of the total time, in percent: positive where the model is slower."""
        return 100 * (self.nanoseconds / self.row.nanoseconds - 1)


@dataclass(frozen=True)
class Errors:
    """Absolute errors of the total time in percent: their mean and the largest."""

    mape: float
    worst: float
    rows: int

    @classmethod
    def of(cls, compared: Sequence[ComparedRow]) -> "Errors":
        """The errors of one or more rows."""
        errors = [abs(found.error) for found in compared]
        return cls(sum(errors) / len(errors), max(errors), len(errors))


def read_reference(path: Path) -> list[ReferenceRow]:
    """The rows of a file. Raises InputError that names line, column, what was found and what was expected."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise InputError(f"{path}: not UTF-8 text") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or error})") from None
    reader = csv.DictReader(text.splitlines(), strict=True)
    try:
        names = list(reader.fieldnames or [])
        missing = [name for name in _COLUMNS if name not in names]
        if "nbytes_req" not in names and "bytes" not in names:
            missing.append("bytes")
        if not names:
            raise InputError(f"{path}: the file is empty")
        if missing:
            raise InputError(f"{path}:1: column '{missing[0]}' is missing (expected {', '.join(_COLUMNS)}, bytes)")
        rows = [_row(path, reader.line_num, values) for values in reader]
    except csv.Error as error:
        raise InputError(f"{path}:{reader.line_num}: not valid CSV ({error})") from None
    if not rows:
        raise InputError(f"{path}: no rows below the header")
    return rows


def compare(row: ReferenceRow) -> ComparedRow:
    """Runs the model on a row."""
    device = row.device
    runs = runs_of(row.pattern, row.total_bytes, device.organisation.burst)
    mapping = address_map(row.values["map"], device.organisation)
    played = play_runs(device, CONTROLLERS[row.values["sim"]], mapping, runs, LOADS[row.load])
    moved = played.bursts * device.organisation.burst
    reference = 1e11 * moved / (device.bandwidth * row.nanoseconds)
    return ComparedRow(row, played.nanoseconds, 100 * played.share_of_peak, reference)


def _row(path: Path, line: int, values: dict[str | Any, Any]) -> ReferenceRow:
    if None in values or None in values.values():
        raise InputError(f"{path}:{line}: expected as many values as there are columns")

    def wrong(column: str, expected: str) -> InputError:
        return InputError(f"{path}:{line}: {column}: expected {expected}, found '{values[column]}'")

    def one_of(column: str, known: Sequence[str]) -> str:
        if values[column] not in known:
            raise wrong(column, f"one of {', '.join(known)}")
        return str(values[column])

    sim = one_of("sim", list(CONTROLLERS))
    one_of("load", list(LOADS))
    device = _device(sim, values["cfg"])
    if device is None:
        raise wrong("cfg", f"a DRAM that {sim} was run with or a preset ({', '.join(device_names())})")
    try:
        address_map(values["map"], device.organisation)
    except InputError as error:
        raise InputError(f"{path}:{line}: map: {error}") from None
    pattern = _pattern(one_of, wrong, values)
    amount = "nbytes_req" if values.get("nbytes_req") else "bytes"
    return ReferenceRow(line, values, device, pattern, _whole(wrong, values, amount), _time(wrong, values["ns"]))


def _pattern(
    one_of: Callable[[str, Sequence[str]], str], wrong: Callable[[str, str], InputError], values: dict[str, str]
) -> Pattern:
    kind, needed = PATTERNS[one_of("pat", list(PATTERNS))]
    chosen: dict[str, Any] = {}
    for column in needed:
        if column == "op":
            chosen["writes"] = one_of(column, ("r", "w")) == "w"
        elif column == "skew":
            chosen["skew"] = one_of(column, ("0", "1")) == "1"
        else:
            chosen[column] = _whole(wrong, values, column)
    return Pattern(kind, **chosen)


def _whole(wrong: Callable[[str, str], InputError], values: dict[str, str], column: str) -> int:
    text, limit = values.get(column, ""), _LIMITS[column]
    if not (text.isascii() and text.isdigit() and len(text) < 12 and 0 < int(text) <= limit):
        raise wrong(column, f"a whole number from 1 to {limit}")
    return int(text)


def _time(wrong: Callable[[str, str], InputError], text: str) -> float:
    try:
        nanoseconds = float(text)
    except ValueError:
        nanoseconds = math.nan
    if not 0 < nanoseconds < math.inf:
        raise wrong("ns", "a time above 0")
    return nanoseconds


@lru_cache(maxsize=64)
def _device(sim: str, cfg: str) -> DramDevice | None:
    """The device as the simulator was run with it, else the preset, else None."""
    own = shipped_folder("hwconfigs") / "dram" / sim
    if cfg in {path.stem for path in own.glob("*.yaml")}:
        return load_device(own / f"{cfg}.yaml")
    return load_device(cfg) if cfg in device_names() else None
