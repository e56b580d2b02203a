"""How much each parameter matters: what a metric does when one parameter changes and all else stays."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from simulator.study.folder import About

if TYPE_CHECKING:
    import pandas as pd

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Effect:
    """What one axis does to a metric, by trace.

    columns: the settings that change together; values: of the first of them, in the order of the study. ratios: by
    trace, for each value the geometric mean of the metric over the metric at the first value, all else equal, over all
    designs that have every value; contexts: how many those are.
    """

    columns: tuple[str, ...]
    values: tuple[object, ...]
    ratios: dict[str, Floats]
    contexts: int


def axes_of_table(study: About, table: "pd.DataFrame") -> list[tuple[str, ...]]:
    """The directions in which designs differ: columns that always change together are one."""
    columns = [name for name in ("accelerator", *study.parameters, "pruning") if table[name].nunique(dropna=False) > 1]
    groups: list[list[str]] = []
    for name in columns:
        for group in groups:
            together = table[[group[0], name]].drop_duplicates()
            if len(together) == table[name].nunique(dropna=False) == table[group[0]].nunique(dropna=False):
                group.append(name)
                break
        else:
            groups.append([name])
    return [tuple(group) for group in groups]


def settings_that_differ(study: About, table: "pd.DataFrame") -> list[str]:
    """The settings that tell the designs of a table apart; of those that always change together the first."""
    return [axis[0] for axis in axes_of_table(study, table)]


def effects(study: About, table: "pd.DataFrame", metric: str) -> list[Effect]:
    """The effect of every axis on a metric. Axes that never change alone (in a random search, most) are left out.

    table: results that are done.
    """
    axes = axes_of_table(study, table)
    found = []
    for axis in axes:
        others = [other[0] for other in axes if other != axis]
        effect = _effect(table, metric, axis, [*others, "images"])
        if effect is not None:
            found.append(effect)
    return found


def _effect(table: "pd.DataFrame", metric: str, axis: tuple[str, ...], others: Sequence[str]) -> Effect | None:
    values = list(dict.fromkeys(table[axis[0]].tolist()))
    ratios, contexts = {}, 0
    for trace, rows in table.groupby("trace", sort=False):
        pivot = rows.pivot_table(index=list(others), columns=axis[0], values=metric, aggfunc="first", dropna=False)
        if set(values) - set(pivot.columns):
            continue
        full = pivot[values].to_numpy(np.float64)
        full = full[(full > 0).all(axis=1)]
        if len(full):
            logs = np.log(full)
            ratios[str(trace)] = np.exp((logs - logs[:, :1]).mean(axis=0))
            contexts += len(full)
    return Effect(axis, tuple(values), ratios, contexts) if ratios and len(values) > 1 else None
