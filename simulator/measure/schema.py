"""What a measurement file holds: JSON, checked when it is read and before it is written."""

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from simulator.errors import InputError
from simulator.validated import validated
from simulator.whole_file import whole_file

FORMAT: Literal[1] = 1

_DIGITS = 6
_INNERMOST = re.compile(r"\{[^{}]*\}")

Precision = Literal["fp32", "tf32", "fp16", "bf16"]
Variant = Literal["eager", "channels_last", "compile", "graph"]
"""How a network runs: as PyTorch does by itself; with channels innermost; through `torch.compile`; or its eager kernels
captured in a CUDA graph and replayed, without the host."""

Statistic = Literal["median", "least"]
Microseconds = Annotated[float, Field(gt=0)]

BITS: dict[Precision, int] = {"fp32": 32, "tf32": 32, "fp16": 16, "bf16": 16}
"""The width of an element in memory."""


class Record(BaseModel):
    """A part of the file: unknown keys are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Spread(Record):
    """Repeated readings: median, lower and upper quartile, the least, and how many there were."""

    median: Microseconds
    lower: Microseconds
    upper: Microseconds
    least: Microseconds
    samples: Annotated[int, Field(ge=1)]

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if not self.least <= self.lower <= self.median <= self.upper:
            raise ValueError(
                f"expected least ≤ lower ≤ median ≤ upper, found {self.least:g}, {self.lower:g}, {self.median:g} and "
                f"{self.upper:g}"
            )
        return self

    def value(self, statistic: Statistic) -> float:
        """The median, or the least: what other work on the machine disturbed least."""
        return self.median if statistic == "median" else self.least

    @staticmethod
    def of(readings: Sequence[float]) -> "Spread":
        """The spread of readings in microseconds."""
        ordered = sorted(readings)

        def at(share: float) -> float:
            place = share * (len(ordered) - 1)
            below = int(place)
            above = min(below + 1, len(ordered) - 1)
            return ordered[below] + (ordered[above] - ordered[below]) * (place - below)

        median, lower, upper, least = (float(f"{at(share):.{_DIGITS}g}") for share in (0.5, 0.25, 0.75, 0))
        return Spread(median=median, lower=lower, upper=upper, least=least, samples=len(ordered))


class Device(Record):
    """The machine: its name and clocks in MHz as it states them, versions of libraries, and settings of the run.

    clock_mhz: readings by name ("nominal", "before", "after"), none where the machine does not tell. load: processes
    that wanted a core, on average, when the run began and when it ended, where the machine tells.
    """

    kind: Literal["cpu", "cuda"]
    name: str
    threads: int | None = None
    clock_mhz: dict[str, float] = Field(default_factory=dict)
    libraries: dict[str, str] = Field(default_factory=dict)
    settings: dict[str, str] = Field(default_factory=dict)
    load: tuple[float, float] | None = None


class Ceiling(Record):
    """What the device reaches at best, measured in the same session.

    name: `copy_bandwidth` (bytes read and written per second; size_bytes: of what is copied), `matrix_rate`
    (multiply-accumulates per second, at a precision), `element_rate` (elements per second through an element-wise
    operator, size_bytes of them), `batch_norm_rate` and `pooling_rate` (elements of feature maps per second, of a batch
    norm and of a max pooling of 2×2), `rearranging_rate` (bytes of feature maps that get their channels innermost per
    second) and `launch` or `convolution_launch` (seconds of an operator with hardly any work). Of a GPU also
    `own_launch` and `own_convolution_launch`, read as operators of networks are, without waiting for the host; and the
    seconds from one such operator to the next in a row of them: `issue`, `convolution_issue` and `batch_norm_issue` as
    the host gives them, `replay` as a CUDA graph of ReLUs does.
    """

    name: Literal[
        "copy_bandwidth",
        "matrix_rate",
        "element_rate",
        "batch_norm_rate",
        "pooling_rate",
        "rearranging_rate",
        "launch",
        "convolution_launch",
        "own_launch",
        "own_convolution_launch",
        "issue",
        "convolution_issue",
        "batch_norm_issue",
        "replay",
    ]
    value: Annotated[float, Field(gt=0)]
    unit: Literal["B/s", "MAC/s", "elements/s", "s"]
    precision: Precision = "fp32"
    size_bytes: int | None = None
    latency_us: Spread


class OperatorTime(Record):
    """One operator of a network: the layer that it is in the trace ("layer1.0.conv1", "layer1.0.conv1/relu").

    dram_bytes: from hardware counters, None where none were read.
    """

    name: str
    operator: str
    latency_us: Spread
    dram_bytes: Annotated[int, Field(ge=0)] | None = None


class NetworkRun(Record):
    """A network at a batch, precision and variant: latency of the whole, and of every operator in eager runs.

    weights: "random" or the file that they came from. macs: of the batch. operators stand in the order of execution and
    were read inside the running network, so that caches hold what they hold there.
    """

    network: str
    batch: Annotated[int, Field(ge=1)]
    precision: Precision
    variant: Variant
    weights: str
    macs: int
    warm_up: int
    latency_us: Spread
    operators: tuple[OperatorTime, ...] = ()
    dram_bytes: Annotated[int, Field(ge=0)] | None = None


class ZeroRun(Record):
    """A kernel on operands with zeros: dense kernels of the library, and those of `torch.sparse`.

    kernel: what ran; zeros_in: the operand that has zeros. zeros: their share. whole: whether whole feature maps are
    zero, or elements anywhere. precision: of the operands.
    """

    kernel: str
    size: str
    batch: Annotated[int, Field(ge=1)]
    zeros_in: Literal["ifm", "kernel"]
    zeros: Annotated[float, Field(ge=0, le=1)]
    whole: bool = False
    precision: Precision = "fp32"
    latency_us: Spread


class Measurement(Record):
    """A session on one device."""

    format: Literal[1] = FORMAT
    fmapsim: str
    taken: str
    command: str
    device: Device
    ceilings: tuple[Ceiling, ...]
    networks: tuple[NetworkRun, ...] = ()
    zeros: tuple[ZeroRun, ...] = ()

    def ceiling(self, name: str, precision: Precision = "fp32", size_bytes: int | None = None) -> float | None:
        """The value of a ceiling, of the largest size unless one is named; None where it was not measured."""
        found = [item for item in self.ceilings if item.name == name and item.precision == precision]
        if size_bytes is not None:
            found = [item for item in found if item.size_bytes == size_bytes]
        return max(found, key=lambda item: item.size_bytes or 0).value if found else None


def write_measurement(measurement: Measurement, path: Path) -> None:
    """Writes the file, whole or not at all; one line for each spread. Raises InputError when its folder cannot be
    written."""
    text = json.dumps(measurement.model_dump(mode="json", exclude_defaults=True) | {"format": FORMAT}, indent=1)
    text = _INNERMOST.sub(lambda found: re.sub(r"\n *", " ", found[0]), text)
    with whole_file(path) as temporary:
        temporary.write_text(text + "\n", encoding="utf-8")


def read_measurement(path: str | Path) -> Measurement:
    """The measurement in a file. Raises InputError when it is missing, is not JSON, or has another form."""
    try:
        data: Any = json.loads(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"{path}: no such measurement file") from None
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: not a measurement file ({error})") from None
    if isinstance(data, dict) and data.get("format") != FORMAT:
        raise InputError(f"{path}: format {data.get('format')}, expected {FORMAT} (made by `fmapsim measure`)")
    try:
        return validated(Measurement, data)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "the file"
        raise InputError(f"{path}: {where}: {first['msg']}") from None
