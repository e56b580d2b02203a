import hashlib
import pickle
from collections import OrderedDict
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from simulator.errors import InputError
from simulator.extract.images import Preprocessing
from simulator.extract.networks.registry import network_spec
from simulator.extract.weights import file_sha256, load_weights, resolve_model

torch.set_num_threads(1)

State = dict[str, Tensor]


class Small(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)
        self.bn = nn.BatchNorm2d(4)
        self.fc = nn.Linear(4, 2)


def random_state(seed: int = 1) -> State:
    torch.manual_seed(seed)
    return Small().state_dict()


def write(path: Path, state: Any) -> Path:
    if path.suffix == ".safetensors":
        save_file(state, path)
    else:
        torch.save(state, path)
    return path


def assert_loaded(model: nn.Module, state: State) -> None:
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, state[name]), name


@pytest.mark.parametrize("file", ["w.pth", "w.pt", "w.th", "w.safetensors"])
def test_round_trip(tmp_path: Path, file: str) -> None:
    state = random_state()
    model = Small()
    load_weights(model, write(tmp_path / file, state))
    assert_loaded(model, state)


@pytest.mark.parametrize("file", ["w.pth", "w.safetensors"])
def test_a_torchvision_checkpoint_fits_the_network(tmp_path: Path, file: str) -> None:
    """An OrderedDict of the names and shapes, built without the network's own help, loads strictly."""
    torch.manual_seed(0)
    fire = {3: (64, 16, 64), 4: (128, 16, 64), 6: (128, 32, 128), 7: (256, 32, 128)}
    fire |= {9: (256, 48, 192), 10: (384, 48, 192), 11: (384, 64, 256), 12: (512, 64, 256)}
    state: State = OrderedDict()
    state["features.0.weight"], state["features.0.bias"] = torch.randn(64, 3, 3, 3), torch.randn(64)
    for number, (channels, squeeze, expand) in fire.items():
        shapes = {
            "squeeze": (squeeze, channels, 1),
            "expand1x1": (expand, squeeze, 1),
            "expand3x3": (expand, squeeze, 3),
        }
        for part, (outputs, inputs, kernel) in shapes.items():
            state[f"features.{number}.{part}.weight"] = torch.randn(outputs, inputs, kernel, kernel)
            state[f"features.{number}.{part}.bias"] = torch.randn(outputs)
    state["classifier.1.weight"], state["classifier.1.bias"] = torch.randn(1000, 512, 1, 1), torch.randn(1000)
    loaded = resolve_model("squeezenet1_1", write(tmp_path / file, state))
    assert_loaded(loaded.module, state)
    assert loaded.weights_sha256 == hashlib.sha256((tmp_path / file).read_bytes()).hexdigest()


@pytest.mark.parametrize("key", ["state_dict", "model"])
def test_a_training_checkpoint_with_a_data_parallel_prefix(tmp_path: Path, key: str) -> None:
    state = random_state()
    model = Small()
    wrapped = {key: {f"module.{name}": tensor for name, tensor in state.items()}, "best_prec1": 91.7, "epoch": 3}
    load_weights(model, write(tmp_path / "w.th", wrapped))
    assert_loaded(model, state)


def test_half_precision_becomes_the_models_precision(tmp_path: Path) -> None:
    state = random_state()
    half = {name: tensor.half() if tensor.is_floating_point() else tensor for name, tensor in state.items()}
    model = Small()
    load_weights(model, write(tmp_path / "w.safetensors", half))
    assert model.conv.weight.dtype == torch.float32
    assert torch.equal(model.conv.weight, half["conv.weight"].float())


def test_a_model_on_meta_gets_real_tensors(tmp_path: Path) -> None:
    state = random_state()
    with torch.device("meta"):
        model = Small()
    load_weights(model, write(tmp_path / "w.safetensors", state))
    assert_loaded(model, state)


def test_missing_batch_counters_are_accepted(tmp_path: Path) -> None:
    state = random_state()
    del state["bn.num_batches_tracked"]
    model = Small()
    load_weights(model, write(tmp_path / "w.safetensors", state))
    assert torch.equal(model.state_dict()["bn.running_var"], state["bn.running_var"])


def refusal(path: Path) -> str:
    model = Small()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    with pytest.raises(InputError) as caught:
        load_weights(model, path)
    assert_loaded(model, before)  # nothing was half loaded
    message = str(caught.value)
    assert "\n" not in message
    assert message.startswith(str(path))
    return message


def test_missing_file(tmp_path: Path) -> None:
    assert "no such file" in refusal(tmp_path / "absent.pth")


