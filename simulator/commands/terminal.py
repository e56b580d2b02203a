"""What the commands write with: consoles, tables, notes, JSON, progress."""

import contextlib
import json
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

Progress = Callable[[int, int], None]

_GAP = 3
_SHORTEST_NAME = 16

SECONDS_BETWEEN_LINES = 10.0
"""How often a progress line is written where there is no terminal to draw a bar on."""


def console(*, stderr: bool = False) -> "Console":
    """A console that prints text as it is: layer names with brackets are no markup."""
    from rich.console import Console

    return Console(stderr=stderr, markup=False, highlight=False, emoji=False)


def table(left: Sequence[str], right: Sequence[str], leading: int = 0) -> "Table":
    """An empty table for `print_table`: columns of text first, then right-aligned columns of numbers.

    leading: blank lines between rows.
    """
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    made = Table(box=SIMPLE_HEAD, pad_edge=False, show_edge=False, header_style="bold", leading=leading)
    for heading in left:
        made.add_column(heading, overflow="fold")
    for heading in right:
        made.add_column(heading, justify="right", no_wrap=True)
    return made


def print_table(out: "Console", rows: "Table") -> None:
    """Prints a table. Where it is too wide even with its names broken, lines grow longer; no number is ever cut."""
    from rich.cells import cell_len

    least = _GAP * (len(rows.columns) - 1)
    for column in rows.columns:
        lines = [line for cell in (column.header, *column.cells) for line in str(cell).splitlines()]
        widest = max(map(cell_len, lines), default=0)
        column.min_width = widest if column.justify == "right" else min(widest, _SHORTEST_NAME)
        least += column.min_width
    width = out.width
    out.width = max(width, least)
    out.print(rows)
    out.width = width


def layer_cell(name: str) -> "Text":
    """A layer's name as a cell: `printable`, and broken at separators where the table is too wide."""
    from simulator.commands.layer_name import LayerName

    return LayerName(printable(name))


def printable(text: str) -> str:
    """`text` on one line, without control characters: names come from files that anybody may have written."""
    return "".join(mark if mark.isprintable() else " " for mark in text)


def help_if_alone(context: typer.Context) -> None:
    """The callback of a group of commands: prints its help when no command follows."""
    if context.invoked_subcommand is None:
        print(context.get_help())


def print_json(value: Any) -> None:
    """Prints JSON to stdout, and nothing else belongs there then."""
    print(json.dumps(value, indent=1))


def complain(message: str) -> None:
    """The one line that a failed command leaves on stderr."""
    print(f"fmapsim: {printable(message)}", file=sys.stderr)


@contextlib.contextmanager
def progress(what: str, unit: str) -> Iterator[Progress]:
    """Yields a function to call with (done, total): a bar with the time that is left, on stderr.

    Where stderr is no terminal, a line now and then takes the bar's place.
    """
    out = console(stderr=True)
    if not out.is_terminal:
        yield _line_writer(what, unit)
        return
    from rich import progress as rich_progress

    columns = (
        rich_progress.TextColumn("{task.description}"),
        rich_progress.BarColumn(),
        rich_progress.MofNCompleteColumn(),
        rich_progress.TextColumn(unit),
        rich_progress.TimeRemainingColumn(),
    )
    with rich_progress.Progress(*columns, console=out, transient=True) as bar:
        task = bar.add_task(what, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def _line_writer(what: str, unit: str) -> Progress:
    start = last = time.monotonic()

    def update(done: int, total: int) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last < SECONDS_BETWEEN_LINES or not done:
            return
        last = now
        left = (now - start) / done * (total - done)
        print(f"{what}: {done} of {total} {unit}, about {left:.0f} s left", file=sys.stderr, flush=True)

    return update
