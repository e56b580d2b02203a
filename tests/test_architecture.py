"""Imports point one way, as docs/architecture.md says, and the core neither needs nor loads torch."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import simulator

PACKAGE = Path(simulator.__file__).parent

MAY_IMPORT: dict[str, set[str]] = {
    "errors": set(),
    "version": set(),
    "resources": set(),
    "near_file": set(),
    "whole_file": {"errors"},
    "validated": set(),
    "trace": {"errors", "whole_file", "resources", "near_file"},
    "hardware": {"errors", "validated", "resources", "near_file"},
    "compression": {"errors"},
    "mapping": {"errors", "validated", "trace", "hardware", "compression"},
    "dram": {"errors", "hardware", "resources"},
    "machine": {"errors", "trace", "hardware", "compression", "mapping", "dram"},
    "report": {"errors", "whole_file", "trace", "machine"},
    "sparsity": {"errors", "whole_file", "trace", "compression", "report"},
    "study": {"errors", "validated", "whole_file", "near_file", "trace", "hardware", "report", "api", "version"},
    "validation": {"errors", "resources", "trace", "hardware", "mapping", "report", "api", "measure", "version"},
    "extract": {"errors", "trace", "version"},
    "api": {"errors", "trace", "hardware", "machine", "report", "version"},
    "pruning": {"errors", "whole_file", "trace", "hardware", "report", "extract", "api"},
    "measure": {
        "errors",
        "whole_file",
        "validated",
        "version",
        "trace",
        "hardware",
        "machine",
        "report",
        "extract",
        "api",
        "pruning",
    },
    "demo": {"errors", "whole_file", "trace", "hardware", "machine", "report", "extract", "api", "version"},
}
ON_TOP = {"cli", "commands", "__main__", "__init__"}
WITH_TORCH = {"extract", "pruning", "measure", "demo"}


def modules() -> list[Path]:
    return sorted(path for path in PACKAGE.rglob("*.py") if "_data" not in path.parts)


def part_of(path: Path) -> str:
    first = path.relative_to(PACKAGE).parts[0]
    return first.removesuffix(".py")


def imported(path: Path) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module)
            names |= {f"{node.module}.{alias.name}" for alias in node.names if node.module == "simulator"}
        assert not (isinstance(node, ast.ImportFrom) and node.level), f"{path}: relative import"
    return names


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_point_one_way(path: Path) -> None:
    part = part_of(path)
    if part in ON_TOP:
        return
    assert part in MAY_IMPORT, f"{part} is not in docs/architecture.md"
    used = {name.split(".")[1] for name in imported(path) if name.startswith("simulator.")}
    forbidden = used - MAY_IMPORT[part] - {part}
    assert not forbidden, f"{path.relative_to(PACKAGE)} imports {sorted(forbidden)}"
    if part not in WITH_TORCH:
        assert not any(name.split(".")[0] in ("torch", "PIL", "sklearn") for name in imported(path))


def test_every_part_is_described() -> None:
    page = (PACKAGE.parent / "docs" / "architecture.md").read_text(encoding="utf-8")
    for part in {part_of(path) for path in modules()} & set(MAY_IMPORT):
        row = next((line for line in page.splitlines() if line.startswith(f"| `{part}`")), None)
        assert row is not None, f"docs/architecture.md has no row for {part}"
        listed = {name for name in MAY_IMPORT if f"`{name}`" in row.split("|")[3]}
        assert listed == MAY_IMPORT[part], f"docs/architecture.md says that {part} may import {sorted(listed)}"


def test_the_core_simulates_without_torch() -> None:
    code = """
import sys
sys.modules['torch'] = None
import simulator
trace = simulator.trace_from_layers('x', [simulator.conv_layer('c', (3, 16, 16), 8, (3, 3))])
report = simulator.simulate(trace, 'eyeriss')
assert report.totals['macs_dense'] == trace.layers[0].macs
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_importing_simulator_loads_nothing_heavy() -> None:
    heavy = ("torch", "pandas", "numpy", "simpy", "pydantic")
    code = f"import sys, simulator; print([name for name in {heavy} if name in sys.modules])"
    result = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert result.stdout.strip() == "[]"