def test_missing_parameter_is_named(tmp_path: Path) -> None:
    state = random_state()
    del state["conv.bias"], state["fc.weight"]
    message = refusal(write(tmp_path / "w.pth", state))
    assert "parameter conv.bias is missing, expected shape [4] (and 1 more" in message


def test_unexpected_parameter_is_named(tmp_path: Path) -> None:
    state = random_state() | {"head.weight": torch.zeros(2, 2)}
    message = refusal(write(tmp_path / "w.safetensors", state))
    assert message.endswith("parameter head.weight of shape [2, 2] is unexpected, the network has no such parameter")


def test_other_shape_is_named(tmp_path: Path) -> None:
    state = random_state() | {"fc.weight": torch.zeros(10, 4), "fc.bias": torch.zeros(10)}
    message = refusal(write(tmp_path / "w.pth", state))
    assert "parameter fc.weight has shape [10, 4], expected [2, 4] (and 1 more" in message


def test_integer_weights_are_not_taken_for_floats(tmp_path: Path) -> None:
    state = random_state() | {"fc.weight": torch.zeros(2, 4, dtype=torch.int8)}
    assert "parameter fc.weight holds torch.int8, expected floating-point" in refusal(write(tmp_path / "w.pth", state))


def test_truncated_safetensors(tmp_path: Path) -> None:
    path = write(tmp_path / "w.safetensors", random_state())
    path.write_bytes(path.read_bytes()[:-8])
    assert "expected a whole safetensors file, found not one" in refusal(path)


@pytest.mark.parametrize("content", [b"", b"{}", b"\xff" * 4096, b"hello world, this is text"])
@pytest.mark.parametrize("file", ["w.safetensors", "w.pth"])
def test_foreign_files(tmp_path: Path, content: bytes, file: str) -> None:
    path = tmp_path / file
    path.write_bytes(content)
    assert "expected a" in refusal(path)


def test_truncated_checkpoint(tmp_path: Path) -> None:
    path = write(tmp_path / "w.pth", random_state())
    path.write_bytes(path.read_bytes()[:500])
    assert "cannot be read as a PyTorch checkpoint" in refusal(path)


@pytest.mark.parametrize("content", [[1, 2], {"conv.weight": "text"}, {}, {"state_dict": {"a": 1}}])
def test_a_checkpoint_without_tensors(tmp_path: Path, content: object) -> None:
    assert "expected a state_dict" in refusal(write(tmp_path / "w.pth", content))


class Bomb:
    """Unpickling it would create the file it names."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.target,)


class System:
    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[Any, ...]:
        return eval, (f"__import__('os').system('touch {self.target}')",)


@pytest.mark.parametrize("bomb", [Bomb, System])
@pytest.mark.parametrize("file", ["w.pth", "w.pt", "w.safetensors"])
@pytest.mark.parametrize("plain", [False, True])
def test_a_pickle_posing_as_weights_is_refused_and_not_run(
    tmp_path: Path, bomb: type[Any], file: str, plain: bool
) -> None:
    target, path = tmp_path / "executed", tmp_path / file
    content = random_state() | {"extra": bomb(target)}
    if plain:
        path.write_bytes(pickle.dumps({"extra": bomb(target)}))
    else:
        torch.save(content, path)
    message = refusal(path)
    if file.endswith(".safetensors"):
        assert "found a PyTorch checkpoint or pickle" in message
    elif not plain:
        assert "refused, the checkpoint holds Python objects (" in message
    assert not target.exists()
    if plain:  # the bomb is real: Python's own reader sets it off
        pickle.loads(path.read_bytes())
        assert target.exists()


def test_a_whole_pickled_module_is_refused(tmp_path: Path) -> None:
    message = refusal(write(tmp_path / "w.pth", {"model": nn.Linear(2, 2)}))
    assert "refused, the checkpoint holds Python objects (torch.nn.modules.linear.Linear)" in message


def test_sha256(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"abc")
    assert file_sha256(path) == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    with pytest.raises(InputError, match="cannot be read"):
        file_sha256(tmp_path / "absent")


# --- naming a network ---


def test_ready_made_network_without_weights_is_repeatable() -> None:
    torch.manual_seed(5)
    expected_next = torch.rand(1)
    torch.manual_seed(5)
    one = resolve_model("cifar_resnet20")
    assert torch.equal(torch.rand(1), expected_next), "the caller's random numbers are disturbed"
    two = resolve_model("cifar_resnet20")
    assert_loaded(one.module, two.module.state_dict())
    assert not one.module.training
    assert (one.name, one.input_shape, one.weights_sha256, one.num_classes) == ("cifar_resnet20", (3, 32, 32), None, 10)
    assert one.preprocessing == network_spec("cifar_resnet20").preprocessing


FACTORIES = """
import torch
from torch import nn
from simulator.extract.images import Preprocessing

