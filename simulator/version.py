"""The version and the revision, in one place that costs nothing to import."""

import hashlib
from functools import cache
from pathlib import Path

VERSION = "0.1.0"

RESULTS_FOLLOW_FROM = (
    *("trace", "hardware", "compression", "mapping", "dram", "machine", "api.py"),
    *("report/report.py", "report/spread.py", "study/metrics.py"),
)
"""The parts of the package that decide what a simulation finds; others draw it, write it down or prepare its inputs."""


@cache
def revision() -> str:
    """The version with a digest of the sources that results follow from: `0.1.0+` and 12 hexadecimal digits.

    Differs between two states of the code that may find different things, whatever their version says.
    """
    package, found = Path(__file__).parent, hashlib.sha256()
    for part in RESULTS_FOLLOW_FROM:
        path = package / part
        for file in [path] if path.is_file() else sorted(path.rglob("*.py")):
            found.update(file.relative_to(package).as_posix().encode() + b"\0" + file.read_bytes() + b"\0")
    return f"{VERSION}+{found.hexdigest()[:12]}"
