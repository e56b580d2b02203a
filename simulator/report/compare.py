"""Two or more reports side by side."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from simulator.errors import InputError
from simulator.report.bound import bounds
from simulator.report.report import Report

if TYPE_CHECKING:
    import pandas as pd

COMPARED = ("dram_bytes", "cycles", "energy_pj", "macs_performed")
CHANGES = ("dram_bytes", "cycles", "energy_pj")


def compare(reports: Mapping[str, Report]) -> "pd.DataFrame":
    """Totals of named reports, one row each, with the difference to the first in percent (`…_change`).

    Raises InputError with fewer than two reports.
    """
    import pandas as pd

    _check(reports)
    rows = []
    first = next(iter(reports.values()))
    for name, report in reports.items():
        row: dict[str, object] = {
            "report": name,
            "trace": report.meta["trace"],
            "accelerator": report.meta["accelerator"],
            "accuracy": (report.meta.get("accuracy") or {}).get("top1"),
        }
        for quantity in COMPARED:
            row[quantity] = report.totals[quantity]
            row[f"{quantity}_change"] = _change(report.totals[quantity], first.totals[quantity])
        rows.append(row)
    return pd.DataFrame(rows)


def compare_layers(reports: Mapping[str, Report], quantity: str = "dram_bytes") -> "pd.DataFrame":
    """One quantity layer by layer, one column per report, with the difference of the last to the first.

    The largest differences come first. A layer that a report does not have counts as nothing. Raises InputError with
    fewer than two reports or an unknown quantity.
    """
    import pandas as pd

    _check(reports)
    series = {}
    for name, report in reports.items():
        numbers = report.layers.select_dtypes("number").columns
        if quantity not in numbers:
            raise InputError(f"reports have no figure '{quantity}'; expected one of: {', '.join(numbers)}")
        series[name] = report.layers.set_index("layer")[quantity]
    table = pd.DataFrame(series).fillna(0)
    names = list(reports)
    table["difference"] = table[names[-1]] - table[names[0]]
    order = table["difference"].abs().sort_values(ascending=False, kind="stable").index
    return table.loc[order].rename_axis("layer").reset_index()


def layer_changes(reports: Mapping[str, Report], quantity: str = "dram_bytes") -> "pd.DataFrame":
    """What changed in each layer from the first report to the last, in the order of `compare_layers`.

    Columns: layer; dram_bytes, cycles and energy_pj: the differences; share: the layer's part of the network's
    difference in `quantity` (negative where it goes the other way, 0 where the network's is 0); bound_before and
    bound_after: what bounds it (`bounds`), "" in a report that does not have it. Raises InputError like
    `compare_layers`.
    """
    import pandas as pd

    order = compare_layers(reports, quantity)
    names = order["layer"].tolist()
    first, *_, last = reports.values()
    table: dict[str, object] = {"layer": names}
    for name in CHANGES:
        before, after = (
            report.layers.set_index("layer")[name].reindex(names, fill_value=0) for report in (first, last)
        )
        table[name] = (after - before).to_numpy()
    difference = order["difference"].sum()
    table["share"] = (order["difference"] / difference if difference else order["difference"] * 0.0).to_numpy()
    for when, report in (("before", first), ("after", last)):
        found = dict(zip(report.layers["layer"], bounds(report.layers), strict=True))
        table[f"bound_{when}"] = [found.get(name, "") for name in names]
    return pd.DataFrame(table)


def _check(reports: Mapping[str, Report]) -> None:
    if len(reports) < 2:
        raise InputError(f"compare needs at least two reports, found {len(reports)}")


def _change(value: float, base: float) -> float:
    return 100.0 * (value - base) / base if base else 0.0
