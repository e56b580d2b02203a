"""Networks described as a list of nodes in JSON, with their (possibly compressed) parameters in a safetensors file.

The JSON holds `name`, `input` [C, H, W], `channel_order`, `mean`, `scale`, `num_classes` and `nodes` in execution
order; each node has `name`, `op`, and `in`, the names of what it reads. Batch norm is folded. A convolution whose
kernels are quantised may say so in `kernel_bits`, a width in bits per output channel. Parameters of
convolution N: `N.bias`, and one of `N.weight`; `N.codes` + `N.codebook` (pieces of weights by number); `N.weight_q` +
`N.weight_scale` + `N.weight_zp` (8-bit numbers); the first two times `N.weight_scale` per output channel if present.

    python -m simulator.extract.node_list NETWORK.json OUT.safetensors

writes the plain float parameters as a state_dict, which `load_weights` and `load_node_list` read back.
"""

import json
import math
import os
import sys
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812
from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor, nn

from simulator.errors import InputError
from simulator.extract.images import Preprocessing, resize_for
from simulator.extract.resized import set_kernel_bits
from simulator.extract.weights import read_tensors

Function = Callable[..., Tensor]

_ACTIVATIONS: dict[str, Function] = {
    "none": lambda x: x,
    "relu": F.relu,
    "relu6": F.relu6,
    "leaky0.1": lambda x: F.leaky_relu(x, 0.1),
}


class Fields:
    """One JSON object of a node list, read key by key; a missing or wrong value is an InputError naming `where`."""

    def __init__(self, where: str, entry: Any) -> None:
        if not isinstance(entry, dict):
            raise InputError(f"{where}: found a {type(entry).__name__}, expected an object with keys")
        self.where = where
        self.entry: dict[str, Any] = entry

    def _wrong(self, key: str, expected: str) -> InputError:
        found = repr(self.entry[key])[:60] if key in self.entry else "missing"
        return InputError(f"{self.where}: key {key} is {found}, expected {expected}")

    def text(self, key: str, allowed: tuple[str, ...] = (), default: str | None = None) -> str:
        """Return a string, one of `allowed` if any are given."""
        value = self.entry.get(key, default)
        if not isinstance(value, str) or not value or (allowed and value not in allowed):
            raise self._wrong(key, "one of " + ", ".join(allowed) if allowed else "a text")
        return value

    def whole(self, key: str, least: int = 1) -> int:
        """Return an integer of at least `least`."""
        value: Any = self.entry.get(key)
        if not _is_whole(value, least):
            raise self._wrong(key, f"a whole number of at least {least}")
        return int(value)

    def wholes(self, key: str, count: int, least: int = 1) -> tuple[int, ...]:
        """Return `count` integers, each at least `least`."""
        value = self.entry.get(key)
        if not isinstance(value, list) or len(value) != count or not all(_is_whole(v, least) for v in value):
            raise self._wrong(key, f"{count} whole numbers of at least {least}")
        return tuple(value)

    def numbers(self, key: str, count: int) -> tuple[float, ...]:
        """Return `count` numbers; a single number stands for `count` equal ones."""
        value: Any = self.entry.get(key)
        values = value if isinstance(value, list) else [value] * count
        if len(values) != count or not all(isinstance(v, int | float) for v in values):
            raise self._wrong(key, f"a number or {count} numbers")
        return tuple(float(v) for v in values)

    def items(self, key: str) -> list[Any]:
        """Return a list that is not empty."""
        value = self.entry.get(key)
        if not isinstance(value, list) or not value:
            raise self._wrong(key, "a list with at least one entry")
        return value


