"""`fmapsim dram compare`: how the model compares with other simulators."""

import csv
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from simulator.commands.arguments import output_folder
from simulator.commands.terminal import console, print_json, print_table, printable, progress, table
from simulator.errors import InputError
from simulator.whole_file import whole_file

if TYPE_CHECKING:
    from simulator.dram.reference import ComparedRow, Errors

JSON = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def compare_rows(
    file: Annotated[Path, typer.Argument(metavar="CSV", help="Rows that other simulators have measured.")],
    load: Annotated[
        Literal["sat", "half"], typer.Option("--load", help="Rows as fast as it goes, or at half the peak.")
    ] = "sat",
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FILE", help="Write every row with the model's time to this CSV.")
    ] = None,
    as_json: JSON = False,
) -> None:
    """Compare the model with what cycle-accurate simulators measured.

    Each row of the CSV is a pattern on a DRAM with the time that DRAMsim3 or Ramulator took for it. The model plays the
    same pattern with the same controller; errors are those of the total time, in percent.

    \b
    Examples:
      fmapsim dram compare dram.csv
      fmapsim dram compare dram.csv --load half --out rows.csv --json
    """
    from simulator.dram.reference import compare, read_reference

    rows = [row for row in read_reference(file) if row.load == load]
    if not rows:
        raise InputError(f"{file}: no rows with load {load}")
    if out is not None and out.is_dir():
        raise InputError(f"{out}: is a folder, expected the name of a CSV file")
    with output_folder(out.parent if out is not None else Path()):
        compared = []
        with progress("compare", "rows") as advance:
            for row in rows:
                compared.append(compare(row))
                advance(len(compared), len(rows))
        if out is not None:
            _write_rows(out, compared)
    found = _comparison(compared)
    if as_json:
        print_json(found)
        return
    _print_comparison(compared)
    if out is not None:
        console().print(f"\nWritten to {out}", soft_wrap=True)


def _grouped(compared: "Sequence[ComparedRow]", key: "Callable[[ComparedRow], str]") -> "dict[str, list[ComparedRow]]":
    groups: dict[str, list[ComparedRow]] = {}
    for found in compared:
        groups.setdefault(key(found), []).append(found)
    return groups


def _device(found: "ComparedRow") -> str:
    return found.row.values["cfg"]


def _pattern(found: "ComparedRow") -> str:
    return found.row.values["pat"]


def _simulator(found: "ComparedRow") -> str:
    return found.row.values["sim"]


def _comparison(compared: "Sequence[ComparedRow]") -> dict[str, Any]:
    """Errors overall, by device, by pattern, and by simulator and its devices."""
    from simulator.dram.reference import Errors

    def errors_by(rows: "Sequence[ComparedRow]", key: "Callable[[ComparedRow], str]") -> dict[str, Any]:
        return {name: vars(Errors.of(group)) for name, group in _grouped(rows, key).items()}

    return {
        **vars(Errors.of(compared)),
        "devices": errors_by(compared, _device),
        "patterns": errors_by(compared, _pattern),
        "simulators": {
            name: {**vars(Errors.of(rows)), "devices": errors_by(rows, _device)}
            for name, rows in _grouped(compared, _simulator).items()
        },
    }


def _print_comparison(compared: "Sequence[ComparedRow]") -> None:
    from simulator.dram.reference import Errors

    rows = table(["simulator", "what"], ["rows", "mean error", "worst"])

    def add(simulator: str, what: str, errors: "Errors") -> None:
        rows.add_row(
            printable(simulator), printable(what), str(errors.rows), f"{errors.mape:.2f} %", f"{errors.worst:.1f} %"
        )

    for simulator, own in _grouped(compared, _simulator).items():
        for key in (_device, _pattern):
            for name, group in _grouped(own, key).items():
                add(simulator, name, Errors.of(group))
        add(simulator, "all", Errors.of(own))
        rows.add_section()
    add("all", "all", Errors.of(compared))
    print_table(console(), rows)


def _write_rows(path: Path, compared: "Sequence[ComparedRow]") -> None:
    added = ("simulated_ns", "simulated_pct_peak", "error_percent")
    with whole_file(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        names = [name for name in compared[0].row.values if name not in added]
        writer = csv.DictWriter(file, [*names, *added], extrasaction="ignore")
        writer.writeheader()
        for found in compared:
            figures = (f"{found.nanoseconds:.1f}", f"{found.percent:.2f}", f"{found.error:.3f}")
            writer.writerow({**found.row.values, **dict(zip(added, figures, strict=True))})
