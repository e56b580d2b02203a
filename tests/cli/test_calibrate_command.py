"""`fmapsim calibrate` on a small network of the user's own and forty images, and `extract` with the file it writes."""

import importlib
import json
import sys
from pathlib import Path

import numpy as np
import pytest
from cli_inputs import Run

torch = pytest.importorskip("torch", reason="calibration needs PyTorch")
image = pytest.importorskip("PIL.Image", reason="calibration needs Pillow")

from simulator.trace.trace import load_trace  # noqa: E402

NETWORK = """
from torch import nn

class Net(nn.Sequential):
    input_shape = (3, 16, 16)
    num_classes = 6

def build():
    return Net(nn.Conv2d(3, 16, 3, padding=1), nn.ReLU(), nn.Conv2d(16, 16, 3, stride=2), nn.ReLU(),
               nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(16, 6))
"""


@pytest.fixture
def workshop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with the module `calibrated_net`, images in `images.npz` and `unlabelled`."""
    (tmp_path / "calibrated_net.py").write_text(NETWORK, encoding="utf-8")
    random = np.random.default_rng(0)
    pixels = random.integers(0, 256, (40, 16, 16, 3), dtype=np.uint8)
    np.savez(tmp_path / "images.npz", images=pixels, labels=random.integers(0, 6, 40))
    (tmp_path / "unlabelled").mkdir()
    image.fromarray(pixels[0]).save(tmp_path / "unlabelled" / "0.png")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delitem(sys.modules, "calibrated_net", raising=False)
    importlib.invalidate_caches()
    return tmp_path


def arguments(**changes: object) -> list[object]:
    options = {
        "images": "images.npz",
        "select": "0:24",
        "evaluate": "24:40",
        "hardware": "edge-npu",
        "simulate": 1,
        "max-loss": 10,
        "out": "new/epsilon.json",
    } | changes
    pairs = ((f"--{key}", value) for key, value in options.items() if value is not None)
    return ["calibrate", "calibrated_net:build", *(word for pair in pairs for word in pair)]


@pytest.mark.parametrize("replace", ["zero", "mean"])
def test_a_table_and_a_file_that_extract_takes(run: Run, workshop: Path, replace: str) -> None:
    ran = run(*arguments(replace=replace))
    assert ran.code == 0, ran.err
    for name in ("unpruned", "epsilon 0", "global epsilon", "calibrated", "top-1 on 16 images"):
        assert name in ran.out
    assert [path.name for path in (workshop / "new").iterdir()] == ["epsilon.json"]
    content = json.loads((workshop / "new" / "epsilon.json").read_text(encoding="utf-8"))
    assert str(workshop) not in json.dumps(content), "no paths of this machine"
    assert content["provenance"]["command"].startswith("fmapsim calibrate calibrated_net:build --images images.npz")
    assert content["provenance"]["calibration_images"]["selection"] == "0:24"
    assert bool(content["means"]) == (replace == "mean")
    extract = ["extract", "calibrated_net:build", "--images", "images.npz", "--select", "24:40", "--out", "pruned"]
    for option in ("--epsilon", "--epsilon-file"):
        ran = run(*extract, option, "new/epsilon.json")
        assert ran.code == 0, ran.err
    trace = load_trace("pruned.trace.safetensors")
    assert trace.accuracy is not None
    [row] = [row for row in content["results"]["rows"] if row["name"] == "calibrated"]
    assert trace.accuracy.top1 == pytest.approx(row["top1"])
    assert trace.pruning is not None
    assert trace.pruning.thresholds_by_channel
    simulate = [
        "simulate",
        "pruned.trace.safetensors",
        "--hardware",
        "edge-npu",
        "--pruning",
        "dynamic",
        "--images",
        "0",
    ]
    assert "pruning.thresholds is layer; make them equal" in run(*simulate, "--out", "report").mistake()
    unit = ["--set", "pruning.thresholds=channel", "--set", f"pruning.replacement={replace}"]
    assert run(*simulate, *unit, "--no-figures", "--out", "report").code == 0
    found = run(*extract, "--epsilon", "new/epsilon.json", "--rule", "mean").mistake()
    assert found.startswith("--rule mean: new/epsilon.json was calibrated for what it says itself")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"images": "missing.npz"}, "missing.npz: does not exist"),
        ({"images": "unlabelled"}, "--images unlabelled: has no labels"),
        ({"select": "0:50"}, "--select 0:50: no image 49"),
        ({"evaluate": "x"}, "--evaluate: found 'x'"),
        ({"evaluate": "20:40"}, "--select 0:24 and --evaluate 20:40 share 4 images"),
        ({"hardware": "eyeris"}, "did you mean 'eyeriss'"),
        ({"hardware": "edge-npu", "set": "pruning.side=ifm"}, "on the side ifm; calibration needs"),
        ({"set": "clok=3"}, "unknown key 'clok'"),
        ({"objective": "time"}, "'--objective'"),
        ({"thresholds": "norm"}, "'--thresholds'"),
        ({"replace": "median"}, "'--replace'"),
        ({"rule": "most"}, "rule 'most', expected all, mean or a share such as 99%"),
        ({"max-loss": "-1"}, "--max-loss: found -1"),
        ({"max-loss": "nan"}, "--max-loss: found nan"),
        ({"simulate": 0}, "'--simulate'"),
        ({"weights": "missing.pth"}, "missing.pth: no such file"),
        ({"select": None}, "'--select'"),
    ],
)
def test_mistakes(run: Run, workshop: Path, changes: dict[str, object], message: str) -> None:
    assert message in run(*arguments(**changes)).mistake()
    assert not (workshop / "new").exists()


def test_labels_that_are_no_class(run: Run, workshop: Path) -> None:
    with np.load("images.npz") as file:
        np.savez("wrong.npz", images=file["images"], labels=file["labels"] + 3)
    assert "class index" in run(*arguments(images="wrong.npz")).mistake()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"fmapsim_epsilons": 9, "network": "x", "epsilon": {}}', "fmapsim_epsilons 9, expected 1"),
        ('{"fmapsim_epsilons": 1, "network": "x"}', "key 'epsilon' is missing"),
        (
            '{"fmapsim_epsilons": 1, "network": "x", "epsilon": {"0": [0.1]}}',
            "1 numbers, expected one for each of its 16",
        ),
        ('{"fmapsim_epsilons": 1, "network": "x", "epsilon": {"9": 0.1}}', "epsilon for layer '9': no such layer"),
        ('{"0": [0.1, "x"]}', "layer '0': found x, expected a number of 0 or more"),
        ('{"0": 0.1, "0": 0.2}', "key '0' stands twice"),
    ],
)
def test_files_of_epsilons_that_are_wrong(run: Run, workshop: Path, text: str, message: str) -> None:
    (workshop / "epsilon.json").write_text(text, encoding="utf-8")
    found = run("extract", "calibrated_net:build", "--images", "images.npz", "--epsilon", "epsilon.json", "--out", "x")
    assert message in found.mistake()