def _is_whole(value: Any, least: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and least <= value < 2**31


@dataclass(frozen=True)
class Node:
    """One step: `run` receives the values of `inputs`; for a convolution it stands before and after the submodule.

    `submodule` is the path of the nn.Conv2d (None for other nodes), `padding` what F.pad adds before it.
    """

    name: str
    inputs: tuple[str, ...]
    run: Function
    submodule: str | None = None
    padding: tuple[int, ...] = ()


def _activation(node: Fields) -> Function:
    return _ACTIVATIONS[node.text("act", tuple(_ACTIVATIONS), default="none")]


def _max_pool(node: Fields) -> Function:
    kernel, stride, padding = node.whole("k"), node.whole("stride"), node.whole("pad", least=0)
    ceil = bool(node.entry.get("ceil", False))
    return lambda x: F.max_pool2d(x, kernel, stride, padding, ceil_mode=ceil)


def _add(node: Fields) -> Function:
    activation = _activation(node)
    return lambda x, y: activation(x + y)


def _option_a(node: Fields) -> Function:
    """Every second row and column, and `pad_ch` zero channels before and after (He et al. 2015, option A)."""
    channels = node.whole("pad_ch", least=0)
    return lambda x: F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, channels, channels))


_OPERATIONS: dict[str, Callable[[Fields], Function]] = {
    "maxpool": _max_pool,
    "add": _add,
    "concat": lambda node: lambda *parts: torch.cat(parts, dim=1),
    "gap": lambda node: lambda x: F.adaptive_avg_pool2d(x, 1),
    "optionA": _option_a,
}


