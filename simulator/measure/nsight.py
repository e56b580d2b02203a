"""DRAM bytes from hardware counters: what Nsight Compute wrote as CSV.

Taken with `ncu --profile-from-start off --nvtx --csv --page raw --metrics dram__bytes.sum --cache-control none
--clock-control none --log-file FILE fmapsim measure …` of one network at one batch and precision: one row per kernel, a
column per metric with its unit below the title, and a column with the ranges that the kernel ran in. `fmapsim measure`
runs the network once more for such a profiler, with a range "fmapsim NUMBER OPERATOR" around each operator.
"""

import csv
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from simulator.errors import InputError

METRIC = "dram__bytes.sum"

_RANGE = re.compile(r"fmapsim (\d+) ")
_SCALE = {"byte": 1, "Kbyte": 10**3, "Mbyte": 10**6, "Gbyte": 10**9}


@dataclass(frozen=True)
class Counters:
    """DRAM bytes of a network's run in total, and by the number of the operator, in the order of execution."""

    total: int
    by_operator: Mapping[int, int]

    def of(self, numbers: Iterable[int]) -> int | None:
        """The bytes of some operators; None where the profiler saw no kernel of theirs."""
        seen = [self.by_operator[number] for number in numbers if number in self.by_operator]
        return sum(seen) if seen else None


def read_counters(path: Path) -> Counters:
    """The counters of one run of a network. Raises InputError when the file lacks the metric or states no unit."""
    try:
        with path.open(encoding="utf-8", newline="") as file:
            rows = list(csv.reader(line for line in file if not line.startswith("==")))
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from None
    if len(rows) < 2 or METRIC not in rows[0]:
        raise InputError(f"{path}: no column '{METRIC}'; expected `ncu --csv --page raw --metrics {METRIC}`")
    column = rows[0].index(METRIC)
    unit = rows[1][column] if column < len(rows[1]) else ""
    if unit not in _SCALE:
        raise InputError(f"{path}: unit of {METRIC} is '{unit}', expected one of {', '.join(_SCALE)}")
    total, found = 0, dict[int, int]()
    for number, row in enumerate(rows[2:], 3):
        try:
            moved = round(float(row[column].replace(",", "")) * _SCALE[unit])
        except (ValueError, IndexError):
            raise InputError(f"{path}, line {number}: {METRIC} is no number") from None
        total += moved
        within = next((match for cell in row if (match := _RANGE.search(cell))), None)
        if within is not None:
            found[int(within[1])] = found.get(int(within[1]), 0) + moved
    return Counters(total, found)
