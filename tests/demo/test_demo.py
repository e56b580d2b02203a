"""The demo's network, its channel cut, and the whole story with one epoch of training."""

from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("sklearn")

from rich.console import Console  # noqa: E402

from simulator.demo import digits  # noqa: E402
from simulator.demo.run import ACCELERATORS, EPSILONS, run_demo  # noqa: E402
from simulator.errors import InputError  # noqa: E402


def test_cutting_all_but_dead_channels_changes_nothing() -> None:
    """Channels whose kernels are zero contribute nothing: without them the network computes the same."""
    torch.manual_seed(0)
    model = digits.DigitsNet().eval()
    with torch.no_grad():
        for block in model.blocks:
            half = block.expand.weight.shape[0] // 2
            block.depthwise.weight[half:] = 0
            block.depthwise_norm.bias[half:] = 0
            block.depthwise_norm.running_mean[half:] = 0
    small = digits.cut_channels(model, 0.5)
    images = torch.rand(4, 1, 32, 32)
    with torch.inference_mode():
        assert torch.allclose(model(images), small(images), atol=1e-5)
    assert sum(p.numel() for p in small.parameters()) < sum(p.numel() for p in model.parameters())


def test_the_data_are_split_without_overlap() -> None:
    data = digits.load_data()
    assert data.train_images.shape == (1437, 1, 32, 32)
    assert data.test_images.shape == (360, 1, 32, 32)


def test_the_demo_writes_traces_reports_and_figures(tmp_path: Path) -> None:
    console = Console(record=True, width=80, quiet=False, file=open(tmp_path / "log", "w"))  # noqa: SIM115
    rows = run_demo(tmp_path / "out", epochs=1, images=2, console=console)
    assert len(rows) == len(ACCELERATORS) * (4 + len(EPSILONS))
    text = console.export_text()
    for accelerator in ACCELERATORS:
        assert accelerator in text
        assert (tmp_path / "out" / "figures" / accelerator / "bandwidth.png").is_file()
        assert "static + dynamic" in (tmp_path / "out" / f"{accelerator}.html").read_text(encoding="utf-8")
        assert f"{accelerator}.html" in text
    assert "…" not in text  # no column is cut at 80 columns
    by_name = {(row.accelerator, row.variant): row for row in rows}
    for accelerator in ACCELERATORS:
        dense, static = by_name[accelerator, "dense"], by_name[accelerator, "static"]
        assert static.report.totals["dram_bytes"] < dense.report.totals["dram_bytes"]
        assert by_name[accelerator, "dynamic 0"].accuracy == dense.accuracy
    assert len(list((tmp_path / "out" / "traces").glob("*.trace.safetensors"))) == 2 + len(EPSILONS)


def test_an_unwritable_folder_is_refused_before_any_work(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot be written"):
        run_demo(tmp_path / "file" / "out")
