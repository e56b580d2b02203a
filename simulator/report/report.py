"""`Report`: the counters of a simulation as tables."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from simulator.machine.array_time import ARRAY_TIMES, VECTOR, shared_out
from simulator.machine.energy import COMPONENTS
from simulator.machine.results import LayerResult, RunResult
from simulator.report.spread import spread_columns

if TYPE_CHECKING:
    import pandas as pd

Column = npt.NDArray[Any] | list[str]
Columns = dict[str, Column]

TOTALS = ("macs_dense", "macs_effectual", "macs_performed", "macs_gated", "macs_skipped", "dram_bytes", "energy_pj")
TRAFFIC = ("layer", "operand", "level", "direction", "bytes")
SCHEDULE = ("layer", "loop", "extent", "tile", "tiles")
SKIPS = ("skippable_bytes", "skipped_bytes")
FLAGS = ("prunable_elements", "flagged_elements")
DRAM_TIMES = ("turnaround", "group", "row", "refresh", "idle")
LATENCIES = ("read_latency_p50_ns", "read_latency_p95_ns", "read_latency_p99_ns")
WAITS = ("ifm", "kernel", "ofm", "psum")
ARRAY_CYCLES = (*(f"array_{name}_cycles" for name in ARRAY_TIMES), f"{VECTOR}_cycles")
"""Where compute_cycles went; they add up to it."""
PEAKS = ("ifm_buffer_peak_bytes", "kernel_buffer_peak_bytes", "ofm_buffer_peak_bytes")
NOT_PER_FRAME = {
    *("layer", "operator", "fused_into", "utilisation", "frames", "tiles", "tiling", *LATENCIES, *PEAKS),
    *("ifm_on_chip", "ofm_on_chip", "on_chip_bytes"),
}
"""Columns of a layer that runs for several frames at once which are not those of one of them."""


@dataclass(frozen=True, eq=False)
class Report:
    """What a network costs on an accelerator.

    All tables hold means over the simulated batches (one batch is one image unless the simulation said otherwise), so a
    single image's figures are exact counts.

    layers, one row per layer in order of execution: layer, operator, fused_into (the layer on whose way out this one is
    done, and which has all its costs; empty for others), macs_dense, macs_effectual (no operand is zero),
    macs_performed, macs_gated, macs_skipped (these three add up to dense), cycles, compute_cycles, where these went
    (array_effectual_cycles: products of two non-zeros over all multipliers; array_ineffectual_cycles, _fragmentation_,
    _bank_conflicts_, _imbalance_, _halo_, _outside_, _metadata_ and _load_cycles: `LOSSES` of
    `mapping/dataflow/sparse/losses.py`; array_unused_cycles: multipliers that an array without a scheme of skipping
    leaves idle; vector_cycles: the vector unit; all these add up to compute_cycles), statistical_cycles
    (compute_cycles as the densities of both operands alone let expect) and statistical_error_percent (how far those
    are off), stall_cycles (cycles = compute + stall), buffer_stall_cycles (bandwidth and bank conflicts of the
    buffers, and comparators that are too slow for what the array loads), stall_ifm_cycles … stall_drain_cycles (what
    the array waited for), overhead_cycles (before the first load; stall = buffer_stall + all these), utilisation (MACs
    performed or gated per cycle and multiplier), dram_bytes (whole bursts), dram_busy_cycles; for a DRAM with a
    standard also
    dram_turnaround_cycles, dram_group_cycles, dram_row_cycles, dram_refresh_cycles, dram_idle_cycles (with busy: the
    layer's time, averaged over the data pins) and row_conflicts, read_latency_p50_ns … p99_ns (all 0 otherwise);
    row_hits, row_misses (bursts that had to open a row), prunable_elements (of the OFM, or of the first IFM where the
    pruning unit sits there), flagged_elements (those of them that dynamic pruning flagged), skippable_bytes,
    skipped_bytes, skip_lost_percent, energy_pj,
    ifm_buffer_peak_bytes … ofm_buffer_peak_bytes (the most that each buffer held at a time; 0 for one that shares
    another's), ifm_on_chip, ofm_on_chip (how many of the feature maps that it reads and writes stay on chip),
    on_chip_bytes (all that stays there meanwhile), frames (how many times the batch ran at once, for fully connected
    layers; all counters of cycles, bytes, MACs and energy are divided by it), tiles, tiling.

    skippable_bytes are the elements that dynamic pruning flagged among those that IFM loads and OFM stores would have
    moved: their bits as stored raw; of a compressed tensor what zeros take up in its codec (a bit each in a
    bitmap). skipped_bytes is what that kept from moving: whole bursts with nothing flagged minus whole bursts
    with flags, in the same tiles; size tables and flags count in neither. skip_lost_percent is what layout and bursts
    lose, 100·(1 − skipped / skippable): 0 when nothing is skippable, and 0 too when more is skipped than skippable,
    because a burst that goes as a whole takes bytes along that no tile needed.

    traffic: layer, operand (ifm, kernel, ofm, psum, metadata; at level buffer also on_chip, for what is loaded from and
    stored to feature maps that stay there), level (dram, buffer), direction (read, write), bytes. energy: layer,
    component, energy_pj. images: one row per batch with its images and totals. spread: how far batches differ, see
    `spread_columns`. schedule: layer, loop, extent, tile, tiles, one row per loop over tiles from the outside in (see
    `loops_of`), with the sizes for all frames.

    meta: names, hashes and settings that reproduce the run.

    A report of a simulation holds columns; each table becomes a data frame when it is first read, because pandas takes
    longer to load than many a network to simulate.
    """

    layers: "pd.DataFrame"
    traffic: "pd.DataFrame"
    energy: "pd.DataFrame"
    images: "pd.DataFrame"
    spread: "pd.DataFrame"
    schedule: "pd.DataFrame"
    meta: Mapping[str, Any]

    @classmethod
    def of_columns(cls, tables: Mapping[str, Columns], meta: Mapping[str, Any]) -> "Report":
        """The report of tables (its own, but for meta) that are given as columns of equal length."""
        report = cls.__new__(cls)
        report.__dict__.update(_columns=dict(tables), meta=meta)
        return report

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> "pd.DataFrame":
            """A table that has not been read before."""
            columns = self.__dict__.get("_columns", {})
            if name not in columns:
                raise AttributeError(f"'{type(self).__name__}' object has no attribute '{name}'")
            import pandas as pd

            frame = self.__dict__[name] = pd.DataFrame(columns.pop(name))
            return frame

    def column(self, table: str, name: str) -> npt.NDArray[Any]:
        """A column of a table, one entry per row, without the data frame. Raises KeyError where there is none."""
        columns = self.__dict__.get("_columns", {})
        return np.asarray(columns[table][name] if table in columns else getattr(self, table)[name])

    @cached_property
    def totals(self) -> Mapping[str, float]:
        """Sums over the layers: cycles, seconds, dram_bytes, energy_pj, MACs and bytes per operand (`ifm_bytes` …).

        Also where compute_cycles went and the statistical error, as for layers, flagged_share (of the elements that the
        pruning unit looks at), skippable_bytes, skipped_bytes,
        skip_lost_percent (of these two sums), the most bytes that a buffer held in any layer (`ifm_buffer_peak_bytes`
        …) and of feature maps that stayed on chip (on_chip_bytes), utilisation, average bandwidth in bytes per second,
        and frames per second.
        """
        cycles = ("cycles", "compute_cycles", *ARRAY_CYCLES, "statistical_cycles", "stall_cycles")
        cycles = (*cycles, "buffer_stall_cycles", "overhead_cycles")
        times = (f"dram_{name}_cycles" for name in ("busy", *DRAM_TIMES))
        sums = {
            name: self._over_layers(np.sum, name)
            for name in (*TOTALS, *cycles, *times, "row_hits", "row_misses", *FLAGS, *SKIPS)
        }
        sums["statistical_error_percent"] = error_percent(sums["statistical_cycles"], sums["compute_cycles"])
        sums["flagged_share"] = sums["flagged_elements"] / max(sums["prunable_elements"], 1)
        sums["skip_lost_percent"] = lost_percent(sums["skippable_bytes"], sums["skipped_bytes"])
        seconds = float(sums["cycles"]) / float(self.meta["clock_hz"])
        sums["seconds"] = seconds
        moved, level, operands = (self.column("traffic", name) for name in ("bytes", "level", "operand"))
        for operand in ("ifm", "kernel", "ofm", "psum", "metadata"):
            sums[f"{operand}_bytes"] = _number(np.sum(moved[(level == "dram") & (operands == operand)]))
        for name in (*PEAKS, "on_chip_bytes"):
            sums[name] = self._over_layers(np.max, name)
        cycles_of = self.column("layers", "cycles")
        busy = self._over_layers(lambda shares, initial: np.sum(shares * cycles_of, initial=initial), "utilisation")
        sums["utilisation"] = busy / sums["cycles"] if sums["cycles"] else 0.0
        sums["bandwidth_bytes_per_second"] = sums["dram_bytes"] / seconds if seconds else 0.0
        sums["frames_per_second"] = int(self.meta["batch"]) / seconds if seconds else 0.0
        return sums

    def _over_layers(self, combine: Callable[..., Any], name: str) -> float:
        """The sum or maximum of a column of `layers`; 0 for a report that was saved before there was this column."""
        try:
            return _number(combine(self.column("layers", name), initial=0))
        except KeyError:
            return 0

    def energy_by_component(self) -> "pd.Series":
        """Picojoules of each component, over all layers."""
        return self.energy.groupby("component", sort=False)["energy_pj"].sum()


def lost_percent(skippable: float, skipped: float) -> float:
    """The part of what is skippable that still moves, in percent: 0 to 100."""
    return 100.0 * (1.0 - min(skipped / skippable, 1.0)) if skippable else 0.0


def error_percent(found: float, exact: float) -> float:
    """How far a figure is off, in percent of the exact one; 0 where there is neither (reports of earlier versions)."""
    return 100.0 * (found / exact - 1.0) if found and exact else 0.0


def _number(value: Any) -> float:
    """A whole number as int, so that exact counts stay exact."""
    number = float(value)
    return int(number) if number.is_integer() else number


def build_report(runs: Sequence[RunResult], meta: Mapping[str, Any]) -> Report:
    """The tables of one or several batches, averaged."""
    per_run = [_columns([_layer_row(layer) for layer in run.layers]) for run in runs]
    layers = _mean(per_run)
    pairs = zip(*(np.asarray(layers[name]).tolist() for name in SKIPS), strict=True)
    lost = np.array([lost_percent(*pair) for pair in pairs], np.float64)
    images = _columns([_totals_row(run, layers) for run, layers in zip(runs, per_run, strict=True)])
    names, batches = list(layers["layer"]), list(images["images"])
    expected = zip(
        *(np.asarray(layers[name]).tolist() for name in ("statistical_cycles", "compute_cycles")), strict=True
    )
    errors = np.array([error_percent(*pair) for pair in expected], np.float64)
    with_errors = _with_behind(layers, "statistical_cycles", "statistical_error_percent", errors)
    tables: dict[str, Columns] = {
        "layers": _with_behind(with_errors, SKIPS[-1], "skip_lost_percent", lost),
        "traffic": _mean([_columns(_traffic_rows(run), TRAFFIC) for run in runs]),
        "energy": _mean([_columns(_energy_rows(run)) for run in runs]),
        "images": images,
        "spread": spread_columns(names, batches, per_run),
        "schedule": _columns(_schedule_rows(runs[0]), SCHEDULE),
    }
    return Report.of_columns(tables, dict(meta))


def _layer_row(layer: LayerResult) -> dict[str, Any]:
    row = _all_frames(layer)
    if layer.frames > 1:
        row |= {name: row[name] / layer.frames for name in row if name not in NOT_PER_FRAME}
    return row


def _all_frames(layer: LayerResult) -> dict[str, Any]:
    cycles = layer.cycles
    waits = _whole_cycles(layer, cycles - layer.step_cycles)
    peaks = {f"{buffer}_buffer_peak_bytes": held for buffer, held in layer.timing.peak_bytes.items()}
    worked = layer.macs.performed + layer.macs.gated
    return {
        "layer": layer.name,
        "operator": layer.operator,
        "fused_into": layer.fused_into,
        "macs_dense": layer.macs.dense,
        "macs_effectual": layer.macs.effectual,
        "macs_performed": layer.macs.performed,
        "macs_gated": layer.macs.gated,
        "macs_skipped": layer.macs.skipped,
        "cycles": cycles,
        "compute_cycles": layer.compute_cycles,
        **_where_it_went(layer),
        "stall_cycles": cycles - layer.compute_cycles,
        "buffer_stall_cycles": layer.buffer_stall_cycles,
        **waits,
        "utilisation": worked / (cycles * layer.array_macs) if cycles else 0.0,
        "dram_bytes": layer.dram_bytes,
        **_dram_times(layer),
        "row_hits": layer.row_hits,
        "row_misses": layer.row_misses,
        "row_conflicts": 0 if layer.timing.dram is None else layer.timing.dram.row_conflicts,
        **_latencies(layer),
        "prunable_elements": layer.flags.prunable,
        "flagged_elements": layer.flags.flagged,
        "skippable_bytes": layer.skippable_bytes,
        "skipped_bytes": layer.skipped_bytes,
        "energy_pj": sum(layer.energy_pj.values()),
        **{name: peaks.get(name, 0) for name in PEAKS},
        "ifm_on_chip": layer.on_chip.inputs,
        "ofm_on_chip": layer.on_chip.outputs,
        "on_chip_bytes": layer.on_chip.held_bytes,
        "frames": layer.frames,
        "tiles": layer.tiles,
        "tiling": layer.tiling,
    }


def _where_it_went(layer: LayerResult) -> dict[str, int]:
    """compute_cycles by what multipliers did, and what densities alone let expect."""
    cycles, time = layer.compute_cycles, layer.array_time
    if time is None:
        return {**dict.fromkeys(ARRAY_CYCLES, 0), f"{VECTOR}_cycles": cycles, "statistical_cycles": cycles}
    parts = [*time.in_cycles(cycles).values(), 0]
    return {**dict(zip(ARRAY_CYCLES, parts, strict=True)), "statistical_cycles": time.statistical_cycles}


def _dram_times(layer: LayerResult) -> dict[str, int]:
    """Where the time of the DRAM's data pins went, in whole cycles; of a plain bus only for how long it was busy."""
    used = layer.timing.dram
    if used is None:
        busy, times = layer.timing.dram_busy_ps, dict.fromkeys(DRAM_TIMES, 0)
    else:
        busy, times = used.busy_ps, {name: getattr(used, f"{name}_ps") for name in DRAM_TIMES}
    return {f"dram_{name}_cycles": round(time / layer.cycle_ps) for name, time in {"busy": busy, **times}.items()}


def _latencies(layer: LayerResult) -> dict[str, float]:
    used = layer.timing.dram
    found = (0, 0, 0) if used is None else used.latency_ps
    return {name: latency / 1000 for name, latency in zip(LATENCIES, found, strict=True)}


def _whole_cycles(layer: LayerResult, stalled: int) -> dict[str, int]:
    """Waits in whole cycles that add up to `stalled`: rounded running sums."""
    waits = {f"stall_{name}_cycles": layer.timing.waits_ps.get(name, 0) for name in WAITS}
    waits |= {"stall_drain_cycles": layer.timing.drain_ps, "overhead_cycles": layer.timing.overhead_ps}
    return shared_out(stalled, waits)


def _traffic_rows(run: RunResult) -> list[dict[str, Any]]:
    return [
        {
            "layer": layer.name,
            "operand": row.operand,
            "level": row.level,
            "direction": row.direction,
            "bytes": row.bytes if layer.frames == 1 else row.bytes / layer.frames,
        }
        for layer in run.layers
        for row in layer.traffic
    ]


def _energy_rows(run: RunResult) -> list[dict[str, Any]]:
    return [
        {"layer": layer.name, "component": component, "energy_pj": layer.energy_pj[component] / layer.frames}
        for layer in run.layers
        for component in COMPONENTS
    ]


def _schedule_rows(run: RunResult) -> list[dict[str, Any]]:
    return [
        {"layer": layer.name, "loop": loop.name, "extent": loop.extent, "tile": loop.tile, "tiles": loop.tiles}
        for layer in run.layers
        for loop in layer.loops
    ]


def _totals_row(run: RunResult, layers: Columns) -> dict[str, Any]:
    sums = {name: np.sum(layers[name]) for name in (*TOTALS, "cycles", "compute_cycles")}
    return {"images": " ".join(map(str, run.images)), **sums}


def _columns(rows: list[dict[str, Any]], names: Sequence[str] = ()) -> Columns:
    """Rows turned into columns; `names` where there may be no row."""
    found: Columns = {}
    for name in names or rows[0]:
        values = [row[name] for row in rows]
        found[name] = values if values and isinstance(values[0], str) else np.array(values, None if values else object)
    return found


def _with_behind(columns: Columns, before: str, name: str, values: Column) -> Columns:
    """The columns with one more, right behind `before`."""
    at = list(columns).index(before) + 1
    pairs = list(columns.items())
    return dict([*pairs[:at], (name, values), *pairs[at:]])


def _mean(runs: Sequence[Columns]) -> Columns:
    """The mean of tables with the same rows in the same order; text columns from the first."""
    first, *others = runs
    if not others:
        return first
    for name, column in first.items():
        assert not isinstance(column, list) or all(run[name] == column for run in others), name
    return {name: _mean_column([run[name] for run in runs]) for name in first}


def _mean_column(columns: Sequence[Column]) -> Column:
    numbers = [column for column in columns if not isinstance(column, list)]
    return np.asarray(sum(numbers) / len(numbers)) if numbers else columns[0]
