import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from simulator.errors import InputError
from simulator.extract.images import batches, open_images
from simulator.extract.node_list import NodeListNetwork, load_node_list, main, weights_beside
from simulator.extract.weights import file_sha256, load_weights, resolve_model

torch.set_num_threads(1)

SHARED = Path(__file__).resolve().parents[2].parent / "shared" / "data"

Json = dict[str, Any]


def conv(name: str, reads: str, channels_in: int, channels: int, **changes: Any) -> Json:
    plain = {"op": "conv", "k": [3, 3], "stride": [1, 1], "pad": [1, 1, 1, 1], "groups": 1, "act": "relu"}
    return {**plain, "name": name, "in": [reads], "in_ch": channels_in, "out_ch": channels, **changes}


def description() -> Json:
    """One of everything; the four forms of parameters stand in `parameters`."""
    nodes = [
        {"name": "data", "op": "input"},
        conv("stem", "data", 3, 4, stride=[2, 2], pad=[0, 0, 1, 1], act="relu6"),
        {"name": "pool", "op": "maxpool", "in": ["stem"], "k": 3, "stride": 2, "pad": 0, "ceil": True},
        conv("fire2/a", "pool", 4, 4, groups=2, act="leaky0.1"),
        conv("fire2/b", "pool", 4, 4, k=[1, 1], pad=[0, 0, 0, 0]),
        {"name": "fire2/concat", "op": "concat", "in": ["fire2/a", "fire2/b"]},
        {"name": "short", "op": "optionA", "in": ["fire2/concat"], "pad_ch": 2},
        conv("layer1.0.conv", "fire2/concat", 8, 12, stride=[2, 2], act="none"),
        {"name": "sum", "op": "add", "in": ["layer1.0.conv", "short"], "act": "relu"},
        {"name": "gap", "op": "gap", "in": ["sum"]},
        conv("fc", "gap", 12, 5, k=[1, 1], pad=[0, 0, 0, 0], act="none", fc=True),
    ]
    common = {"name": "tiny", "input": [3, 17, 17], "channel_order": "BGR", "mean": [1, 2, 3], "scale": 0.5}
    return {**common, "num_classes": 5, "nodes": nodes}


def parameters() -> dict[str, Tensor]:
    make = torch.Generator().manual_seed(0)
    return {
        "stem.weight_q": torch.randint(0, 256, (4, 3, 3, 3), dtype=torch.uint8, generator=make),
        "stem.weight_scale": torch.tensor([0.01, 0.02, 0.03, 0.04]),
        "stem.weight_zp": torch.tensor([120, 128, 130, 140], dtype=torch.int16),
        "stem.bias": torch.randn(4, generator=make),
        "fire2/a.codes": torch.randint(0, 5, (4, 6), dtype=torch.uint8, generator=make),
        "fire2/a.codebook": torch.randn(5, 3, generator=make).half(),
        "fire2/a.weight_scale": torch.tensor([1.0, 2.0, 0.5, 1.5]),
        "fire2/a.bias": torch.randn(4, generator=make),
        "fire2/b.codes": torch.randint(0, 300, (4, 4), dtype=torch.int16, generator=make),
        "fire2/b.codebook": torch.randn(300, 1, generator=make),
        "fire2/b.bias": torch.randn(4, generator=make).half(),
        "layer1.0.conv.weight": torch.randn(12, 8, 3, 3, generator=make).half(),
        "layer1.0.conv.bias": torch.randn(12, generator=make),
        "fc.weight": torch.randn(5, 12, 1, 1, generator=make),
        "fc.weight_scale": torch.tensor([1.0, 2.0, 3.0, 4.0, 5.0]),
        "fc.bias": torch.randn(5, generator=make),
    }


def write(folder: Path, text: Any = None, tensors: dict[str, Tensor] | None = None) -> Path:
    path = folder / "tiny.json"
    path.write_text(json.dumps(description() if text is None else text))
    save_file(parameters() if tensors is None else tensors, folder / "tiny.safetensors")
    return path


