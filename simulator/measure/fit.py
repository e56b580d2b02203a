"""Constants of a device, fitted to some of the layers measured on it by least squares in the logarithm of time."""

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt

from simulator.errors import InputError
from simulator.hardware.accelerator import Accelerator
from simulator.machine.workers import in_processes
from simulator.measure.crosscheck import layer_rows, marks_us, simulated_layers
from simulator.measure.schema import Measurement, NetworkRun, Precision, Statistic

MOST = 4
"""Constants that may be fitted for a device: more would begin to describe single layers."""

_STEP, _ROUNDS, _CLOSE, _SMALL = 0.25, 6, 0.01, 0.05

Floats = npt.NDArray[np.float64]
Hardware = Accelerator | str | Path


@dataclass(frozen=True)
class Constant:
    """A number of an accelerator file that is fitted: its key, where to begin, its unit if it has one, and its limit.

    whole: whether the file takes only whole numbers. entry: of a key that holds numbers by name, which of them. scales:
    by precision, what the number is multiplied with in the file for that precision; it is not set in files for others.
    Without scales all files take it as it is.
    """

    key: str
    start: float
    unit: str = ""
    most: float = math.inf
    whole: bool = False
    entry: str | None = None
    scales: Mapping[Precision, float] | None = None

    @property
    def name(self) -> str:
        """The key, with the entry."""
        return self.key if self.entry is None else f"{self.key}.{self.entry}"

    def changes(self, value: float, precision: Precision) -> dict[str, object]:
        """What the value sets in the file for a precision."""
        if self.scales is None:
            return {self.key: self.written(value)}
        scale = self.scales.get(precision)
        return {} if scale is None else {self.key: self.written(scale * value)}

    def written(self, value: float) -> object:
        """The value as the file has it."""
        number: object = float(f"{value:.6g}")
        if self.whole:
            number = max(1, round(value))
        elif self.unit:
            number = f"{value:.6g} {self.unit}"
        return number if self.entry is None else {self.entry: number}


@dataclass(frozen=True)
class Fit:
    """values by key; error: of ln(simulated / measured) over the layers of `runs` (network, batch, precision), the root
    of the mean square, or of a robust fit the mean size, before and after."""

    values: Mapping[str, float]
    runs: tuple[tuple[str, int, Precision], ...]
    error_before: float
    error: float


def fit(
    measurement: Measurement,
    hardware: Hardware | Mapping[Precision, Hardware],
    constants: Collection[Constant],
    networks: Collection[str],
    statistic: Statistic = "median",
    progress: Callable[[str], None] | None = None,
    by_time: bool = False,
    robust: bool = False,
    workers: int = 1,
) -> Fit:
    """The values at which the eager layers of `networks` agree best; steps of Gauss and Newton in logarithms.

    hardware: the file of the device, or one for each precision at which it was measured. by_time: whether
    a layer counts by its share of its network's measured time, and not each like any other. robust: whether
    errors count as they are, not squared, so that the few layers which a library runs in a way of its own pull less
    (steps of least squares, each error over the root of its size). workers: processes that simulate.

    Raises InputError for more constants than MOST, and for networks whose layers were not measured.
    """
    chosen = list(constants)
    if not 1 <= len(chosen) <= MOST:
        raise InputError(f"{len(chosen)} constants to fit, expected 1 to {MOST}")
    runs = [run for run in measurement.networks if run.network in networks and run.variant == "eager"]
    for name in networks:
        if not any(run.network == name and run.operators for run in runs):
            raise InputError(f"no layers of '{name}' were measured, so nothing can be fitted to them")
    marks = marks_us(measurement)

    def residuals(logarithms: Floats) -> Floats:
        values = [math.exp(value) for value in logarithms]
        work = partial(_residuals, chosen, values, hardware, statistic, marks, by_time)
        return np.concatenate(list(in_processes(work, runs, workers) if workers > 1 else map(work, runs)))

    most = np.log([constant.most for constant in chosen])
    place = np.minimum(np.log([constant.start for constant in chosen]), most)
    left = residuals(place)
    size = _mean if robust else _root_mean_square
    before = size(left)
    for _ in range(_ROUNDS):
        slopes = []
        for number in range(len(chosen)):
            moved = place.copy()
            moved[number] -= _STEP
            slopes.append((residuals(moved) - left) / -_STEP)
        weights = 1 / np.sqrt(np.maximum(np.abs(left), _SMALL)) if robust else np.ones(1)
        step = np.linalg.lstsq(np.column_stack(slopes) * weights[:, None], -left * weights, rcond=None)[0]
        place, left, improved = _shortened(residuals, place, left, np.asarray(step, np.float64), most, size)
        if progress is not None:
            found = ", ".join(f"{c.name} {c.written(math.exp(v))}" for c, v in zip(chosen, place, strict=True))
            progress(f"{found}: error {size(left):.4f}")
        if not improved or np.max(np.abs(step)) < _CLOSE:
            break
    values = {constant.name: math.exp(value) for constant, value in zip(chosen, place, strict=True)}
    return Fit(values, tuple((run.network, run.batch, run.precision) for run in runs), before, size(left))


def _residuals(
    constants: Sequence[Constant],
    values: Sequence[float],
    hardware: Hardware | Mapping[Precision, Hardware],
    statistic: Statistic,
    marks: float,
    by_time: bool,
    run: NetworkRun,
) -> Floats:
    """ln(simulated / measured) of the layers of a run, times the root of their weights, which are 1 on average."""
    changes: dict[str, object] = {}
    for constant, value in zip(constants, values, strict=True):
        changes |= constant.changes(value, run.precision)
    own = hardware[run.precision] if isinstance(hardware, Mapping) else hardware
    rows = layer_rows(run, simulated_layers(run, own, changes), True, statistic, marks)
    apart = np.log(rows["ratio"].to_numpy(np.float64))
    times = rows["measured_us"].to_numpy(np.float64)
    return np.asarray(apart * np.sqrt(times / times.mean()) if by_time else apart, np.float64)


def _shortened(
    residuals: Callable[[Floats], Floats],
    place: Floats,
    left: Floats,
    step: Floats,
    most: Floats,
    size: Callable[[Floats], float],
) -> tuple[Floats, Floats, bool]:
    """The place after the step, its half or its quarter, the first that makes the error smaller; else as it was."""
    for share in (1.0, 0.5, 0.25):
        moved = np.minimum(place + share * step, most)
        found = residuals(moved)
        if size(found) < size(left):
            return moved, found, True
    return place, left, False


def _mean(values: Floats) -> float:
    return float(np.mean(np.abs(values)))


def _root_mean_square(values: Floats) -> float:
    return float(np.sqrt(np.mean(values**2)))
