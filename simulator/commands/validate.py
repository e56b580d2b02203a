"""`fmapsim validate`: published and measured numbers beside the simulated ones."""

import os
from pathlib import Path
from typing import Annotated

import typer

from simulator.commands.terminal import console, print_json, print_table, progress, table
from simulator.errors import InputError
from simulator.whole_file import whole_file


def validate(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="[REFERENCE]...", help="References to compare with, all by default.")
    ] = None,
    markdown: Annotated[
        Path | None,
        typer.Option("--markdown", metavar="FILE", help="Write the page of all rows, as docs/validation.md."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the rows as a JSON list.")] = False,
) -> None:
    """Hold the simulator against published chips and measured cycles.

    Runs every preset that has a reference: SCALE-Sim, the Eyeriss chip, NVDLA, TPU v3, a P100, a CPU core, and lower
    bounds on traffic. Takes some minutes. A row that misses its tolerance is shown, not hidden; the exit code stays 0.

    \b
    Examples:
      fmapsim validate eyeriss
      fmapsim validate --markdown docs/validation.md
    """
    from simulator.validation.run import page
    from simulator.validation.run import validate as rows_of

    if markdown is not None:
        check_writable(markdown)
    with progress("validating", "references") as advance:
        rows = rows_of(names or (), advance)
    if markdown is not None:
        with whole_file(markdown) as temporary:
            temporary.write_text(page(rows), encoding="utf-8")
    if as_json:
        print_json([row.to_json() for row in rows])
        return
    out, shown = console(), table(["reference", "quantity"], ["published", "simulated", "unit", "error", "agrees"])
    for row in rows:
        agrees = {None: "", True: "yes", False: "no"}[row.agrees]
        numbers = f"{row.published:,.6g}", f"{row.simulated:,.6g}"
        shown.add_row(row.reference, row.quantity, *numbers, row.unit, f"{100 * row.error:+.1f} %", agrees)
    print_table(out, shown)
    if markdown is not None:
        out.print(f"wrote {markdown}")


def check_writable(path: Path) -> None:
    """Raises InputError when no file can be written at `path`: before a long run rather than after it."""
    if not path.parent.is_dir() or path.is_dir() or not os.access(path.parent, os.W_OK):
        raise InputError(
            f"{path}: cannot be written; expected a file name in a folder that exists and can be written to"
        )