def by_hand(x: Tensor) -> Tensor:
    """The same network written out, with the parameters dequantised element by element as the format says."""
    p = {name: tensor.float() for name, tensor in parameters().items()}
    per_channel = (-1, 1, 1, 1)
    stem = (p["stem.weight_q"] - p["stem.weight_zp"].view(per_channel)) * p["stem.weight_scale"].view(per_channel)
    a = p["fire2/a.codebook"][parameters()["fire2/a.codes"].long()].reshape(4, 2, 3, 3)
    a = a * p["fire2/a.weight_scale"].view(per_channel)
    b = p["fire2/b.codebook"][parameters()["fire2/b.codes"].long()].reshape(4, 4, 1, 1)
    x = F.conv2d(F.pad(x, (0, 1, 0, 1)), stem, p["stem.bias"], stride=2).clamp(0, 6)
    x = F.max_pool2d(x, 3, 2, ceil_mode=True)
    left = F.conv2d(x, a, p["fire2/a.bias"], padding=1, groups=2)
    left = torch.where(left > 0, left, 0.1 * left)
    x = torch.cat([left, F.conv2d(x, b, p["fire2/b.bias"]).clamp(min=0)], dim=1)
    short = torch.zeros(len(x), 12, 2, 2)
    short[:, 2:10] = x[:, :, ::2, ::2]
    x = F.conv2d(x, p["layer1.0.conv.weight"], p["layer1.0.conv.bias"], stride=2, padding=1)
    x = (x + short).clamp(min=0).mean((2, 3), keepdim=True)
    weight = p["fc.weight"] * p["fc.weight_scale"].view(per_channel)
    return F.conv2d(x, weight, p["fc.bias"]).flatten(1)


