"""Virtual environments for the simulators that fmapsim is measured beside."""

import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.process import measure


def peer_python(folder: Path, requirements: Sequence[str]) -> Path:
    """The Python of the virtual environment `folder` that holds `requirements`, made when it is missing or differs.

    Raises ProcessError when they cannot be installed.
    """
    python, ready, wanted = folder / "bin" / "python", folder / ".ready", " ".join(requirements)
    if not (ready.is_file() and ready.read_text() == wanted):
        shutil.rmtree(folder, ignore_errors=True)
        measure([sys.executable, "-m", "venv", folder])
        (folder / ".gitignore").write_text("*\n")
        measure([python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *requirements])
        ready.write_text(wanted)
    return python