def plain():
    return nn.Linear(2, 3)

def grey():
    net = nn.Conv2d(1, 4, 3)
    net.input_shape, net.num_classes = (1, 8, 8), 10
    return net

def own():
    net = nn.ReLU()
    net.input_shape = [3, 20, 30]
    net.preprocessing = Preprocessing(None, (20, 30), "BGR", (1.0, 2.0, 3.0), (1.0, 1.0, 1.0))
    return net

def small():
    net = nn.ReLU(); net.input_shape = (3, 32, 32); return net

def wrong_shape():
    net = nn.ReLU(); net.input_shape = (3, "x"); return net

def deep():
    net = nn.ReLU(); net.input_shape = (7, 8, 8); return net

def wrong_preprocessing():
    net = nn.ReLU(); net.preprocessing = 3; return net

def number(): return 3
def broken(): raise RuntimeError("no luck\\nsecond line")
class Holder:
    Net = nn.ReLU
constant = 5
ready = nn.ReLU()
"""


@pytest.fixture
def factories(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    name = f"factories_{tmp_path.name.replace('-', '_')}"
    (tmp_path / f"{name}.py").write_text(FACTORIES)
    monkeypatch.chdir(tmp_path)
    return name


def test_factory_from_the_current_folder(factories: str, tmp_path: Path) -> None:
    loaded = resolve_model(f"{factories}:plain")
    assert isinstance(loaded.module, nn.Linear)
    assert not loaded.module.training
    assert loaded.input_shape == (3, 224, 224)
    assert loaded.preprocessing == network_spec("resnet18").preprocessing
    assert (loaded.num_classes, loaded.weights_sha256) == (None, None)
    path = write(tmp_path / "w.pth", {"weight": torch.ones(3, 2), "bias": torch.zeros(3)})
    loaded = resolve_model(f"{factories}:plain", path)
    assert loaded.weights_sha256 == file_sha256(path)
    assert isinstance(loaded.module, nn.Linear)
    assert bool((loaded.module.weight == 1).all())


def test_attributes_of_the_module_are_used(factories: str) -> None:
    grey = resolve_model(f"{factories}:grey")
    assert (grey.input_shape, grey.num_classes, grey.preprocessing.channel_order) == ((1, 8, 8), 10, "L")
    own = resolve_model(f"{factories}:own")
    assert own.input_shape == (3, 20, 30)
    assert own.preprocessing == Preprocessing(None, (20, 30), "BGR", (1.0, 2.0, 3.0), (1.0, 1.0, 1.0))
    small = resolve_model(f"{factories}:small").preprocessing
    assert (small.resize, small.crop) == (32, (32, 32))


def test_classes_and_modules_serve_as_factories(factories: str) -> None:
    assert isinstance(resolve_model(f"{factories}:Holder.Net").module, nn.ReLU)
    assert isinstance(resolve_model(f"{factories}:ready").module, nn.ReLU)
    assert isinstance(resolve_model("torch.nn:ReLU").module, nn.ReLU)


@pytest.mark.parametrize(
    ("attribute", "message"),
    [
        ("absent", "cannot be imported .AttributeError: .*absent"),
        ("", "found a module alone, expected module:function"),
        ("constant", "is a int, expected a function"),
        ("number", "returned a int, expected an nn.Module"),
        ("broken", "the function failed .RuntimeError: no luck."),
        ("wrong_shape", r"input_shape is \(3, 'x'\), expected \[channels, height, width\]"),
        ("deep", "input_shape has 7 channels, expected 3"),
        ("wrong_preprocessing", "preprocessing is a int, expected Preprocessing"),
    ],
)
def test_factory_mistakes(factories: str, attribute: str, message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        resolve_model(f"{factories}:{attribute}")
    assert "\n" not in str(caught.value)


def test_names_that_lead_nowhere(tmp_path: Path, factories: str) -> None:
    (tmp_path / "broken_on_import.py").write_text("import this_is_not_there\n")
    with pytest.raises(InputError, match="ModuleNotFoundError: No module named 'this_is_not_there'"):
        resolve_model("broken_on_import:factory")
    with pytest.raises(InputError, match=r"cannot be imported \(ModuleNotFoundError"):
        resolve_model("no_such_module_at_all:factory")
    with pytest.raises(InputError, match="did you mean resnet18"):
        resolve_model("resnet_18")
    with pytest.raises(InputError, match=r"absent\.json: cannot be read"):
        resolve_model(str(tmp_path / "absent.json"))
