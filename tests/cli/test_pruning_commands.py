"""`fmapsim prune`, `quantise`, `sparsify` and `criteria`, from a network and images to a trace that simulates."""

import importlib
import json
import re
import sys
from pathlib import Path

import numpy as np
import pytest
from cli_inputs import Run

torch = pytest.importorskip("torch", reason="pruning needs PyTorch")
pytest.importorskip("torch_pruning", reason="pruning needs torch-pruning")

from safetensors import safe_open  # noqa: E402
from safetensors.torch import load_file, save_file  # noqa: E402

from simulator.trace.trace import load_trace  # noqa: E402

FACTORY = """
from torch import nn

class Net(nn.Sequential):
    input_shape = (3, 16, 16)
    num_classes = 5

def build():
    return Net(nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 12, 3, stride=2), nn.ReLU(),
               nn.Flatten(), nn.Linear(12 * 7 * 7, 5))
"""


def convolution(name: str, read: str, inputs: int, outputs: int, kernel: int, groups: int = 1) -> dict[str, object]:
    edge = kernel // 2
    return {
        "name": name, "op": "conv", "in": [read], "in_ch": inputs, "out_ch": outputs, "k": [kernel, kernel],
        "stride": [1, 1], "pad": [edge] * 4, "groups": groups, "act": "relu",
    }  # fmt: skip


