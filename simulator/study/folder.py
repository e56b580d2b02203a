"""The folder of a study: what it is about, its points, and the table of results that follows from the store.

study.json        name, description, objectives, parameters; as of the last run
points.parquet    the points of the study file as of the last run, with their settings and keys
journal/          what was found, see `store`
results.parquet   the tidy table: one row per finished point of the study
"""

import contextlib
import json
import math
from array import array
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from simulator.errors import InputError
from simulator.study.points import Point
from simulator.study.space import Space
from simulator.study.store import JOURNALS, journals, outcomes
from simulator.study.study_file import Study
from simulator.version import revision
from simulator.whole_file import whole_file

if TYPE_CHECKING:
    import pandas as pd

ABOUT, POINTS, RESULTS = "study.json", "points.parquet", "results.parquet"

MARKS = (ABOUT, POINTS, JOURNALS)
"""What shows that a folder is a study's, perhaps of a run that was cut off."""

AXES_BEFORE, AXES_BEHIND = ("trace", "accelerator"), ("pruning", "images", "batch")
"""Columns of the table before and behind those of the parameters."""


TOOK = ("run_seconds", "cpu_seconds")
"""Columns that differ from run to run."""


@dataclass(frozen=True)
class About:
    """What readers of a study's folder need to know.

    objectives: with their goals; units: the base units of parameters that have one; expected: points of a design;
    method: of the search.
    """

    name: str
    description: str
    objectives: Mapping[str, str]
    parameters: Sequence[str]
    units: Mapping[str, str]
    expected: int
    method: str
    fmapsim: str = field(default_factory=revision)


def about(folder: Path) -> About:
    """The study of a folder. Raises InputError where there is none."""
    path = folder / ABOUT
    try:
        return About(**json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        raise InputError(
            f"{folder}: no study here (no {ABOUT}); `fmapsim study run FILE --out {folder}` makes one"
        ) from None
    except (OSError, ValueError, TypeError) as error:
        raise InputError(f"{path}: cannot be read ({error}); run the study again, which loses nothing") from None


def begin(folder: Path, study: Study, space: Space, expected: int) -> None:
    """Writes what the study is about. Raises InputError when the folder holds another study."""
    section = study.section
    there = _name(folder)
    if there not in (None, section.name):
        raise InputError(
            f"{folder} holds the study '{there}', and {study.document.path} is '{section.name}': give another --out"
        )
    found = About(
        section.name,
        section.description,
        dict(section.objectives),
        space.parameters,
        space.units,
        expected,
        section.search.method,
    )
    with whole_file(folder / ABOUT) as temporary:
        temporary.write_text(json.dumps(asdict(found), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def _name(folder: Path) -> str | None:
    """The name of the study that a folder holds; None where there is none, or none that can be read."""
    try:
        return about(folder).name
    except InputError:
        return None


def write_points(folder: Path, points: Iterable[Point], parameters: Sequence[str]) -> None:
    """Writes the table of the study's points. Raises InputError where the folder cannot be written."""
    import pandas as pd

    rows = [
        (
            one.key,
            one.trace.label,
            one.hardware.accelerator,
            *(one.hardware.values[parameter] for parameter in parameters),
            one.pruning,
            one.images,
            one.batch,
            one.trace.sha256,
        )
        for one in points
    ]
    table = pd.DataFrame(rows, columns=["key", *AXES_BEFORE, *parameters, *AXES_BEHIND, "trace_sha256"])
    for parameter in parameters:
        if len({type(value) for value in table[parameter] if value is not None} - {int, float}) > 1:
            table[parameter] = table[parameter].astype(str)  # a column of a file has one type
    _write(table, folder / POINTS)


def _write(table: "pd.DataFrame", path: Path) -> None:
    with whole_file(path) as temporary:
        table.to_parquet(temporary, index=False)


def points(folder: Path) -> "pd.DataFrame":
    """The points of the study. Raises InputError where they cannot be read."""
    return _read(folder / POINTS, folder)


def _read(path: Path, folder: Path) -> "pd.DataFrame":
    import pandas as pd

    try:
        return pd.read_parquet(path)
    except FileNotFoundError:
        raise InputError(f"{folder}: no study here (no {path.name}); `fmapsim study run` makes one") from None
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read ({error}); run the study again, which loses nothing") from None


def results(folder: Path) -> "pd.DataFrame":
    """The table of results, one row per finished point, in the order of the study's points.

    Columns: trace, accelerator, a column per parameter (numbers in base units), pruning, images, batch, status (done or
    failed), error, the metrics (see `metrics`), run_seconds, cpu_seconds, key, trace_sha256, fmapsim. Written to
    results.parquet where that is older than what was found. Raises InputError where there is no study.
    """
    path = folder / RESULTS
    sources = [folder / ABOUT, folder / POINTS, *journals(folder)]
    if path.is_file():
        newest = max((source.stat().st_mtime_ns for source in sources if source.is_file()), default=0)
        if path.stat().st_mtime_ns > newest:
            return _read(path, folder)
    table = _joined(folder)
    with contextlib.suppress(InputError, OSError):  # a folder that can only be read
        _write(table, path)
    return table


def _joined(folder: Path) -> "pd.DataFrame":
    import pandas as pd

    study, planned = about(folder), points(folder)
    rows = {key: row for row, key in enumerate(planned["key"])}
    status, errors = [""] * len(rows), [""] * len(rows)
    columns: dict[str, array[float]] = {}
    for outcome in outcomes(folder):
        row = rows.get(outcome.key)
        if row is None:
            continue
        status[row], errors[row] = outcome.status, outcome.error
        found = {**outcome.metrics, **{name: getattr(outcome, name) for name in TOOK}}
        for name, value in found.items():
            if name not in columns:
                columns[name] = array("d", [math.nan]) * len(rows)
            columns[name][row] = math.nan if value is None else value
    axes = [*AXES_BEFORE, *study.parameters, *AXES_BEHIND]
    took = {name: np.asarray(columns.pop(name, [])) for name in TOOK}
    table = pd.concat(
        [
            planned[axes],
            pd.DataFrame({"status": status, "error": errors}),
            pd.DataFrame({name: _column(values) for name, values in columns.items()}),
            pd.DataFrame(took),
            planned[["key", "trace_sha256"]],
        ],
        axis=1,
    )
    table["fmapsim"] = study.fmapsim
    return table[table["status"] != ""].reset_index(drop=True)


def _column(values: "array[float]") -> Any:
    """A metric as whole numbers where all of them are."""
    import pandas as pd

    found = np.asarray(values)
    known = found[~np.isnan(found)]
    whole = bool(len(known)) and bool((known == np.rint(known)).all()) and float(np.abs(known).max()) < 2**53
    return pd.Series(found).astype("Int64") if whole else found