def test_every_operation_and_parameter_form(tmp_path: Path) -> None:
    network, preprocessing = load_node_list(write(tmp_path))
    x = torch.randn(2, 3, 17, 17, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        torch.testing.assert_close(network(x), by_hand(x))
    assert not network.training
    assert {parameter.dtype for parameter in network.parameters()} == {torch.float32}
    assert (preprocessing.crop, preprocessing.channel_order) == ((17, 17), "BGR")
    assert (preprocessing.mean, preprocessing.scale) == ((1.0, 2.0, 3.0), (0.5, 0.5, 0.5))


def test_convolutions_are_modules_named_like_their_nodes(tmp_path: Path) -> None:
    network, _ = load_node_list(write(tmp_path))
    found = {name: module for name, module in network.named_modules() if isinstance(module, nn.Conv2d)}
    assert list(found) == ["stem", "fire2.a", "fire2.b", "layer1.0.conv", "fc"]
    assert found["stem"].padding == (0, 0)
    assert found["fire2.a"].padding == (1, 1)
    assert [name for name, _ in network.node_outputs(torch.zeros(1, 3, 17, 17))][-1] == "fc"


def test_a_replaced_convolution_is_the_one_that_runs(tmp_path: Path) -> None:
    network, _ = load_node_list(write(tmp_path))
    network.add_module("fc", nn.Sequential(nn.Conv2d(12, 7, 1)))
    assert list(network(torch.zeros(1, 3, 17, 17)).shape) == [1, 7]


def test_conversion_to_plain_weights_and_back(tmp_path: Path) -> None:
    path, out = write(tmp_path), tmp_path / "plain.safetensors"
    assert main([str(path), str(out)]) == 0
    assert sorted(file.name for file in tmp_path.iterdir()) == ["plain.safetensors", "tiny.json", "tiny.safetensors"]
    network, _ = load_node_list(path)
    fresh = NodeListNetwork(description())
    load_weights(fresh, out)
    again, _ = load_node_list(path, out)
    for name, tensor in network.state_dict().items():
        assert torch.equal(fresh.state_dict()[name], tensor)
        assert torch.equal(again.state_dict()[name], tensor)
    assert set(load_file(out)) == set(network.state_dict())


def test_conversion_reports_errors(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["one"]) == 2
    assert "usage" in capsys.readouterr().err
    assert main([str(tmp_path / "absent.json"), str(tmp_path / "out.safetensors")]) == 2
    assert "absent.json: cannot be read" in capsys.readouterr().err
    assert main([str(write(tmp_path)), str(tmp_path / "no" / "out.safetensors")]) == 2
    assert "expected a path in a folder" in capsys.readouterr().err


def test_resolve_model_finds_the_weights_beside(tmp_path: Path) -> None:
    path = write(tmp_path)
    loaded = resolve_model(str(path))
    assert (loaded.name, loaded.input_shape, loaded.num_classes) == ("tiny", (3, 17, 17), 5)
    assert loaded.weights_sha256 == file_sha256(tmp_path / "tiny.safetensors")
    assert weights_beside("a/squeezenet1.1.json") == Path("a/squeezenet1.1.safetensors")
    other = parameters() | {"fc.bias": torch.full((5,), 100.0)}
    save_file(other, tmp_path / "other.safetensors")
    replaced = resolve_model(str(path), tmp_path / "other.safetensors")
    assert bool((replaced.module(torch.zeros(1, 3, 17, 17)) > 50).any())
    assert replaced.weights_sha256 == file_sha256(tmp_path / "other.safetensors")


def changed(node: str | None = None, **changes: Any) -> Json:
    text = description()
    for entry in [text] if node is None else [entry for entry in text["nodes"] if entry["name"] == node]:
        entry.update(changes)
    return text


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ([1], "found a list, expected an object"),
        (changed(nodes=[]), "key nodes is \\[\\], expected a list with at least one entry"),
        (changed(nodes=[{"name": "data", "op": "input"}]), "nodes has only inputs"),
        (changed(nodes=[5]), "node 0: found a int"),
        (changed(input=[3, 17]), "key input is \\[3, 17\\], expected 3 whole numbers"),
        (changed(input=[4, 17, 17]), "node stem cannot take inputs \\[4, 17, 17\\] "),
        (changed(num_classes="5"), "key num_classes is '5', expected a whole number"),
        (changed(num_classes=6), "the last node gives \\[5, 1, 1\\], expected 6 classes"),
        (changed(channel_order="GBR"), "key channel_order is 'GBR', expected one of RGB, BGR"),
        (changed(mean=[1, 2]), "key mean is \\[1, 2\\], expected a number or 3 numbers"),
        (changed("stem", op="deconv"), "node stem: key op is 'deconv', expected one of input, conv, maxpool"),
        (changed("stem", act="gelu"), "node stem: key act is 'gelu', expected one of none, relu, relu6, leaky0.1"),
        (changed("stem", k=[3]), "node stem: key k is \\[3\\], expected 2 whole numbers of at least 1"),
        (changed("stem", stride=[0, 1]), "node stem: key stride is"),
        (changed("stem", pad=[1, 1]), "node stem: key pad is"),
        (changed("stem", out_ch=2**30, k=[2**20, 2**20]), "node stem: a weight of .* is too large"),
        (changed("stem", out_ch=10**40), "node stem: key out_ch is 10000"),
        (changed("stem", groups=2), "node stem: 3 to 4 channels do not divide into 2 groups"),
        (changed("pool", k="3"), "node pool: key k is '3'"),
        (changed("sum", **{"in": ["short", "later"]}), "node sum: reads 'later', expected the name of an earlier node"),
        (changed("sum", **{"in": ["short"]}), "node sum cannot take inputs \\[12, 2, 2\\] "),
        (changed("sum", **{"in": ["short", "pool"]}), "node sum cannot take inputs \\[12, 2, 2\\] and \\[4, 4, 4\\]"),
        (changed("gap", **{"in": []}), "node gap: key in is"),
        (changed("fc", name="stem"), "node stem: the name appears twice"),
        (changed("fc", name="forward"), "node forward: the name cannot name a module"),
        (changed("fc", name="a..b"), "node a..b: the name cannot name a module"),
    ],
)
def test_mistakes_in_the_list_name_the_node(tmp_path: Path, text: Any, message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        load_node_list(write(tmp_path, text))
    assert str(caught.value).startswith(str(tmp_path / "tiny.json"))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("remove", "add", "message"),
    [
        ("fc.weight", {}, "node fc: found weight_scale, bias, expected weight, or weight_q and weight_scale, or"),
        ("fc.bias", {}, "node fc: parameter bias is missing, expected 5 numbers"),
        ("", {"fc.bias": torch.zeros(4)}, "node fc: parameters of shape \\[4\\], expected \\[5\\]"),
        ("", {"fc.weight": torch.zeros(6, 12, 1, 1)}, "node fc: parameters of shape \\[6, 12, 1, 1\\], expected"),
        ("", {"fc.weight_scale": torch.ones(4)}, "node fc: weight_scale has 4 values, expected 5"),
        ("", {"fire2/a.codes": torch.full((4, 6), 9)}, "node fire2/a: codes reach 9, expected 0..4"),
        ("", {"head.weight": torch.zeros(1)}, "holds head.weight, which belongs to no node"),
    ],
)
def test_mistakes_in_the_parameters_name_the_node(
    tmp_path: Path, remove: str, add: dict[str, Tensor], message: str
) -> None:
    tensors = {name: tensor for name, tensor in parameters().items() if name != remove} | add
    with pytest.raises(InputError, match=message) as caught:
        load_node_list(write(tmp_path, tensors=tensors))
    assert str(caught.value).startswith(str(tmp_path / "tiny.safetensors"))


