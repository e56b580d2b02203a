"""Strict systolic timing equals SCALE-Sim's compute cycles, to the cycle."""

from pathlib import Path

import pytest

from simulator.api import simulate
from simulator.trace.topology import trace_from_topology
from simulator.validation.scale_sim_data import ALEXNET_CSV, COMPUTE_CYCLES


@pytest.mark.parametrize("preset", COMPUTE_CYCLES)
def test_alexnet_compute_cycles(preset: str, tmp_path: Path) -> None:
    path = tmp_path / "alexnet.csv"
    path.write_text(ALEXNET_CSV)
    report = simulate(trace_from_topology(path), preset)
    expected = COMPUTE_CYCLES[preset]
    assert report.layers["compute_cycles"].tolist()[: len(expected)] == expected
