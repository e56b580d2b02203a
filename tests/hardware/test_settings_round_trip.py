"""What `fmapsim hardware show` prints is an accelerator file of the same accelerator."""

from pathlib import Path

import pytest

from simulator.commands.settings import settings_yaml
from simulator.hardware.load import load_accelerator, preset_names

UNUSUAL: dict[str, object] = {
    "buffers.ifm.read_bandwidth": "48 B/cycle",
    "buffers.ifm.allocation_unit": "4 KiB",
    "array.macs_by_bits": [{"bits": "16 bit", "macs": 1}, {"bits": "8 bit", "macs": 2}],
    "array.fold_load_rows": 2,
    "on_chip": {"feature_maps": True, "capacity": "1 MiB"},
    "layer_overhead": "2 us",
    "run_overhead": "1500 ns",
}


@pytest.mark.parametrize("name", preset_names())
def test_a_preset_comes_back(name: str, tmp_path: Path) -> None:
    accelerator = load_accelerator(name)
    path = tmp_path / "shown.yaml"
    path.write_text(settings_yaml(accelerator), encoding="utf-8")
    assert load_accelerator(path) == accelerator


def test_unusual_settings_come_back(tmp_path: Path) -> None:
    accelerator = load_accelerator("systolic-256", UNUSUAL)
    path = tmp_path / "shown.yaml"
    path.write_text(settings_yaml(accelerator), encoding="utf-8")
    assert load_accelerator(path) == accelerator
