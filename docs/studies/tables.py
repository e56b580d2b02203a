"""What the studies share: results in CSV files that grow row by row, and tables in pages."""

import csv
import re
import sys
from collections.abc import Sequence
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
