"""`fmapsim extract` on a small network of the user's own and four images."""

import hashlib
import importlib
import json
import os
import pickle
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cli_inputs import Run

torch = pytest.importorskip("torch", reason="extraction needs PyTorch")
image = pytest.importorskip("PIL.Image", reason="extraction needs Pillow")

from simulator.report.save import load_report  # noqa: E402
from simulator.trace.trace import load_trace  # noqa: E402

NETWORK = """
from torch import nn

class Net(nn.Sequential):
    input_shape = (3, 16, 16)
    num_classes = 6

def build():
    return Net(nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 4, 3, stride=2), nn.ReLU(),
               nn.Flatten(), nn.Linear(4 * 7 * 7, 6))

def broken():
    return nn.Sequential(nn.Conv2d(5, 8, 3))
"""


class Evil:
    """Pickled, this makes a folder when it is loaded without care."""

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, ("owned",)


@pytest.fixture
def workshop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with the module `own_net`, a folder `photos` of four images, and `labels.tsv`."""
    (tmp_path / "own_net.py").write_text(NETWORK, encoding="utf-8")
    (tmp_path / "photos").mkdir()
    random = np.random.default_rng(0)
    for number in range(4):
        pixels = random.integers(0, 256, (16, 16, 3), dtype=np.uint8)
        image.fromarray(pixels).save(tmp_path / "photos" / f"{number}.png")
    rows = "".join(f"{number}.png\t{number}\n" for number in range(4))
    (tmp_path / "labels.tsv").write_text(f"file\tclass_index\n{rows}", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delitem(sys.modules, "own_net", raising=False)
    importlib.invalidate_caches()
    return tmp_path


def test_a_network_of_ones_own_to_a_report(run: Run, workshop: Path) -> None:
    ran = run("extract", "own_net:build", "--images", "photos", "--labels", "labels.tsv", "--out", "traces/own")
    assert (ran.code, ran.err) == (0, "")
    assert "own_net:build: 4 images, 3 layers" in ran.out
    assert "fmapsim simulate traces/own.trace.safetensors --hardware eyeriss" in ran.out
    trace = load_trace(workshop / "traces" / "own.trace.safetensors")
    assert [layer.operator for layer in trace.layers] == ["conv", "conv", "linear"]
    assert trace.accuracy is not None
    assert trace.accuracy.images == 4
    assert (
        run("simulate", "traces/own.trace.safetensors", "--hardware", "eyeriss", "--out", "out", "--no-figures").code
        == 0
    )
    assert load_report(workshop / "out").meta["trace"] == "own_net:build"


def test_values_on_request_and_what_is_said_without_them(run: Run, workshop: Path) -> None:
    as_ebpc = ("--hardware", "edge-npu", "--set", "compression.feature_map=ebpc", "--no-figures")
    for more, code in ((("--values", "8"), 0), ((), 2)):
        assert run("extract", "own_net:build", "--images", "photos", "--out", "own", *more).code == 0
        assert load_trace("own.trace.safetensors").value_bits == (8 if more else None)
        ran = run("simulate", "own.trace.safetensors", *as_ebpc, "--out", f"out{code}")
        assert (ran.code == 0) == (code == 0)
    assert "codec 'ebpc' codes values" in ran.err
    assert "--values 8" in ran.err
    refused = run("extract", "own_net:build", "--images", "photos", "--out", "own", "--values", "40")
    assert refused.code != 0
    assert "values of 40 bits cannot be recorded" in refused.err
    assert run("extract", "own_net:build", "--shapes-only", "--out", "own", "--values", "8").code != 0


def test_provenance_says_how_to_make_it_again(run: Run, workshop: Path) -> None:
    sys.path.insert(0, str(workshop))
    try:
        weights = workshop / "trained weights.pt"
        torch.save(importlib.import_module("own_net").build().state_dict(), weights)
    finally:
        sys.path.remove(str(workshop))
    arguments = ["own_net:build", "--images", workshop / "photos", "--weights", weights, "--select", "1:3"]
    arguments += ["--epsilon", "0.05", "--relative", "--calibration", "0", "--out", workshop / "own"]
    assert run("extract", *arguments, "--name", "own/net", "--batch-size", "1").code == 0
    trace = load_trace("own.trace.safetensors")
    provenance = trace.provenance
    assert provenance["command"] == (
        "fmapsim extract own_net:build --out own --images photos --weights 'trained weights.pt' --select 1:3 "
        "--batch-size 1 --name own/net --epsilon 0.05 --relative --calibration 0"
    )
    digest = hashlib.sha256(weights.read_bytes()).hexdigest()
    assert provenance["weights"] == {"file": "trained weights.pt", "sha256": digest}
    images = provenance["images"]
    assert (images["source"], images["count"], images["selection"]) == ("photos", 2, "1:3")
    assert len(images["fingerprint"]) == 64
    assert {"fmapsim", "torch", "date"} <= set(provenance)
    assert str(workshop) not in json.dumps(dict(provenance))
    assert trace.name == "own/net"
    assert trace.pruning is not None
    assert trace.pruning.relative


def test_an_epsilon_per_layer_from_a_file(run: Run, workshop: Path) -> None:
    for name, text in (("e.yaml", "'0': 0.5\n"), ("e.json", '{"0": 0.5}')):
        (workshop / name).write_text(text, encoding="utf-8")
        assert run("extract", "own_net:build", "--images", "photos", "--epsilon-file", name, "--out", "own").code == 0
        recorded = load_trace("own.trace.safetensors").pruning
        assert recorded is not None
        assert recorded.epsilon == {"0": 0.5}


def test_granularity_tile_rule_and_side(run: Run, workshop: Path) -> None:
    common = ("extract", "own_net:build", "--images", "photos", "--epsilon", "0.1", "--out", "own")
    assert run(*common, "--granularity", "tile", "--tile", "4x2", "--rule", "99%").code == 0
    recorded = load_trace("own.trace.safetensors").pruning
    assert recorded is not None
    assert (recorded.granularity, tuple(recorded.tile or ()), recorded.rule) == ("tile", (4, 2), "99%")
    assert run(*common, "--side", "ifm").code == 0
    shown = run("trace", "show", "own.trace.safetensors").out
    assert "recorded with epsilon 0.1 per feature map (ifm side, rule all)" in " ".join(shown.split())


def test_shapes_only(run: Run, workshop: Path) -> None:
    ran = run("extract", "squeezenet1_1", "--shapes-only", "--out", "shapes")
    assert (ran.code, ran.err) == (0, "")
    trace = load_trace("shapes.trace.safetensors")
    assert not trace.has_maps
    assert sum(layer.macs for layer in trace.layers) == 349_151_936
    assert run("extract", "own_net:build", "--shapes-only", "--name", "own", "--out", "own").code == 0
    assert load_trace("own.trace.safetensors").layers[0].ifm == (3, 16, 16)
    for option in (["--images", "photos"], ["--epsilon", "0"]):
        found = run("extract", "own_net:build", "--shapes-only", "--out", "x", *option).mistake()
        assert found.startswith(f"{option[0]} does not go with --shapes-only")


def test_sizes_of_a_pruned_network(run: Run, workshop: Path) -> None:
    assert run("prune", "own_net:build", "--criterion", "l1", "--budget", "macs 0.6", "--out", "small").code == 0
    common = ("extract", "own_net:build", "--weights", "small.safetensors", "--out", "small")
    assert run(*common, "--images", "photos").code == 0
    weights = load_trace("small.trace.safetensors").provenance["weights"]
    assert isinstance(weights, dict)
    assert weights["command"].startswith("fmapsim prune own_net:build --out small --criterion l1"), weights
    assert run(*common, "--shapes-only").code == 0
    found = load_trace("small.trace.safetensors").layers
    assert found[0].ofm[0] < 8
    assert found[1].kernel == (found[1].ofm[0], found[0].ofm[0], 3, 3)


def test_labels_are_needed_for_the_images_chosen_alone(run: Run, workshop: Path) -> None:
    Path("two.tsv").write_text("1.png\t3\n2.png\t4\n", encoding="utf-8")
    common = ("extract", "own_net:build", "--images", "photos", "--labels", "two.tsv", "--out", "own")
    assert run(*common, "--select", "1:3").code == 0
    assert "no label for image 0.png (2 of 4 images have none)" in run(*common).mistake()


def test_what_to_simulate_with_follows_from_the_recording(run: Run, workshop: Path) -> None:
    """The command that is printed runs as it stands."""
    Path("epsilons.json").write_text(json.dumps({"0": [0.1] * 8}), encoding="utf-8")
    for options in (["--epsilon", "0.1"], ["--epsilon", "epsilons.json"], ["--epsilon", "0.1", "--rule", "90%"]):
        ran = run("extract", "own_net:build", "--images", "photos", *options, "--out", "own")
        [line] = [line for line in ran.out.splitlines() if line.startswith("  fmapsim simulate")]
        assert "--pruning dynamic" in line
        assert run(*line.split()[1:], "--no-figures").code == 0, line
    assert "short side to 16, centre 16x16, RGB, (pixel - [123.7, 116.3, 103.5])" in " ".join(ran.out.split())


def test_random_weights_are_said_to_be_random(run: Run, workshop: Path) -> None:
    ran = run("extract", "cifar_resnet20", "--images", "photos", "--select", "0", "--out", "random")
    assert "note: without --weights the parameters are random" in ran.out
    assert load_trace("random.trace.safetensors").provenance["weights"]["origin"] == "random, from a fixed seed"


def test_parameters_of_ones_own_module_may_be_random(run: Run, workshop: Path) -> None:
    common = ("extract", "own_net:build", "--images", "photos", "--out", "own")
    said = "note: the parameters are as own_net:build gives them: random, unless it loads trained ones"
    assert said in run(*common).out
    with_weights = Path("trained.pt")
    torch.save(importlib.import_module("own_net").build().state_dict(), with_weights)
    assert "note:" not in run(*common, "--weights", with_weights).out
    assert "note:" not in run("extract", "own_net:build", "--shapes-only", "--out", "own").out


def test_interrupting_leaves_no_file(run: Run, workshop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("simulator.extract.images.ImageSet.load", interrupt)
    before = sorted(workshop.iterdir())
    ran = run("extract", "own_net:build", "--images", "photos", "--out", "new/own")
    assert (ran.code, ran.out, ran.err) == (130, "", "fmapsim: interrupted\n")
    assert [path for path in sorted(workshop.iterdir()) if path.name != "__pycache__"] == before


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "--images is missing"),
        (["--images", "missing"], "missing: does not exist"),
        (["--images", "empty"], "empty: holds no images, expected .jpg"),
        (["--images", "own_net.py"], "own_net.py: is not an uncompressed tar of images"),
        (["--images", "photos", "--labels", "few.tsv"], "few.tsv: no label for image 1.png"),
        (["--images", "photos", "--labels", "large.tsv"], "0.png has class index 6, expected 0..5 for this network"),
        (["--images", "photos", "--select", "0:5"], "--select 0:5: no image 4; there are 4 (0 is the first)"),
        (["--images", "photos", "--select", "all"], "--select: found 'all', expected images such as"),
        (["--images", "photos", "--calibration", "9"], "--calibration 9: no image 9"),
        (["--images", "photos", "--calibration", "1"], "calibration images are given, but epsilon is not relative"),
        (["--images", "photos", "--epsilon", "-1"], "--epsilon: found -1.0, expected a number of 0 or more"),
        (["--images", "photos", "--epsilon", "nan"], "--epsilon: found nan, expected a number of 0 or more"),
        (["--images", "photos", "--epsilon", "x"], "--epsilon: found 'x', expected a number or a file of epsilons"),
        (["--images", "photos", "--epsilon", "1", "--epsilon-file", "e.yaml"], "exclude each other"),
        (["--images", "photos", "--epsilon-file", "missing"], "missing: cannot be read (No such file"),
        (["--images", "photos", "--epsilon-file", "photos"], "photos: cannot be read (Is a directory)"),
        (["--images", "photos", "--epsilon-file", "list.yaml"], "list.yaml: found list, expected layers and their"),
        (["--images", "photos", "--epsilon-file", "wrong.yaml"], "wrong.yaml: layer 'conv1': found high, expected a"),
        (["--images", "photos", "--epsilon-file", "unknown.yaml"], "conv9"),
        (["--images", "photos", "--epsilon-file", "twice.yaml"], "twice.yaml:2: key 'conv1' stands twice"),
        (["--images", "photos", "--epsilon-file", "twice.json"], "twice.json: key 'conv1' stands twice"),
        (["--images", "photos", "--epsilon-file", "empty.yaml"], "empty.yaml: found NoneType, expected layers"),
        (["--images", "photos", "--epsilon-file", "photos/0.png"], "0.png: neither JSON nor YAML"),
        (["--images", "photos", "--relative"], "without epsilon nothing is pruned"),
        (["--images", "photos", "--epsilon", "0", "--tile", "4"], "--tile: found '4', expected rows and columns"),
        (["--images", "photos", "--epsilon", "0", "--tile", "4x4"], "tile"),
        (["--images", "photos", "--weights", "missing.pth"], "missing.pth: no such file"),
        (["--images", "photos", "--weights", "evil.pth"], "evil.pth: refused, the checkpoint holds Python objects"),
        (["--images", "photos", "--weights", "evil.pkl"], "evil.pkl: cannot be read as a PyTorch checkpoint"),
        (
            ["--images", "photos", "--weights", "other.pth"],
            "other.pth: parameter 0.bias is missing, expected shape [8]",
        ),
        (["--images", "photos", "--weights", "labels.tsv"], "labels.tsv: cannot be read as a PyTorch checkpoint"),
    ],
)
def test_mistakes(run: Run, workshop: Path, arguments: list[str], message: str) -> None:
    (workshop / "empty").mkdir()
    (workshop / "few.tsv").write_text("file\tclass_index\n0.png\t1\n", encoding="utf-8")
    (workshop / "large.tsv").write_text("".join(f"{n}.png\t{6 - n}\n" for n in range(4)), encoding="utf-8")
    (workshop / "list.yaml").write_text("[1, 2]", encoding="utf-8")
    (workshop / "wrong.yaml").write_text("conv1: high", encoding="utf-8")
    (workshop / "twice.yaml").write_text("conv1: 0.1\nconv1: 0.2", encoding="utf-8")
    (workshop / "twice.json").write_text('{"conv1": 0.1, "conv1": 0.2}', encoding="utf-8")
    (workshop / "empty.yaml").touch()
    (workshop / "unknown.yaml").write_text("conv9: 0.1", encoding="utf-8")
    (workshop / "evil.pkl").write_bytes(pickle.dumps(Evil()))
    torch.save(Evil(), workshop / "evil.pth")
    torch.save({"0.weight": torch.zeros(8, 3, 5, 5)}, workshop / "other.pth")
    found = run("extract", "own_net:build", *arguments, "--out", "new/own").mistake()
    assert message in found
    assert not (workshop / "new").exists()
    assert not (workshop / "owned").exists()


@pytest.mark.parametrize(
    ("network", "message"),
    [
        ("resnet51", "unknown network 'resnet51': did you mean resnet50"),
        ("own_net:missing", "own_net:missing: cannot be imported"),
        ("nothing_here:build", "nothing_here:build: cannot be imported (ModuleNotFoundError"),
        ("own_net:broken", "own_net:broken"),
        ("../own_net:build", "../own_net:build: found a path, expected module:function, with a module that Python can"),
        ("../own_net:build", " from the folder you are in or from sys.path: own_net:build with PYTHONPATH=.."),
        ("./own_net:build", "./own_net:build: found a path, "),
        ("../a b/own_net.py:build", "found a Python file, "),
        ("../a b/own_net.py:build", " from sys.path: own_net:build with PYTHONPATH='../a b'"),
        ("..:build", "..:build: found a path, "),
        ("own_net:", "own_net:: found a module alone, "),
        ("own_net", "own_net: found a module alone, "),
        ("own_net.py", "own_net.py: found a Python file, "),
        ("own_net.py", " from sys.path: own_net:FUNCTION"),
        ("missing.json", "missing.json: cannot be read"),
    ],
)
def test_networks_that_lead_nowhere(run: Run, workshop: Path, network: str, message: str) -> None:
    assert message in run("extract", network, "--images", "photos", "--out", "new/own").mistake()
    assert not (workshop / "new").exists()


def test_an_output_that_cannot_be(run: Run, workshop: Path) -> None:
    found = run("extract", "own_net:build", "--images", "photos", "--out", "labels.tsv/own").mistake()
    assert found == "labels.tsv: cannot be written (File exists)"
