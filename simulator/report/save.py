"""A report on disk: report.json (totals, settings), and the tables as Parquet."""

import contextlib
import json
import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from simulator.errors import InputError
from simulator.report.report import Report

TABLES = ("layers", "traffic", "energy", "images", "spread", "schedule")
REPORT_FORMAT = 3


def save_report(report: Report, folder: str | Path) -> Path:
    """Writes report.json and one Parquet file per table into `folder`, each whole or not at all; returns the folder.

    report.json is written last: a folder that holds one holds the tables too. Raises InputError when the folder cannot
    be written.
    """
    folder = Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        staging = Path(tempfile.mkdtemp(dir=folder, prefix=".writing-"))
    except OSError as error:
        raise InputError(f"{folder}: cannot be written ({error.strerror})") from None
    try:
        (folder / "report.json").unlink(missing_ok=True)
        for table in TABLES:
            getattr(report, table).to_parquet(staging / f"{table}.parquet", index=False)
            os.replace(staging / f"{table}.parquet", folder / f"{table}.parquet")
        (staging / "report.json").write_text(json.dumps(report_json(report), indent=1) + "\n", encoding="utf-8")
        os.replace(staging / "report.json", folder / "report.json")
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    return folder


def remove_report(folder: Path) -> None:
    """Removes what `save_report` wrote into `folder`, and the folder where nothing else is left in it."""
    for name in ("report.json", *(f"{table}.parquet" for table in TABLES)):
        (folder / name).unlink(missing_ok=True)
    with contextlib.suppress(OSError):
        folder.rmdir()


def report_json(report: Report) -> dict[str, Any]:
    """Totals, energy by component and the settings that reproduce the run, as JSON values."""
    return {
        "format": REPORT_FORMAT,
        "totals": dict(report.totals),
        "energy_pj": {str(name): float(value) for name, value in report.energy_by_component().items()},
        **dict(report.meta),
    }


def load_report(folder: str | Path) -> Report:
    """The report that `save_report` wrote into `folder`; raises InputError when there is none or it is damaged."""
    import pandas as pd

    folder = Path(folder)
    path = folder / "report.json"
    try:
        meta: Mapping[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        if meta["format"] != REPORT_FORMAT:
            raise InputError(
                f"{path}: report format {meta['format']}, expected {REPORT_FORMAT}; "
                "another version of fmapsim wrote it: simulate again"
            )
        tables = {table: pd.read_parquet(folder / f"{table}.parquet") for table in TABLES}
    except FileNotFoundError as error:
        raise InputError(f"{folder}: not a report folder ({Path(error.filename).name} is missing)") from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{folder}: damaged report ({error})") from None
    derived = ("format", "totals", "energy_pj")
    return Report(**tables, meta={key: value for key, value in meta.items() if key not in derived})
