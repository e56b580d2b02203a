"""Side by side with the design-space explorer ZigZag 3.9.1: ResNet-18 on its own accelerator `tpu_like`."""

import json
import tempfile
from collections.abc import Iterator
from pathlib import Path

from benchmarks.options import Options
from benchmarks.peer import peer_python
from benchmarks.process import ProcessError, least, measure, repeated, task
from benchmarks.results import Row, skipped

NAME = "zigzag"
NETWORK = "resnet18"
PEER_ACCELERATOR = "tpu_like"
PRESET = "zigzag-tpu-like"
REQUIREMENTS = ("zigzag-dse==3.9.1", "six")
"""ZigZag imports six without asking for it."""
VENV = Path(__file__).resolve().parent / ".venv-zigzag"
BOUND = 100.0
REPEATS = 3


def run(options: Options) -> Iterator[Row]:
    """CPU time and peak memory of both, and beside each other what they say of the network. ZigZag runs once."""
    try:
        python = peer_python(VENV, REQUIREMENTS)
    except ProcessError as error:
        yield skipped(NAME, REQUIREMENTS[0], f"cannot be installed: {error}")
        return
    first = ["1"] if options.quick else []
    runs = repeated(task("simulate_network", NETWORK, PRESET, *first), 1 if options.quick else REPEATS)
    with tempfile.TemporaryDirectory() as folder:
        peer = measure(task("zigzag_peer", NETWORK, PEER_ACCELERATOR, folder, *first, python=python))
    theirs, ours = json.loads(peer.output), json.loads(runs[0].output)
    what = f"{NETWORK}, conv1 alone" if options.quick else NETWORK
    cpu, peak = least(runs, lambda run: run.cpu_s), least(runs, lambda run: run.peak_mib)
    note = f"{peer.cpu_s:.1f} s and {cpu:.2f} s, each a fresh process with its imports; lpf_limit {theirs['lpf_limit']}"
    bound = None if options.quick else BOUND
    yield Row(NAME, f"{what}: CPU, ZigZag over fmapsim", peer.cpu_s / cpu, "×", bound, "at least", note)
    work = least(runs, lambda run: float(json.loads(run.output)["work_s"]))
    note = f"{theirs['work_s']:.1f} s and {work:.2f} s"
    yield Row(NAME, f"{what}: CPU without imports, ZigZag over fmapsim", theirs["work_s"] / work, "×", note=note)
    note = f"{peer.peak_mib:.0f} MiB and {peak:.0f} MiB"
    yield Row(NAME, f"{what}: peak RSS, ZigZag over fmapsim", peer.peak_mib / peak, "×", note=note)
    layers = f"{what}, {ours['layers']} layers with MACs"
    if ours["layers"] != theirs["layers"]:
        layers += f" ({theirs['layers']} in ZigZag)"
    everything = f"all {ours['all_layers']} layers of fmapsim"
    note = f"{ours['cycles']:,} and {theirs['cycles']:,.0f}; {everything} {ours['all_cycles']:,}"
    yield Row(NAME, f"{layers}: cycles, fmapsim over ZigZag", ours["cycles"] / theirs["cycles"], "×", note=note)
    own, other, total = (energy / 1e9 for energy in (ours["energy_pj"], theirs["energy_pj"], ours["all_energy_pj"]))
    note = f"{own:.3f} mJ and {other:.3f} mJ; {everything} {total:.3f} mJ"
    yield Row(NAME, f"{layers}: energy, fmapsim over ZigZag", own / other, "×", note=note)
