"""A built wheel carries the accelerators and the traces."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest


def test_the_wheel_ships_hardware_and_traces(tmp_path: Path) -> None:
    pytest.importorskip("hatchling")
    root = Path(__file__).parent.parent
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(command, cwd=root, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("fmapsim-*.whl")
    names = set(zipfile.ZipFile(wheel).namelist())
    assert "simulator/_data/hwconfigs/eyeriss.yaml" in names
    assert "simulator/_data/hwconfigs/dram/DDR4-2400.yaml" in names
    assert "simulator/_data/hwconfigs/dram/ramulator2/HBM2-2000.yaml" in names
    assert "simulator/_data/traces/squeezenet1_1.trace.safetensors" in names
    assert "simulator/_data/traces/shapes/paper/mobilenet.trace.safetensors" in names
    assert "simulator/extract/networks/paper_networks.json" in names
    assert "simulator/py.typed" in names
    assert {f"simulator/report/page/assets/{name}" for name in ("page.html", "page.css", "main.js")} <= names
    unpacked = tmp_path / "installed"
    zipfile.ZipFile(wheel).extractall(unpacked)
    code = (
        "import simulator; trace = simulator.load_trace('squeezenet1_1'); "
        "report = simulator.simulate(trace, 'eyeriss', images=[0]); print(simulator.__file__, report.totals['cycles'])"
    )
    result = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env={"PYTHONPATH": str(unpacked)},
        check=True,
        capture_output=True,
        text=True,
    )
    assert str(unpacked) in result.stdout
