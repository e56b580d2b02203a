"""The revision names every source that a result follows from."""

import subprocess
import sys
from pathlib import Path

import pytest
from docs_pages import ROOT

from simulator import version

PROBE = """
import sys
from pathlib import Path
from simulator import simulate
from simulator.hardware.load import load_accelerator
from simulator.study.metrics import metrics
from simulator.trace.find import find_trace
trace, accelerator = find_trace("tinynet"), load_accelerator("edge-npu")
metrics(simulate(trace, accelerator, images=(0,), pruning="dynamic"), trace, accelerator)
for module in sorted(sys.modules.values(), key=lambda module: module.__name__):
    if module.__name__.startswith("simulator"):
        print(Path(module.__file__).as_posix())
"""

DECIDE_NOTHING = (
    "__init__.py",
    "errors.py",
    "near_file.py",
    "resources.py",
    "validated.py",
    "version.py",
    "whole_file.py",
    "report/__init__.py",
    "study/__init__.py",
)


def test_what_a_simulation_runs_is_in_the_revision() -> None:
    ran = subprocess.run([sys.executable, "-c", PROBE], cwd=ROOT, capture_output=True, text=True, check=True)
    package = ROOT / "simulator"
    used = {Path(line).relative_to(package).as_posix() for line in ran.stdout.split()}
    assert "machine/simulate.py" in used
    named = version.RESULTS_FOLLOW_FROM
    left = {name for name in used if not any(name == part or name.startswith(f"{part}/") for part in named)}
    assert left <= set(DECIDE_NOTHING), left


def test_a_changed_source_is_another_revision(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for part in ("machine", "report"):
        (tmp_path / part).mkdir()
    (tmp_path / "version.py").touch()
    (tmp_path / "machine" / "simulate.py").write_text("1", encoding="utf-8")
    monkeypatch.setattr(version, "__file__", str(tmp_path / "version.py"))
    of = version.revision.__wrapped__
    first = of()
    assert first.startswith(f"{version.VERSION}+")
    assert of() == first
    (tmp_path / "report" / "save.py").write_text("2", encoding="utf-8")
    assert of() == first
    (tmp_path / "machine" / "simulate.py").write_text("2", encoding="utf-8")
    assert of() != first
