"""Constants of a device, fitted to some of the layers measured on it by least squares in the logarithm of time."""

import math
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from simulator.errors import InputError
from simulator.hardware.accelerator import Accelerator
from simulator.measure.crosscheck import layer_rows, simulated_layers
from simulator.measure.schema import Measurement, Statistic

MOST = 4
"""Constants that may be fitted for a device: more would begin to describe single layers."""

_STEP, _ROUNDS, _CLOSE = 0.25, 6, 0.01

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Constant:
    """A number of an accelerator file that is fitted: its key, where to begin, its unit if it has one, and its limit.

    whole: whether the file takes only whole numbers. entry: of a key that holds numbers by name, which of them.
    """

    key: str
    start: float
    unit: str = ""
    most: float = math.inf
    whole: bool = False
    entry: str | None = None

    @property
    def name(self) -> str:
        """The key, with the entry."""
        return self.key if self.entry is None else f"{self.key}.{self.entry}"

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
    """values by key; error: the root of the mean square of ln(simulated / measured) over `layers`, before and after."""

    values: Mapping[str, float]
    layers: tuple[tuple[str, int, str], ...]
    error_before: float
    error: float


def fit(
    measurement: Measurement,
    hardware: Accelerator | str | Path,
    constants: Collection[Constant],
    networks: Collection[str],
    statistic: Statistic = "median",
    progress: Callable[[str], None] | None = None,
) -> Fit:
    """The values at which the eager layers of `networks` agree best; steps of Gauss and Newton in logarithms.

    Raises InputError for more constants than MOST, and for networks whose layers were not measured.
    """
    chosen = list(constants)
    if not 1 <= len(chosen) <= MOST:
        raise InputError(f"{len(chosen)} constants to fit, expected 1 to {MOST}")
    runs = [run for run in measurement.networks if run.network in networks and run.variant == "eager"]
    for name in networks:
        if not any(run.network == name and run.operators for run in runs):
            raise InputError(f"no layers of '{name}' were measured, so nothing can be fitted to them")
    layers: list[tuple[str, int, str]] = []

    def residuals(logarithms: Floats) -> Floats:
        values = zip(chosen, logarithms, strict=True)
        changes = {constant.key: constant.written(math.exp(value)) for constant, value in values}
        layers.clear()
        parts = []
        for run in runs:
            rows = layer_rows(run, simulated_layers(run, hardware, changes), True, statistic)
            layers.extend((run.network, run.batch, name) for name in rows["layer"])
            parts.append(np.log(rows["ratio"].to_numpy(np.float64)))
        return np.concatenate(parts)

    most = np.log([constant.most for constant in chosen])
    place = np.minimum(np.log([constant.start for constant in chosen]), most)
    left = residuals(place)
    before = _root_mean_square(left)
    for _ in range(_ROUNDS):
        slopes = []
        for number in range(len(chosen)):
            moved = place.copy()
            moved[number] -= _STEP
            slopes.append((residuals(moved) - left) / -_STEP)
        step = np.asarray(np.linalg.lstsq(np.column_stack(slopes), -left, rcond=None)[0], np.float64)
        place, left, improved = _shortened(residuals, place, left, step, most)
        if progress is not None:
            found = ", ".join(f"{c.name} {c.written(math.exp(v))}" for c, v in zip(chosen, place, strict=True))
            progress(f"{found}: error {_root_mean_square(left):.4f}")
        if not improved or np.max(np.abs(step)) < _CLOSE:
            break
    values = {constant.name: math.exp(value) for constant, value in zip(chosen, place, strict=True)}
    return Fit(values, tuple(layers), before, _root_mean_square(left))


def _shortened(
    residuals: Callable[[Floats], Floats], place: Floats, left: Floats, step: Floats, most: Floats
) -> tuple[Floats, Floats, bool]:
    """The place after the step, its half or its quarter, the first that makes the error smaller; else as it was."""
    for share in (1.0, 0.5, 0.25):
        moved = np.minimum(place + share * step, most)
        found = residuals(moved)
        if _root_mean_square(found) < _root_mean_square(left):
            return moved, found, True
    return place, left, False


def _root_mean_square(values: Floats) -> float:
    return float(np.sqrt(np.mean(values**2)))
