"""Side by side with SCALE-Sim 3.0.0: its AlexNet topology on a 32×32 weight-stationary array."""

import csv
import json
import runpy
import tempfile
from collections.abc import Iterator
from pathlib import Path

from benchmarks.options import Options
from benchmarks.peer import peer_python
from benchmarks.process import ROOT, Measured, ProcessError, least, measure, repeated, task
from benchmarks.results import Row, skipped

NAME = "scale_sim"
PRESET = "scale-sim-32-ws"
REQUIREMENTS = ("scalesim==3.0.0", "numpy<2")
"""It does not run with numpy 2."""
VENV = Path(__file__).resolve().parent / ".venv-scalesim"
BOUND = 100.0
REPEATS = 3

CONFIG = """\
[general]
run_name = run
[run_presets]
InterfaceBandwidth = CALC
UseRamulatorTrace = False
[architecture_presets]
ArrayHeight = 32
ArrayWidth = 32
IfmapSramSzkB = 64
FilterSramSzkB = 64
OfmapSramSzkB = 64
IfmapOffset = 0
FilterOffset = 10000000
OfmapOffset = 20000000
Dataflow = ws
Bandwidth = 10
ReadRequestBuffer = 32
WriteRequestBuffer = 32
[layout]
IfmapCustomLayout = False
IfmapSRAMBankBandwidth = 10
IfmapSRAMBankNum = 10
IfmapSRAMBankPort = 2
FilterCustomLayout = False
FilterSRAMBankBandwidth = 10
FilterSRAMBankNum = 10
FilterSRAMBankPort = 2
[sparsity]
SparsitySupport = false
"""


def run(options: Options) -> Iterator[Row]:
    """CPU time, peak memory and compute cycles of both; SCALE-Sim once, without writing its traces to disk."""
    try:
        python = peer_python(VENV, REQUIREMENTS)
    except ProcessError as error:
        yield skipped(NAME, "SCALE-Sim 3.0.0", f"cannot be installed: {error}")
        return
    text = topology(1 if options.quick else None)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        csv_file = folder / "alexnet.csv"
        csv_file.write_text(text)
        runs = repeated(task("simulate_topology", csv_file, PRESET), 1 if options.quick else REPEATS)
        peer, peer_cycles = _peer(python, folder, csv_file, text)
    cycles = json.loads(runs[0].output)
    layers = "CONV1 alone" if options.quick else "AlexNet, 5 layers"
    cpu, peak = least(runs, lambda run: run.cpu_s), least(runs, lambda run: run.peak_mib)
    yield Row(
        NAME,
        f"{layers}: CPU, SCALE-Sim over fmapsim",
        peer.cpu_s / cpu,
        "×",
        None if options.quick else BOUND,
        "at least",
        f"{peer.cpu_s:.1f} s and {cpu:.2f} s, each a fresh process with its imports",
    )
    note = f"{peer.peak_mib:.0f} MiB and {peak:.0f} MiB"
    yield Row(NAME, f"{layers}: peak RSS, SCALE-Sim over fmapsim", peer.peak_mib / peak, "×", note=note)
    same = sum(ours == theirs for ours, theirs in zip(cycles, peer_cycles, strict=True))
    note = f"SCALE-Sim {peer_cycles}" + ("" if cycles == peer_cycles else f", fmapsim {cycles}")
    yield Row(NAME, f"{layers}: layers with equal cycles", same, "", len(peer_cycles), "exactly", note)


def topology(layers: int | None = None) -> str:
    """The topology file of the reference cycles, or its first layers."""
    data = runpy.run_path(str(ROOT / "simulator" / "validation" / "scale_sim_data.py"))
    lines = data["ALEXNET_CSV"].splitlines(keepends=True)
    return "".join(lines if layers is None else lines[: 1 + layers])


def layout(topology_text: str) -> str:
    """SCALE-Sim asks for a layout file with a line per layer, also where the configuration makes no use of it."""
    names = [line.partition(",")[0] for line in topology_text.splitlines()[1:]]
    return "".join(f"{name},{'1,' * 20}\n" for name in ("Layer name", *names))


def compute_cycles(report: str) -> list[int]:
    """Cycles without stalls per layer from COMPUTE_REPORT.csv."""
    rows = csv.DictReader(report.splitlines(), skipinitialspace=True)
    return [int(float(row["Total Cycles"])) - int(float(row["Stall Cycles"])) for row in rows]


def _peer(python: Path, folder: Path, csv_file: Path, text: str) -> tuple[Measured, list[int]]:
    config, layout_file, out = folder / "scale.cfg", folder / "layout.csv", folder / "out"
    config.write_text(CONFIG)
    layout_file.write_text(layout(text))
    run = measure(task("scale_sim_peer", config, csv_file, layout_file, out, python=python))
    return run, compute_cycles((out / "run" / "COMPUTE_REPORT.csv").read_text())
