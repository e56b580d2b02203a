"""Results by design: what each reaches over all traces and images, and which designs no other one beats."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from simulator.errors import InputError
from simulator.hardware.validation import did_you_mean
from simulator.study.folder import About, about, results
from simulator.study.metrics import MAXIMISED

if TYPE_CHECKING:
    import pandas as pd

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]


def goals_of(study: About, table: "pd.DataFrame", names: Sequence[str]) -> dict[str, str]:
    """Objectives by name with their goals; those of the study where none are named.

    Raises InputError for one that is no column of numbers in the results.
    """
    import pandas as pd

    if not names:
        return dict(study.objectives)
    for name in names:
        if name not in table.columns or not pd.api.types.is_numeric_dtype(table[name]):
            known = [column for column in table.columns if pd.api.types.is_numeric_dtype(table[column])]
            raise InputError(f"objective '{name}': no such number in the results{did_you_mean(name, known)}")
    return {name: study.objectives.get(name, "maximise" if name in MAXIMISED else "minimise") for name in names}


def done_results(folder: Path, trace: str | None = None) -> "tuple[About, pd.DataFrame]":
    """The study of a folder and the rows that are done, of one trace where it is named.

    Raises InputError where there are none.
    """
    study, table = about(folder), results(folder)
    table = table[table["status"] == "done"]
    if trace is not None:
        names = table["trace"].unique().tolist()
        if trace not in names:
            raise InputError(
                f"--trace {trace}: no results of it (there are {', '.join(names)}){did_you_mean(trace, names)}"
            )
        table = table[table["trace"] == trace]
    if table.empty:
        raise InputError(f"{folder}: no point of the study is done yet")
    return study, table.reset_index(drop=True)


def design_columns(study: About) -> list[str]:
    """The columns that say which design a row is of."""
    return ["accelerator", *study.parameters, "pruning"]


def by_design(study: About, table: "pd.DataFrame", metrics: Sequence[str]) -> "pd.DataFrame":
    """One row per design: its columns, and the geometric mean of each metric over its points (traces and images).

    A design that lacks points or a metric is left out: means of some networks and of others do not compare. In a table
    of one trace no more points are expected of a design than any has.
    """
    columns = design_columns(study)
    groups = table.groupby(columns, sort=False, dropna=False)
    sizes = groups.size()
    expected = min(study.expected, int(sizes.max()))
    means = {}
    for metric in metrics:
        values = table[metric].astype("float64")
        with np.errstate(divide="ignore"):
            logs = values.map(np.log)
        means[metric] = np.exp(logs.groupby([table[name] for name in columns], sort=False, dropna=False).mean())
        missing = values.isna().groupby([table[name] for name in columns], sort=False, dropna=False).any()
        means[metric] = means[metric].where(~missing)
    found = sizes.to_frame("points")
    for metric, mean in means.items():
        found[metric] = mean
    complete = found[(found["points"] == expected)].dropna(subset=list(metrics))
    return complete.reset_index()


def pareto_front(values: Floats, maximised: Sequence[bool]) -> Bools:
    """Which rows no other row beats: at least as good in every column and better in one. values: [rows, columns]."""
    costs = np.where(np.asarray(maximised), -values, values)
    front = np.zeros(len(costs), np.bool_)
    kept = np.empty((0, costs.shape[1]))
    for row in np.lexsort(costs.T[::-1]):  # whoever beats a row comes before it
        cost = costs[row]
        beaten = (kept <= cost).all(axis=1) & (kept < cost).any(axis=1)
        if not beaten.any():
            front[row] = True
            kept = np.vstack([kept, cost])
    return front


def pareto(study: About, table: "pd.DataFrame", goals: Mapping[str, str]) -> "pd.DataFrame":
    """The designs that no other one beats, in the order of the first objective."""
    designs = by_design(study, table, list(goals))
    values = designs[list(goals)].to_numpy(np.float64)
    front = designs[pareto_front(values, [goal == "maximise" for goal in goals.values()])]
    first, goal = next(iter(goals.items()))
    return front.sort_values(first, ascending=goal == "minimise", kind="stable").reset_index(drop=True)


def best(study: About, table: "pd.DataFrame", metric: str, goal: str, count: int) -> "pd.DataFrame":
    """The `count` designs that reach most, with their other objectives."""
    designs = by_design(study, table, list(dict.fromkeys([metric, *study.objectives])))
    return designs.sort_values(metric, ascending=goal == "minimise", kind="stable").head(count).reset_index(drop=True)