def test_files_that_are_not_there_or_not_json(tmp_path: Path) -> None:
    (tmp_path / "text.json").write_text("{")
    with pytest.raises(InputError, match=r"text\.json: is not JSON"):
        load_node_list(tmp_path / "text.json")
    path = write(tmp_path)
    (tmp_path / "tiny.safetensors").unlink()
    with pytest.raises(InputError, match=r"tiny\.safetensors: no such file"):
        load_node_list(path)


# --- real networks ---

# right answers among the first images, counted on the full-precision network
RIGHT_OF_FIRST_20: dict[str, int] = {
    "squeezenet1.1": 14,
    "squeezenet1.0_dc": 14,
    "tinydarknet": 15,
    "mobilenet_v1": 17,
    "mobilenet_v2": 16,
    "resnet18_pqf": 16,
}


@pytest.mark.shared
@pytest.mark.skipif(not SHARED.is_dir(), reason=f"needs the weights and images in {SHARED}")
@pytest.mark.parametrize(("name", "expected"), RIGHT_OF_FIRST_20.items())
def test_imagenet_networks_recognise_what_they_did(name: str, expected: int) -> None:
    loaded = resolve_model(str(SHARED / "nets" / f"{name}.json"))
    images = open_images(SHARED / "imagenet_sample_1000_256.tar", SHARED / "imagenet_sample_1000_labels.tsv", limit=20)
    images.check_labels(loaded.num_classes or 0)
    assert right(loaded.module, batches(images, loaded.preprocessing, 10)) == expected


@pytest.mark.shared
@pytest.mark.skipif(not SHARED.is_dir(), reason=f"needs the weights and images in {SHARED}")
def test_cifar_resnet20_reaches_its_published_accuracy() -> None:
    loaded = resolve_model(str(SHARED / "nets" / "cifar_resnet20.json"))
    images = open_images(SHARED / "cifar10_test_exact.npz")
    accuracy = 100 * right(loaded.module, batches(images, loaded.preprocessing, 100)) / len(images)
    assert accuracy == pytest.approx(91.7, abs=0.05)


def right(module: nn.Module, data: Any) -> int:
    with torch.no_grad():
        classes = torch.cat([module(x).argmax(1) for x in data]).numpy()
    return int(np.sum(classes == data.labels))
