"""What a benchmark found: one row per figure, and the tables and files that show them."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal


@dataclass(frozen=True)
class Row:
    """One figure of one benchmark.

    figure is None where nothing could be measured; note then says why. bound is None where the figure is only
    information. sense: whether the figure has to stay at or below the bound, reach it, or equal it.
    """

    benchmark: str
    what: str
    figure: float | None
    unit: str
    bound: float | None = None
    sense: Literal["at most", "at least", "exactly"] = "at most"
    note: str = ""

    @property
    def status(self) -> str:
        """pass, FAIL, info (no bound) or skipped (no figure)."""
        if self.figure is None:
            return "skipped"
        if self.bound is None:
            return "info"
        kept = {
            "at most": self.figure <= self.bound,
            "at least": self.figure >= self.bound,
            "exactly": self.figure == self.bound,
        }[self.sense]
        return "pass" if kept else "FAIL"

    def cells(self) -> tuple[str, str, str, str, str, str]:
        """Benchmark, what, figure, bound, status and note as text."""
        figure = "–" if self.figure is None else _with_unit(self.figure, self.unit)
        sign = {"at most": "≤", "at least": "≥", "exactly": "="}[self.sense]
        bound = "" if self.bound is None else f"{sign} {_with_unit(self.bound, self.unit)}"
        return self.benchmark, self.what, figure, bound, self.status, self.note


HEADINGS = ("benchmark", "what", "figure", "bound", "result", "note")


def _with_unit(value: float, unit: str) -> str:
    number = f"{value:,.0f}" if float(value).is_integer() or abs(value) >= 100 else f"{value:.3g}"
    return f"{number} {unit}".strip()


def skipped(benchmark: str, what: str, reason: str) -> Row:
    """The row of something that could not be measured."""
    return Row(benchmark, what, None, "", note=reason)


def text_line(row: Row) -> str:
    """A row for the terminal."""
    benchmark, what, figure, bound, status, note = row.cells()
    return f"{status:<7}  {benchmark:<10}  {what:<52}  {figure:>12}  {bound:>12}  {note}".rstrip()


def markdown(rows: Sequence[Row], environment: Mapping[str, str], command: str) -> str:
    """The page of results."""
    lines = ["# Results", "", f"Made by `{command}`; `benchmarks/README.md` says what each row measures.", ""]
    lines += [f"- {name}: {value}" for name, value in environment.items()]
    lines += ["", "| " + " | ".join(HEADINGS) + " |", "|---|---|---:|---:|---|---|"]
    lines += ["| " + " | ".join(cell.replace("|", "\\|") for cell in row.cells()) + " |" for row in rows]
    return "\n".join(lines) + "\n"


def write_json(path: Path, rows: Sequence[Row], environment: Mapping[str, str]) -> None:
    """Environment and rows as JSON."""
    found = {"environment": dict(environment), "rows": [{**asdict(row), "status": row.status} for row in rows]}
    path.write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