@pytest.fixture
def workshop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with `net.json` and its weights, the module `little_net`, and `images.npz` with labels."""
    nodes = [
        {"name": "data", "op": "input", "in": []},
        convolution("stem", "data", 3, 8, 3),
        convolution("inner", "stem", 8, 8, 3),
        convolution("deep", "inner", 8, 8, 3, groups=8),
        convolution("outer", "deep", 8, 8, 1),
        {"name": "sum", "op": "add", "in": ["outer", "stem"], "act": "relu"},
        {"name": "gap", "op": "gap", "in": ["sum"]},
        {**convolution("fc", "gap", 8, 5, 1), "act": "none", "fc": True},
    ]
    description = {
        "name": "net", "input": [3, 16, 16], "channel_order": "RGB", "mean": [100] * 3, "scale": [0.02] * 3,
        "num_classes": 5, "nodes": nodes,
    }  # fmt: skip
    (tmp_path / "net.json").write_text(json.dumps(description), encoding="utf-8")
    generator = torch.Generator().manual_seed(0)
    state = {}
    for node in nodes:
        if node["op"] == "conv":
            outputs, inputs, (side, _) = node["out_ch"], node["in_ch"] // node["groups"], node["k"]  # type: ignore[operator,misc]
            state[f"{node['name']}.weight"] = torch.randn(outputs, inputs, side, side, generator=generator) / 4
            state[f"{node['name']}.bias"] = torch.randn(outputs, generator=generator) / 4
    save_file(state, tmp_path / "net.safetensors")
    (tmp_path / "little_net.py").write_text(FACTORY, encoding="utf-8")
    random = np.random.default_rng(0)
    pixels = random.integers(0, 256, (40, 16, 16, 3), dtype=np.uint8)
    np.savez(tmp_path / "images.npz", images=pixels, labels=np.arange(40) % 5)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delitem(sys.modules, "little_net", raising=False)
    importlib.invalidate_caches()
    return tmp_path


def left(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()} - {"__pycache__"}


def test_a_node_list_pruned_recorded_and_simulated(run: Run, workshop: Path) -> None:
    budget = ("--budget", "macs 0.5", "--calibration", "images.npz", "--select", "0:30", "--evaluate", "30:40")
    result = run("prune", "net.json", *budget, "--batch-size", 10, "--out", "small")
    assert result.code == 0, result.err
    assert "criterion di, structure uniform, budget macs 0.5" in result.out
    assert "not pruned: fc: its channels are the network's outputs" in result.out
    assert "top-1 unpruned" in result.out
    assert "the network was not trained after the cut; --epochs" in " ".join(result.out.split())
    assert "fmapsim extract small.json" in result.out
    description = json.loads((workshop / "small.json").read_text(encoding="utf-8"))
    widths = {node["name"]: node["out_ch"] for node in description["nodes"] if node["op"] == "conv"}
    assert widths["inner"] == widths["deep"] < 8
    with safe_open(workshop / "small.safetensors", framework="pt") as file:
        about = json.loads(file.metadata()["fmapsim_pruned"])
    assert about["widths"] == {name: width for name, width in widths.items() if name != "fc"}
    assert about["calibration"]["count"] == 30

    recorded = run("extract", "small.json", "--images", "images.npz", "--select", "0:4", "--out", "trace")
    assert recorded.code == 0, recorded.err
    trace = load_trace(workshop / "trace.trace.safetensors")
    assert sum(layer.macs for layer in trace.layers) == about["counts"]["macs"]
    simulated = run("simulate", "trace.trace.safetensors", "--hardware", "edge-npu", "--out", "report", "--no-figures")
    assert simulated.code == 0, simulated.err


def test_a_network_of_ones_own(run: Run, workshop: Path) -> None:
    result = run(
        "prune", "little_net:build", "--criterion", "bn_scale", "--layers", "0", "--budget", "macs 0.8", "--out", "own"
    )
    assert result.code == 0, result.err
    assert "little_net:build --weights own.safetensors" in result.out
    assert "accuracy was not measured; --evaluate" in " ".join(result.out.split())
    record = ("--weights", "own.safetensors", "--images", "images.npz", "--select", "0:2", "--out", "own")
    assert run("extract", "little_net:build", *record).code == 0
    kernel = load_trace(workshop / "own.trace.safetensors").layer("0").kernel
    assert kernel is not None
    assert kernel[0] < 8


def test_greedy_then_its_structure_distilled(run: Run, workshop: Path) -> None:
    greedy = ("--structure", "greedy", "--step", 0.05, "--budget", "dram_bytes 0.8@edge-npu", "--criterion", "l1")
    pruned = run("prune", "net.json", *greedy, "--out", "greedy")
    assert pruned.code == 0
    assert re.search(r"DRAM traffic on edge-npu, no zeros +[\d.]+ kB +[\d.]+ kB", pruned.out), pruned.out
    given = (
        "--structure",
        "given",
        "--widths",
        "greedy.safetensors",
        "--criterion",
        "di",
        "--calibration",
        "images.npz",
    )
    assert run("prune", "net.json", *given, "--epochs", 1, "--out", "distilled").code == 0
    lists = [json.loads((workshop / name).read_text(encoding="utf-8")) for name in ("greedy.json", "distilled.json")]
    assert lists[0] == lists[1]
    between = ("--step", 0.2, "--rescore-every", 1, "--epochs-between", 1, "--batch-size", 20, "--seed", 3)
    greedy = ("--structure", "greedy", "--budget", "macs 0.7", "--calibration", "images.npz", *between)
    assert run("prune", "net.json", *greedy, "--out", "trained").code == 0
    before, after = (load_file(workshop / f"{name}.safetensors") for name in ("net", "trained"))
    assert not torch.isin(after["fc.weight"], before["fc.weight"]).any()


def test_quantised_widths_reach_the_trace(run: Run, workshop: Path) -> None:
    images = ("--calibration", "images.npz", "--select", "0:30", "--evaluate", "30:40")
    result = run("quantise", "net.json", "--bits", 3, *images, "--out", "three")
    assert result.code == 0, result.err
    assert "scheme intra, 3 bits on average" in result.out
    sized = run("quantise", "net.json", "--size", "3 KiB", "--scheme", "free", *images, "--out", "sized")
    assert sized.code == 0, sized.err
    for scheme, bits in (("fixed", 16), ("inter", 8)):  # more room than the widest width takes
        roomy = run("quantise", "net.json", "--size", "1 MiB", "--scheme", scheme, "--out", "roomy")
        assert f"scheme {scheme}, {bits} bits on average" in roomy.out, roomy.err
    neither = run("quantise", "net.json", "--out", "neither")
    assert (neither.code, "needs --bits or --size" in neither.err) == (2, True)
    assert run("extract", "three.json", "--images", "images.npz", "--select", "0:2", "--out", "three").code == 0
    for layer in load_trace(workshop / "three.trace.safetensors").layers:
        if layer.kernel:
            assert 1 < sum(layer.kernel_bits) / layer.kernel[0] <= 3, layer.name
    pruned = run("prune", "three.json", "--criterion", "l2", "--budget", "params 0.7", "--out", "both")
    assert pruned.code == 0, pruned.err
    for node in json.loads((workshop / "both.json").read_text(encoding="utf-8"))["nodes"]:
        if node["op"] == "conv":
            assert len(node["kernel_bits"]) == node["out_ch"]


@pytest.mark.parametrize(("pattern", "share"), [("magnitude 0.5", 0.5), ("2:4", 0.5), ("block 2x2 0.25", 0.25)])
def test_zero_weights_reach_the_trace(run: Run, workshop: Path, pattern: str, share: float) -> None:
    images = ("--calibration", "images.npz", "--select", "0:30", "--evaluate", "30:40")
    epochs = ("--epochs", 1) if pattern == "2:4" else ()
    result = run("sparsify", "net.json", "--pattern", pattern, *images, *epochs, "--out", "sparse")
    assert result.code == 0, result.err
    expected = "fine-tuned for 1 epochs" if epochs else "statistics of folded batch norm restored"
    assert f"top-1 {expected}" in result.out
    assert run("extract", "sparse.json", "--images", "images.npz", "--select", "0:2", "--out", "sparse").code == 0
    trace = load_trace(workshop / "sparse.trace.safetensors")
    weights = zeros = 0
    for number, layer in enumerate(trace.layers):
        if layer.kernel and layer.kernel[1] % 4 == 0:
            nonzero = trace.kernel_nonzero(number)
            weights, zeros = weights + nonzero.size, zeros + int((~nonzero).sum())
    assert weights
    assert zeros / weights == pytest.approx(share, abs=0.06)


def test_criteria_are_listed(run: Run) -> None:
    assert "Hou and Kung" in run("criteria").out
    found = run("criteria", "--json").json["criteria"]
    assert {entry["name"] for entry in found} >= {"di", "l1", "taylor"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("prune", "net.json"), "structure uniform needs a budget"),
        (("prune", "net.json", "--budget", "flops 0.5"), "budget 'flops 0.5': expected a quantity"),
        (("prune", "net.json", "--budget", "macs 0.5"), "criterion di looks at feature maps: give images"),
        (("prune", "net.json", "--budget", "macs 0.5", "--criterion", "l9"), "unknown criterion 'l9'"),
        (("prune", "net.json", "--budget", "macs 0.5", "--structure", "odd"), "unknown structure 'odd'"),
        (("prune", "net.json", "--budget", "macs 0.001", "--criterion", "l1"), "the narrowest network allowed"),
        (
            ("prune", "net.json", "--budget", "macs 0.5", "--criterion", "bn_scale"),
            "criterion bn_scale reads batch norms",
        ),
        (("prune", "net.json", "--budget", "macs 0.5", "--criterion", "l1", "--layers", "fc"), "the network's outputs"),
        (("prune", "net.json", "--budget", "cycles 0.5@nowhere", "--criterion", "l1"), "nowhere"),
        (("prune", "net.json", "--budget", "macs 0.5", "--criterion", "l1", "--epochs", 2), "--epochs needs images"),
        (
            ("prune", "net.json", "--budget", "macs 0.5", "--calibration", "images.npz", "--epochs-between", 2),
            "give --rescore-every",
        ),
        (("prune", "net.json", "--budget", "macs 0.5", "--select", "0:3"), "--select is about images"),
        (("prune", "net.json", "--structure", "given"), "structure given takes widths"),
        (("prune", "net.json", "--structure", "given", "--widths", "net.safetensors"), "holds no widths"),
        (("prune", "nothing.json", "--budget", "macs 0.5"), "nothing.json"),
        (("prune", "net.json", "--budget", "macs 0.5", "--rho", 0), "rho is 0"),
        (("sparsify", "net.json", "--pattern", "most"), "pattern 'most', expected 'magnitude 0.6'"),
        (("sparsify", "net.json", "--pattern", "4:2"), "4:2 weights, expected N of 1..M"),
        (("sparsify", "net.json", "--pattern", "2:4", "--epochs", 1), "--epochs needs images"),
        (("quantise", "net.json", "--bits", 0.5), "less than the least width"),
        (("quantise", "net.json", "--bits", 3), "criterion di looks at feature maps"),
        (("quantise", "net.json", "--bits", 3, "--scheme", "odd"), "unknown scheme 'odd'"),
        (("quantise", "net.json", "--bits", 3, "--widths", "2,x"), "--widths: found '2,x'"),
    ],
)
def test_mistakes_are_one_line_and_leave_nothing(
    run: Run, workshop: Path, arguments: tuple[object, ...], message: str
) -> None:
    before = left(workshop)
    assert message in run(*arguments, "--out", "folder/out").mistake()
    assert left(workshop) == before


def test_a_point_before_a_digit_belongs_to_the_name(run: Run, workshop: Path) -> None:
    run("prune", "net.json", "--budget", "macs 0.5", "--criterion", "l1", "--out", "net1.1-small")
    assert (workshop / "net1.1-small.safetensors").exists()
    assert (workshop / "net1.1-small.json").exists()


def test_a_network_is_not_written_over_itself(run: Run, workshop: Path) -> None:
    before = (workshop / "net.safetensors").read_bytes()
    mistake = run("prune", "net.json", "--budget", "macs 0.5", "--criterion", "l1", "--out", "net").mistake()
    assert "net.json: is the network itself" in mistake
    assert (workshop / "net.safetensors").read_bytes() == before
    assert (
        "expected a name that ends in .safetensors"
        in run("prune", "net.json", "--budget", "macs 0.5", "--criterion", "l1", "--out", "net.pth").mistake()
    )
