"""The machine and the versions that figures were measured with."""

import importlib.metadata
import os
import platform
import subprocess
from pathlib import Path

from benchmarks.process import ROOT

PACKAGES = ("numpy", "simpy", "pandas", "pyarrow", "pydantic", "torch")


def environment() -> dict[str, str]:
    """Processor, system, Python, package versions and the revision of this checkout."""
    return {
        "processor": f"{_processor()}, {os.cpu_count()} cores visible",
        "system": f"{platform.system()} {platform.machine()}",
        "Python": f"{platform.python_implementation()} {platform.python_version()}",
        "packages": ", ".join(f"{name} {_version(name)}" for name in PACKAGES),
        "fmapsim": _revision(),
        "load before the runs": f"{os.getloadavg()[0]:.2f} (average of one minute)",
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or "unknown"
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unknown")


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"


def _revision() -> str:
    version = _version("fmapsim")
    try:
        git = ["git", "-C", str(ROOT), "describe", "--always", "--dirty=, with changes"]
        found = subprocess.run(git, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return version
    return f"{version} (revision {found})"
