"""What the studies share: results in CSV files that grow row by row, tables in pages, and their command line."""

import argparse
import csv
import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path


def rows_of(path: Path, columns: int) -> set[tuple[str, ...]]:
    """What is in a file already, by the first so many columns."""
    if not path.exists():
        return set()
    with path.open(encoding="utf-8") as file:
        return {tuple(row[:columns]) for row in list(csv.reader(file))[1:]}


def append(path: Path, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Adds rows to a file, with the columns' names at its beginning."""
    new = not path.exists()
    with path.open("a", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        if new:
            writer.writerow(columns)
        writer.writerows(rows)


def write(page: Path, tables: dict[str, list[list[str]]]) -> None:
    """Puts tables into a page, between `<!-- NAME -->` and the blank line behind the table."""
    text = page.read_text(encoding="utf-8")
    for name, rows in tables.items():
        mark = f"<!-- {name} -->\n"
        if mark not in text:
            print(f"no place for {name}", file=sys.stderr)
            continue
        lines = ["| " + " | ".join(cells) + " |\n" for cells in rows]
        lines.insert(1, "|" + "---|" * len(rows[0]) + "\n")
        start, rest = text.split(mark)
        text = start + mark + "".join(lines) + re.sub(r"^([|][^\n]*\n)*", "", rest)
    page.write_text(text, encoding="utf-8")


def study_command(about: str | None, measure: Callable[[Path], None], draw: Callable[[], None]) -> None:
    """The command line of a study that measures on a folder of data and draws what is in its file."""
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("measure").add_argument("--data", type=Path, required=True)
    commands.add_parser("draw")
    given = parser.parse_args()
    if given.command == "measure":
        measure(given.data)
    else:
        draw()
