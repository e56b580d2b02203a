"""All references, or some: their rows, and the page that shows them."""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from simulator.errors import InputError
from simulator.validation import eyeriss, h200, measured, nvdla, p100, scale_sim, sparse, tpu_v3, traffic
from simulator.validation.row import Reference, Row
from simulator.version import VERSION

_MODULES: Mapping[str, tuple[Reference, Callable[[], Iterator[Row]]]] = {
    "scale-sim": (scale_sim.REFERENCE, scale_sim.rows),
    "eyeriss": (eyeriss.REFERENCE, eyeriss.rows),
    "nvdla": (nvdla.REFERENCE, nvdla.rows),
    "tpu-v3": (tpu_v3.REFERENCE, tpu_v3.rows),
    "p100": (p100.REFERENCE, p100.rows),
    "h200": (h200.REFERENCE, h200.rows),
    "cpu": (measured.REFERENCE, measured.rows),
    "skipping": (sparse.REFERENCE, sparse.rows),
    "lower-bound": (traffic.REFERENCE, traffic.rows),
}


def reference_names() -> list[str]:
    """The names by which references are chosen."""
    return list(_MODULES)


def validate(names: Sequence[str] = (), progress: Callable[[int, int], None] | None = None) -> list[Row]:
    """The rows of the references `names`, of all without names; `progress` is called with (references done, all).

    Raises InputError for an unknown name.
    """
    for name in names:
        if name not in _MODULES:
            raise InputError(f"unknown reference '{name}' (known: {', '.join(_MODULES)})")
    found: list[Row] = []
    chosen = list(names or _MODULES)
    for done, name in enumerate(chosen, 1):
        found.extend(_MODULES[name][1]())
        if progress is not None:
            progress(done, len(chosen))
    return found


def mean_absolute_error(rows: Iterable[Row]) -> float:
    """The mean of |error| over rows."""
    errors = [abs(row.error) for row in rows]
    return sum(errors) / len(errors) if errors else math.nan


def page(rows: Sequence[Row]) -> str:
    """The rows as a Markdown page: a summary, then a table for each reference with what explains its differences."""
    shown = {row.reference for row in rows}
    references = [reference for reference, _ in _MODULES.values() if reference.name in shown]
    parts = [
        "# Validation\n",
        f"Made by `fmapsim validate --markdown docs/validation.md` (fmapsim {VERSION}); no figure is "
        "written by hand. Error is simulated over published, less one. “Agrees” says whether it is within the "
        "tolerance "
        "that the project has set itself before the run; rows without one are shown for information. DRAM against "
        "DRAMsim3 and Ramulator stands in [memory.md](memory.md).\n",
        "| reference | rows | with a tolerance | within it | mean absolute error |\n|---|---:|---:|---:|---:|",
    ]
    for reference in references:
        own = [row for row in rows if row.reference == reference.name]
        judged = [row for row in own if row.agrees is not None]
        agreeing = sum(bool(row.agrees) for row in judged)
        parts.append(
            f"| {reference.name} | {len(own)} | {len(judged)} | {agreeing} | {100 * mean_absolute_error(own):.1f} % |"
        )
    for reference in references:
        own = [row for row in rows if row.reference == reference.name]
        parts.append(f"\n## {reference.name}\n\n- Source: {reference.source}.\n- Setting: {reference.setting}.")
        if reference.explanation:
            parts.append(f"- What explains the differences: {reference.explanation}.")
        parts.append("\n| quantity | published | simulated | unit | error | agrees |\n|---|---:|---:|---|---:|---|")
        parts.extend(_line(row) for row in own)
    return "\n".join(parts) + "\n"


def _line(row: Row) -> str:
    agrees = {None: "", True: f"yes (≤ {_percent(row.tolerance)})", False: f"**no** (> {_percent(row.tolerance)})"}
    numbers = f"{_number(row.published)} | {_number(row.simulated)}"
    return f"| {row.quantity} | {numbers} | {row.unit} | {100 * row.error:+.1f} % | {agrees[row.agrees]} |"


def _percent(tolerance: float | None) -> str:
    return f"{100 * (tolerance or 0):.0f} %"


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"
