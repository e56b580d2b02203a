"""What was measured beside what is simulated: by layer, by network, and for what pruning saves."""

import fnmatch
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from simulator.api import simulate
from simulator.errors import InputError
from simulator.hardware.accelerator import Accelerator
from simulator.hardware.load import load_accelerator
from simulator.machine.workers import in_processes
from simulator.measure.schema import BITS, Measurement, NetworkRun, Precision, Statistic, Variant
from simulator.trace.published import PREFIX, published_budgets, published_trace
from simulator.trace.trace import Trace, network_trace
from simulator.trace.unfold import unfolded

Floats = npt.NDArray[np.float64]

WHOLE_TOLERANCE, RANK, REDUCTION_POINTS, FAR = 0.20, 0.90, 8.0, 2.0
"""What the project asks for: error of a network's latency, rank correlation of its layers, points of a reduction; and
the factor beyond which a layer is listed."""

BOUNDS = {"launch": "overhead_cycles", "work": "compute_cycles", "buffer": "buffer_stall_cycles"}
"""What a layer can be bound by, besides DRAM, with the report's column of it."""


@dataclass(frozen=True, eq=False)
class CrossCheck:
    """Three tables.

    layers: network, batch, precision, layer, operator, kind, measured_us, simulated_us, ratio (simulated over
    measured), bound (what the simulated layer waits for most: launch, work, buffer, dram), measured_dram_bytes (NaN
    where no counters were read), simulated_dram_bytes, fitted (whether constants of the device were fitted to it).
    networks: network, batch, precision, measured_us, simulated_us, error, rank_correlation (of its layers),
    unmatched_us (of operators that are in no layer), measured_dram_bytes, simulated_dram_bytes, fitted. reductions:
    network, pruned, batch, precision, measured_percent, simulated_percent, points (their difference).
    """

    layers: pd.DataFrame
    networks: pd.DataFrame
    reductions: pd.DataFrame

    @property
    def judged(self) -> pd.DataFrame:
        """The networks that nothing was fitted to."""
        return self.networks[~self.networks["fitted"]]

    @property
    def far(self) -> pd.DataFrame:
        """The layers that are off by more than a factor of FAR, the longest first."""
        ratio = self.layers["ratio"]
        found = self.layers[(ratio > FAR) | (ratio < 1 / FAR)]
        return found.sort_values("measured_us", ascending=False)


def crosscheck(
    measurement: Measurement,
    hardware: Accelerator | str | Path,
    *,
    fitted: Collection[str] = (),
    variant: Variant = "eager",
    precision: Precision | None = None,
    statistic: Statistic = "median",
    overrides: Mapping[str, object] | None = None,
    progress: Callable[[int, int], None] | None = None,
    workers: int = 1,
) -> CrossCheck:
    """The runs of one variant beside the simulator's answers; fitted: networks that constants were fitted to.

    precision: of the runs to look at, None for all. statistic: which of its readings stands for a time. workers:
    processes that simulate.

    Raises InputError when there is no such run, or one of `fitted` was not measured.
    """
    runs = _chosen(measurement, variant, precision)
    names = {run.network for run in runs}
    for name in fitted:
        if name not in names:
            raise InputError(f"'{name}' was not measured; measured: {', '.join(sorted(names))}")
    layers, networks = [], []
    work = partial(simulated_layers, hardware=hardware, overrides=overrides)
    tables = in_processes(work, runs, workers) if workers > 1 else map(work, runs)
    for done, (run, simulated) in enumerate(zip(runs, tables, strict=True), 1):
        ours = layer_rows(run, simulated, run.network in fitted, statistic, marks_us(measurement))
        layers.append(ours)
        matched = set(ours["layer"])
        measured = run.latency_us.value(statistic)
        whole = float(simulated["simulated_us"].sum())
        networks.append(
            {
                "network": run.network,
                "batch": run.batch,
                "precision": run.precision,
                "measured_us": measured,
                "simulated_us": whole,
                "error": whole / measured - 1,
                "rank_correlation": rank_correlation(ours["measured_us"], ours["simulated_us"]),
                "unmatched_us": sum(o.latency_us.value(statistic) for o in run.operators if o.name not in matched),
                "measured_dram_bytes": _or_nan(run.dram_bytes),
                "simulated_dram_bytes": int(simulated["simulated_dram_bytes"].sum()),
                "fitted": run.network in fitted,
            }
        )
        if progress is not None:
            progress(done, len(runs))
    table = pd.DataFrame(networks)
    return CrossCheck(pd.concat(layers, ignore_index=True), table, reductions(table))


def _chosen(measurement: Measurement, variant: Variant, precision: Precision | None) -> list[NetworkRun]:
    """The runs of a variant; those of CUDA graphs with the operators that were read in eager runs of these kernels."""
    runs = [run for run in measurement.networks if run.variant == variant]
    if not runs:
        held = ", ".join(dict.fromkeys(run.variant for run in measurement.networks)) or "none"
        raise InputError(f"the measurement holds no run of variant {variant}; those that it holds: {held} (--variant)")
    if precision is not None:
        held = ", ".join(dict.fromkeys(run.precision for run in runs))
        runs = [run for run in runs if run.precision == precision]
        if not runs:
            raise InputError(f"the measurement holds no run at {precision}; those that it holds: {held} (--precision)")
    if variant != "graph":
        return runs
    eager = {(run.network, run.batch, run.precision): run for run in measurement.networks if run.variant == "eager"}
    found = []
    for run in runs:
        same = eager.get((run.network, run.batch, run.precision))
        found.append(run if same is None else run.model_copy(update={"operators": same.operators}))
    return found


