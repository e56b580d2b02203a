"""Networks with their parameters: reading weights files, and finding the network that a user names."""

import hashlib
import re
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from simulator.errors import InputError
from simulator.extract.factory import call_factory, refuse_python_file, seeded
from simulator.extract.images import IMAGENET_MEAN, IMAGENET_SCALE, Preprocessing, resize_for
from simulator.extract.networks.registry import NetworkSpec, network_names, network_spec
from simulator.extract.resized import pruned_metadata, resize, set_kernel_bits

DEFAULT_INPUT_SHAPE = (3, 224, 224)


def file_sha256(path: str | Path) -> str:
    """Return the SHA-256 of a file's bytes in hexadecimal. Raises InputError if it cannot be read."""
    try:
        with Path(path).open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}), expected a file") from error


def read_tensors(path: str | Path) -> dict[str, Tensor]:
    """Return the tensors of a weights file by name, on the CPU.

    `.safetensors` files are read as such; anything else as a PyTorch checkpoint without running any code in it: a
    state_dict, or a dict that holds one under `state_dict` or `model`. A common prefix `module.` is removed.
    Raises InputError for a missing, truncated or foreign file and for one that holds more than tensors.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: no such file, expected weights as .safetensors, .pth or .pt")
    tensors = _read_safetensors(path) if path.suffix == ".safetensors" else _read_checkpoint(path)
    if not tensors:
        raise InputError(f"{path}: holds no tensors, expected a state_dict")
    if all(name.startswith("module.") for name in tensors):
        tensors = {name.removeprefix("module."): tensor for name, tensor in tensors.items()}
    return tensors


def _read_safetensors(path: Path) -> dict[str, Tensor]:
    try:
        with safe_open(path, framework="pt") as file:
            return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dict)
    except (SafetensorError, OSError, ValueError, RuntimeError) as error:
        with path.open("rb") as file:
            start = file.read(2)
        kind = "a PyTorch checkpoint or pickle" if start == b"PK" or start[:1] == b"\x80" else "not one"
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(f"{path}: expected a whole safetensors file, found {kind} ({reason})") from error


def _read_checkpoint(path: Path) -> dict[str, Tensor]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # remarks on pickle protocols
            loaded: Any = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a hostile file can fail anywhere in the reader
        refused = re.search(r"GLOBAL ([\w.]+)|global ([\w.]+)", str(error))
        if refused:
            what = refused.group(1) or refused.group(2)
            raise InputError(
                f"{path}: refused, the checkpoint holds Python objects ({what}), expected a state_dict of tensors"
            ) from error
        raise InputError(
            f"{path}: cannot be read as a PyTorch checkpoint ({type(error).__name__}), expected a state_dict of tensors"
        ) from error
    for key in ("state_dict", "model"):
        if isinstance(loaded, Mapping) and isinstance(loaded.get(key), Mapping):
            loaded = loaded[key]
    if not isinstance(loaded, Mapping):
        raise InputError(f"{path}: holds a {type(loaded).__name__}, expected a state_dict of tensors")
    for name, value in loaded.items():
        if not isinstance(value, Tensor):
            raise InputError(f"{path}: entry {name!r} is a {type(value).__name__}, expected a state_dict of tensors")
    return {str(name): tensor for name, tensor in loaded.items()}


def load_weights(model: nn.Module, path: str | Path) -> None:
    """Load a weights file into `model`, whose parameters must agree with it in name and shape.

    Values are converted to the model's own number type. A model built on the meta device gets the file's tensors as
    its own. A file without the `num_batches_tracked` counters of batch norm is accepted; they do not affect inference.
    The file of a pruned network gives `model` its channel counts first, and that of a quantised one its bit widths.
    Raises InputError naming the first parameter that is missing, unexpected or of another shape, and how many more.
    """
    tensors = read_tensors(path)
    pruned = pruned_metadata(path)
    if pruned is not None:
        resize(model, tensors, path)
    expected: dict[str, Tensor] = model.state_dict()
    counters = {name for name in expected if name.endswith(".num_batches_tracked") and name not in tensors}
    tensors |= {name: torch.zeros(expected[name].shape, dtype=expected[name].dtype) for name in counters}
    _check_agreement(tensors, expected, Path(path))
    converted = {name: tensor.to(expected[name].dtype) for name, tensor in tensors.items()}
    on_meta = any(tensor.is_meta for tensor in expected.values())
    model.load_state_dict(converted, strict=True, assign=on_meta)
    if pruned is not None:
        set_kernel_bits(model, pruned.get("bits", {}), str(path))


def _check_agreement(found: Mapping[str, Tensor], expected: Mapping[str, Tensor], path: Path) -> None:
    problems = [
        f"parameter {name} is missing, expected shape {list(tensor.shape)}"
        for name, tensor in expected.items()
        if name not in found
    ]
    problems += [
        f"parameter {name} of shape {list(tensor.shape)} is unexpected, the network has no such parameter"
        for name, tensor in found.items()
        if name not in expected
    ]
    shared = [(name, tensor, expected[name]) for name, tensor in found.items() if name in expected]
    problems += [
        f"parameter {name} has shape {list(tensor.shape)}, expected {list(wanted.shape)}"
        for name, tensor, wanted in shared
        if tensor.shape != wanted.shape
    ]
    problems += [
        f"parameter {name} holds {tensor.dtype}, expected floating-point numbers"
        for name, tensor, wanted in shared
        if wanted.is_floating_point() and not tensor.is_floating_point()
    ]
    if problems:
        more = f" (and {len(problems) - 1} more that do not fit)" if len(problems) > 1 else ""
        raise InputError(f"{path}: {problems[0]}{more}")


@dataclass(frozen=True)
class LoadedModel:
    """A network ready to run: `module` in eval mode, its input [C, H, W] and how images become that input.

    `weights_sha256` is None where the weights are random or come from the user's own code; `num_classes` is None
    where it is not known.
    """

    name: str
    module: nn.Module
    input_shape: tuple[int, int, int]
    preprocessing: Preprocessing
    weights_sha256: str | None
    num_classes: int | None


def resolve_model(spec: str, weights: str | Path | None = None) -> LoadedModel:
    """Return the network that `spec` names, with `weights` loaded where given.

    `spec` is the name of a ready-made network (random weights from a fixed seed unless `weights` is given), a
    node-list `.json` (weights from the `.safetensors` beside it unless `weights` is given), or `module:function`, where
    `function()` from an installed or local Python module returns an `nn.Module`. Such a module may carry the attributes
    `input_shape` ([C, H, W], otherwise 3 x 224 x 224), `preprocessing` and `num_classes`.
    Raises InputError for a name that leads nowhere and for weights that do not fit.
    """
    if spec in network_names():
        return _ready_made(network_spec(spec), weights)
    if spec.endswith(".json"):
        return _from_node_list(Path(spec), None if weights is None else Path(weights))
    if ":" in spec:
        return _from_factory(spec, weights)
    refuse_python_file(spec)
    network_spec(spec)  # raises: the name is unknown
    raise AssertionError(spec)


def _ready_made(spec: NetworkSpec, weights: str | Path | None) -> LoadedModel:
    digest = None
    if weights is None:
        module = seeded(spec.build)
    else:
        with torch.device("meta"):
            module = spec.build()
        load_weights(module, weights)
        digest = file_sha256(weights)
    return LoadedModel(spec.name, module.eval(), spec.input_shape, spec.preprocessing, digest, spec.num_classes)


def _from_node_list(path: Path, weights: Path | None) -> LoadedModel:
    from simulator.extract.node_list import load_node_list, weights_beside  # that module reads files through this one

    module, preprocessing = load_node_list(path, weights)
    digest = file_sha256(weights or weights_beside(path))
    return LoadedModel(module.name, module.eval(), module.input_shape, preprocessing, digest, module.num_classes)


def _from_factory(spec: str, weights: str | Path | None) -> LoadedModel:
    module = call_factory(spec)
    if weights is not None:
        load_weights(module, weights)
    shape = _input_shape(spec, module)
    preprocessing = getattr(module, "preprocessing", None)
    if preprocessing is None:
        preprocessing = _default_preprocessing(spec, shape)
    elif not isinstance(preprocessing, Preprocessing):
        raise InputError(f"{spec}: attribute preprocessing is a {type(preprocessing).__name__}, expected Preprocessing")
    classes = getattr(module, "num_classes", None)
    return LoadedModel(
        spec,
        module.eval(),
        shape,
        preprocessing,
        None if weights is None else file_sha256(weights),
        classes if isinstance(classes, int) else None,
    )


def _input_shape(spec: str, module: nn.Module) -> tuple[int, int, int]:
    shape: Any = getattr(module, "input_shape", DEFAULT_INPUT_SHAPE)
    try:
        channels, height, width = (int(size) for size in shape)
    except (TypeError, ValueError):
        channels = height = width = 0
    if min(channels, height, width) < 1:
        raise InputError(f"{spec}: attribute input_shape is {shape!r}, expected [channels, height, width]")
    return channels, height, width


def _default_preprocessing(spec: str, shape: tuple[int, int, int]) -> Preprocessing:
    channels, height, width = shape
    resize = resize_for(max(height, width))
    if channels == 3:
        return Preprocessing(resize, (height, width), "RGB", IMAGENET_MEAN, IMAGENET_SCALE)
    if channels == 1:
        return Preprocessing(resize, (height, width), "L", (0.0,), (1 / 255,))
    raise InputError(f"{spec}: input_shape has {channels} channels, expected 3 (colour) or 1 (grey)")