class NodeListNetwork(nn.Module):
    """The network of a node list; returns logits [N, num_classes] for an input [N, C, H, W].

    Every convolution is an `nn.Conv2d` whose module path reads like the node's name ('fire2/squeeze1x1' becomes
    `fire2.squeeze1x1`); the other nodes are function calls. `description` is the parsed JSON, `source` its name in
    error messages. Raises InputError naming the node for a list that does not describe a network.
    """

    def __init__(self, description: Any, source: str = "node list") -> None:
        super().__init__()
        fields = Fields(source, description)
        channels, height, width = fields.wholes("input", 3)
        self.name = fields.text("name")
        self.input_shape = (channels, height, width)
        self.num_classes = fields.whole("num_classes")
        self.submodules: dict[str, str] = {}  # node name -> path of its convolution
        self._nodes: list[Node] = []
        self._input_names: list[str] = []
        self._source = source
        for position, entry in enumerate(fields.items("nodes")):
            self._append(Fields(f"{source}: node {position}", entry))
        if not self._nodes:
            raise InputError(f"{source}: nodes has only inputs, expected at least one layer")
        self._last_reader = {name: node.name for node in self._nodes for name in node.inputs}

    def _append(self, fields: Fields) -> None:
        name = fields.text("name")
        fields.where = f"{self._source}: node {name}"
        known = {*self._input_names, *(node.name for node in self._nodes)}
        if name in known:
            raise InputError(f"{fields.where}: the name appears twice, expected different names")
        operation = fields.text("op", ("input", "conv", *_OPERATIONS))
        if operation == "input":
            self._input_names.append(name)
            return
        inputs = tuple(fields.items("in"))
        for other in inputs:
            if other not in known:
                raise InputError(f"{fields.where}: reads {other!r}, expected the name of an earlier node")
        if operation == "conv":
            self._nodes.append(self._convolution(name, inputs, fields))
        else:
            self._nodes.append(Node(name, inputs, _OPERATIONS[operation](fields)))

    def _convolution(self, name: str, inputs: tuple[str, ...], fields: Fields) -> Node:
        top, left, bottom, right = fields.wholes("pad", 4, least=0)
        kernel_height, kernel_width = fields.wholes("k", 2)
        stride_height, stride_width = fields.wholes("stride", 2)
        channels_in, channels, groups = fields.whole("in_ch"), fields.whole("out_ch"), fields.whole("groups")
        if channels_in % groups or channels % groups:
            raise InputError(f"{fields.where}: {channels_in} to {channels} channels do not divide into {groups} groups")
        symmetric = (top, left) == (bottom, right)
        try:
            convolution = nn.Conv2d(
                channels_in,
                channels,
                (kernel_height, kernel_width),
                (stride_height, stride_width),
                (top, left) if symmetric else 0,
                groups=groups,
            )
        except RuntimeError as error:
            size = [channels, channels_in // groups, kernel_height, kernel_width]
            raise InputError(f"{fields.where}: a weight of {size} is too large, expected one that fits") from error
        *parents, leaf = name.replace("/", ".").split(".")
        parent: nn.Module = self
        try:
            for step in parents:
                if step not in parent._modules:
                    parent.add_module(step, nn.Module())
                parent = parent.get_submodule(step)
            parent.add_module(leaf, convolution)
        except KeyError as error:
            raise InputError(f"{fields.where}: the name cannot name a module ({error.args[0]})") from error
        self.submodules[name] = ".".join((*parents, leaf))
        padding = () if symmetric else (left, right, top, bottom)
        return Node(name, inputs, _activation(fields), self.submodules[name], padding)

    def node_outputs(self, x: Tensor) -> Iterator[tuple[str, Tensor]]:
        """Yield (node name, output) in execution order; an output no later node reads is let go."""
        values = dict.fromkeys(self._input_names, x)
        for node in self._nodes:
            inputs = [values[name] for name in node.inputs]
            if node.submodule is None:
                y = node.run(*inputs)
            else:
                padded = F.pad(inputs[0], node.padding) if node.padding else inputs[0]
                y = node.run(self.get_submodule(node.submodule)(padded))
            values[node.name] = y
            for name in {name for name in node.inputs if self._last_reader[name] == node.name}:
                del values[name]
            yield node.name, y

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits [N, num_classes] for an input [N, C, H, W]."""
        ((_, y),) = deque(self.node_outputs(x), maxlen=1)
        return y.flatten(1)

    def check_shapes(self) -> None:
        """Send shapes alone through a network on the meta device. Raises InputError naming the node that fails."""
        x = torch.empty((1, *self.input_shape), device="meta")
        shapes = {name: list(self.input_shape) for name in self._input_names}
        try:
            for name, y in self.node_outputs(x):
                shapes[name] = list(y.shape[1:])
        except (RuntimeError, TypeError) as error:
            failed = next(node for node in self._nodes if node.name not in shapes)
            found = " and ".join(str(shapes[name]) for name in failed.inputs)
            reason = str(error).splitlines()[0]
            raise InputError(f"{self._source}: node {failed.name} cannot take inputs {found} ({reason})") from error
        last = shapes[self._nodes[-1].name]
        if math.prod(last) != self.num_classes:
            raise InputError(f"{self._source}: the last node gives {last}, expected {self.num_classes} classes")


def weights_beside(json_path: str | Path) -> Path:
    """Return the path of the `.safetensors` with the stem of the `.json`."""
    path = Path(json_path)
    return path.with_name(path.name.removesuffix(".json") + ".safetensors")


def load_node_list(
    json_path: str | Path, weights_path: str | Path | None = None
) -> tuple[NodeListNetwork, Preprocessing]:
    """Return the network with float32 parameters, in eval mode, and its preprocessing.

    The parameters come from `weights_path` or the `.safetensors` beside the JSON, compressed or plain. Activations are
    not quantised. Raises InputError naming the file and node for anything missing, left over or of another shape.
    """
    json_path = Path(json_path)
    description = _read_json(json_path)
    with torch.device("meta"):
        network = NodeListNetwork(description, str(json_path))
    network.check_shapes()
    path = Path(weights_path) if weights_path is not None else weights_beside(json_path)
    network.load_state_dict(_plain_state(network, read_tensors(path), path), assign=True)
    bits = {
        network.submodules[node["name"]]: node["kernel_bits"] for node in description["nodes"] if "kernel_bits" in node
    }
    set_kernel_bits(network, bits, str(json_path))
    return network.eval(), _preprocessing(Fields(str(json_path), description))


def _read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read ({type(error).__name__}), expected a node list in JSON") from error
    except (json.JSONDecodeError, RecursionError) as error:
        raise InputError(f"{path}: is not JSON ({error}), expected a node list") from error


def _preprocessing(fields: Fields) -> Preprocessing:
    _, height, width = fields.wholes("input", 3)
    order = fields.text("channel_order", ("RGB", "BGR"))
    return Preprocessing(
        resize=resize_for(max(height, width)),
        crop=(height, width),
        channel_order="BGR" if order == "BGR" else "RGB",
        mean=fields.numbers("mean", 3),
        scale=fields.numbers("scale", 3),
    )


def _plain_state(network: NodeListNetwork, tensors: dict[str, Tensor], path: Path) -> dict[str, Tensor]:
    """Return the state_dict in float32: every `N.weight` [K, C/groups, R, S] and `N.bias` [K]."""
    left = dict(tensors)
    state: dict[str, Tensor] = {}
    for name, submodule in network.submodules.items():
        convolution = network.get_submodule(submodule)
        assert isinstance(convolution, nn.Conv2d)
        parts: dict[str, Tensor] = {}
        for part in ("weight", "weight_scale", "codes", "codebook", "weight_q", "weight_zp", "bias"):
            for key in dict.fromkeys((f"{name}.{part}", f"{submodule}.{part}")):
                if key in left:
                    parts[part] = left.pop(key)
        where = f"{path}: node {name}"
        state[f"{submodule}.weight"] = _weight(parts, convolution.weight.shape, where)
        if "bias" not in parts:
            raise InputError(f"{where}: parameter bias is missing, expected {convolution.out_channels} numbers")
        state[f"{submodule}.bias"] = _shaped(parts["bias"].float(), torch.Size([convolution.out_channels]), where)
    if left:
        raise InputError(f"{path}: holds {next(iter(left))}, which belongs to no node ({len(left)} such tensors)")
    return state


def _shaped(values: Tensor, shape: torch.Size, where: str) -> Tensor:
    if values.numel() != shape.numel():
        raise InputError(f"{where}: parameters of shape {list(values.shape)}, expected {list(shape)}")
    return values.reshape(shape).contiguous()


def _weight(parts: dict[str, Tensor], shape: torch.Size, where: str) -> Tensor:
    """Return the float32 weight [K, C/groups, R, S] from whichever of the three forms is there."""
    scale = parts.get("weight_scale", torch.ones(1)).float()
    zero = parts.get("weight_zp", torch.zeros(1)).float()
    for what, values in (("weight_scale", scale), ("weight_zp", zero)):
        if values.numel() not in (1, shape[0]):
            raise InputError(f"{where}: {what} has {values.numel()} values, expected {shape[0]}")
    if "weight" in parts:
        weight = parts["weight"].float()
    elif "weight_q" in parts and "weight_scale" in parts:
        weight = parts["weight_q"].float()
    elif "codes" in parts and "codebook" in parts:
        codes, codebook = parts["codes"].long(), parts["codebook"].float()
        if codes.numel() and not 0 <= int(codes.min()) <= int(codes.max()) < len(codebook):
            raise InputError(f"{where}: codes reach {int(codes.max())}, expected 0..{len(codebook) - 1}")
        weight = codebook[codes]
    else:
        expected = "weight, or weight_q and weight_scale, or codes and codebook"
        raise InputError(f"{where}: found {', '.join(parts) or 'no parameters'}, expected {expected}")
    weight = _shaped(weight, shape, where)
    return (weight - zero.view(-1, 1, 1, 1)) * scale.view(-1, 1, 1, 1)


def write_plain_weights(json_path: str | Path, out_path: str | Path) -> None:
    """Write the float32 parameters of a node list as a state_dict in safetensors, under a temporary name first."""
    network, _ = load_node_list(json_path)
    out = Path(out_path)
    temporary = out.with_name(f"{out.name}.{os.getpid()}.part")
    try:
        save_file(network.state_dict(), temporary)
        temporary.replace(out)
    except (OSError, SafetensorError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(f"{out}: cannot be written ({reason}), expected a path in a folder") from error
    finally:
        temporary.unlink(missing_ok=True)


def main(arguments: list[str]) -> int:
    """Convert NETWORK.json to OUT.safetensors; return the exit code (0, or 2 for an input error)."""
    if len(arguments) != 2:
        print("usage: python -m simulator.extract.node_list NETWORK.json OUT.safetensors", file=sys.stderr)
        return 2
    try:
        write_plain_weights(*arguments)
    except InputError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