def marks_us(measurement: Measurement) -> float:
    """What reading an operator of a GPU adds to it: a ReLU with hardly any work read as operators are, less what it
    takes in a CUDA graph; 0 where these were not measured."""
    read, replayed = measurement.ceiling("own_launch"), measurement.ceiling("replay")
    return 0.0 if read is None or replayed is None else 1e6 * (read - replayed)


def simulated_layers(
    run: NetworkRun, hardware: Accelerator | str | Path, overrides: Mapping[str, object] | None = None
) -> pd.DataFrame:
    """The simulator's layers of a run, at its batch and precision: layer, kind, simulated_us, bound,
    simulated_dram_bytes."""
    trace = shapes(run.network)
    changes = {**precision_overrides(run.precision), **(overrides or {})}
    accelerator = load_accelerator(hardware, changes)
    report = simulate(trace, accelerator, batch=run.batch)
    table = report.layers
    known = table[[*BOUNDS.values()]].to_numpy(np.float64)
    rest = table["cycles"].to_numpy(np.float64) - known.sum(axis=1)
    largest = np.argmax(np.column_stack([known, rest]), axis=1)
    names = [*BOUNDS, "dram"]
    kinds = {layer.name: _kind(layer.operator, layer.groups, layer.ofm[0]) for layer in unfolded(trace).layers}
    return pd.DataFrame(
        {
            "layer": table["layer"],
            "kind": [kinds[name] for name in table["layer"]],
            "simulated_us": table["cycles"] * accelerator.cycle_ps / 1e6,
            "bound": [names[at] for at in largest],
            "simulated_dram_bytes": table["dram_bytes"],
        }
    )


def layer_rows(
    run: NetworkRun,
    simulated: pd.DataFrame,
    fitted: bool = False,
    statistic: Statistic = "median",
    marks: float = 0.0,
) -> pd.DataFrame:
    """The layers of a run that were both measured and simulated; marks: microseconds that reading added to each."""
    measured = pd.DataFrame(
        {
            "layer": [operator.name for operator in run.operators],
            "operator": [operator.operator for operator in run.operators],
            "measured_us": [_without(marks, operator.latency_us.value(statistic)) for operator in run.operators],
            "measured_dram_bytes": np.array([_or_nan(operator.dram_bytes) for operator in run.operators], np.float64),
        },
        columns=["layer", "operator", "measured_us", "measured_dram_bytes"],
    )
    both = measured.merge(simulated, on="layer", how="inner")
    both = both[both["simulated_us"] > 0].reset_index(drop=True)
    both.insert(0, "network", run.network)
    both.insert(1, "batch", run.batch)
    both.insert(2, "precision", run.precision)
    both["ratio"] = both["simulated_us"] / both["measured_us"]
    both["fitted"] = fitted
    first = ["network", "batch", "precision", "layer", "operator", "kind", "measured_us", "simulated_us", "ratio"]
    return both[[*first, "bound", "measured_dram_bytes", "simulated_dram_bytes", "fitted"]]


def _or_nan(count: int | None) -> float:
    return float("nan") if count is None else float(count)


def _without(marks: float, reading: float) -> float:
    """A reading less what reading added, which is never all of it."""
    return max(reading - marks, 0.1 * reading)


def shapes(network: str) -> Trace:
    """The shapes of a network that was measured."""
    return published_trace(network) if network.startswith(PREFIX) else network_trace(network)


def precision_overrides(precision: Precision) -> dict[str, object]:
    """The settings of an accelerator at whose width a run computed."""
    width = f"{BITS[precision]} bit"
    return {f"precision.{operand}": width for operand in ("ifm", "kernel", "ofm")}


def reductions(networks: pd.DataFrame) -> pd.DataFrame:
    """What published structures save of their unpruned network, measured and simulated, where both were run."""
    budgets = published_budgets()
    rows = []
    runs = [{str(key): value for key, value in row.items()} for row in networks.to_dict("records")]
    by_key = {(str(run["network"]), run["batch"], run["precision"]): run for run in runs}
    for (name, batch, precision), pruned in by_key.items():
        if not name.startswith(PREFIX):
            continue
        network = budgets[name.removeprefix(PREFIX)].network
        whole = by_key.get((network, batch, precision)) or by_key.get((f"{PREFIX}{network}", batch, precision))
        if whole is None or whole is pruned:
            continue
        measured, simulated = (
            100 * (1 - float(pruned[column]) / float(whole[column])) for column in ("measured_us", "simulated_us")
        )
        rows.append((network, name, batch, precision, measured, simulated, simulated - measured))
    columns = ["network", "pruned", "batch", "precision", "measured_percent", "simulated_percent", "points"]
    return pd.DataFrame(rows, columns=columns)


def rank_correlation(first: Sequence[float] | pd.Series, second: Sequence[float] | pd.Series) -> float:
    """Spearman's rank correlation, ties at their mean rank; NaN for fewer than three pairs or without any spread."""
    one, other = _ranks(np.asarray(first, np.float64)), _ranks(np.asarray(second, np.float64))
    if len(one) < 3 or np.ptp(one) == 0 or np.ptp(other) == 0:
        return float("nan")
    return float(np.corrcoef(one, other)[0, 1])


def _ranks(values: Floats) -> Floats:
    _, places, counts = np.unique(values, return_inverse=True, return_counts=True)
    return np.asarray((np.cumsum(counts) - (counts - 1) / 2)[places], np.float64)


def _kind(operator: str, groups: int, outputs: int) -> str:
    """What a layer is called in tables: convolutions by what they are, the others by what they do."""
    if operator == "conv":
        return "depthwise" if groups == outputs > 1 else "convolution"
    if fnmatch.fnmatchcase(operator, "*pool*") or operator == "reduce":
        return "pooling"
    return operator if operator in ("linear", "matmul", "concat", "batch_norm") else "element-wise"
