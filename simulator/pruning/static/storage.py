"""A pruned or quantised network as files that `fmapsim extract` reads back.

A network of modules becomes one safetensors file: its state_dict, and in the metadata what was done to it. A node list
becomes a node list of its own beside the parameters: NAME.json and NAME.safetensors. Files are written whole or not at
all.
"""

import contextlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors.torch import save_file
from torch import Tensor, nn

from simulator.errors import InputError
from simulator.extract.node_list import NodeListNetwork
from simulator.extract.resized import METADATA_KEY, pruned_metadata
from simulator.whole_file import whole_file


def checked_out(out: Path) -> Path:
    """The path of the parameters, `.safetensors` added when missing. Raises InputError for another ending.

    A point before a digit, as in `squeezenet1.1-small`, belongs to the name.
    """
    if not out.suffix or out.suffix[1].isdecimal():
        return out.with_name(out.name + ".safetensors")
    if out.suffix != ".safetensors":
        raise InputError(f"{out}: expected a name that ends in .safetensors")
    return out


def kernel_bits(model: nn.Module) -> dict[str, list[int]]:
    """The bits per output channel of the layers that have them."""
    return {
        name: list(module.kernel_bits)
        for name, module in model.named_modules()
        if getattr(module, "kernel_bits", None) is not None
    }


def save_network(model: nn.Module, out: Path, about: Mapping[str, Any], node_list: Path | None = None) -> list[Path]:
    """Writes `model` to `out` (.safetensors) and, where it came from the node list file, the new list beside it.

    about: JSON values that say what was done. Returns the paths written. Raises InputError when the folder cannot be
    written, or when the new node list would take the place of the old.
    """
    out = checked_out(out)
    state = {name: values.detach().contiguous().clone() for name, values in _plain(model).items()}
    metadata = {METADATA_KEY: json.dumps({**about, "bits": kernel_bits(model)}, separators=(",", ":"))}
    written = [out]
    with contextlib.ExitStack() as stack:
        if node_list is not None:
            assert isinstance(model, NodeListNetwork)
            beside = out.with_suffix(".json")
            if beside.exists() and node_list.exists() and beside.samefile(node_list):
                raise InputError(f"{beside}: is the network itself; write to another name")
            text = json.dumps(_new_list(model, node_list), indent=1)
            stack.enter_context(whole_file(beside)).write_text(text, encoding="utf-8")
            written.append(beside)
        save_file(state, stack.enter_context(whole_file(out)), metadata)
    return written


def _plain(model: nn.Module) -> dict[str, Tensor]:
    """The state_dict; weights that torch.nn.utils.prune holds in two parts become one again."""
    state: dict[str, Tensor] = {}
    for name, values in model.state_dict().items():
        if name.endswith("_mask") and name.removesuffix("_mask") + "_orig" in model.state_dict():
            continue
        if name.endswith("_orig") and name.removesuffix("_orig") + "_mask" in model.state_dict():
            plain = name.removesuffix("_orig")
            state[plain] = values * model.state_dict()[f"{plain}_mask"]
        else:
            state[name] = values
    return state


def _new_list(model: NodeListNetwork, node_list: Path) -> dict[str, Any]:
    description: dict[str, Any] = json.loads(node_list.read_text(encoding="utf-8"))
    for node in description["nodes"]:
        if node["op"] != "conv":
            continue
        layer = model.get_submodule(model.submodules[node["name"]])
        assert isinstance(layer, nn.Conv2d)
        node |= {"out_ch": layer.out_channels, "in_ch": layer.in_channels, "groups": layer.groups}
        bits = getattr(layer, "kernel_bits", None)
        if bits is not None:
            node["kernel_bits"] = list(bits)
        for key in ("act_scale", "act_zp", "act_dtype"):  # of the network that was quantised as a whole
            node.pop(key, None)
    return description


def saved_widths(path: Path) -> dict[str, int]:
    """Output channels by layer of a network that `fmapsim prune` wrote; raises InputError for any other file."""
    found = pruned_metadata(path)
    widths = None if found is None else found.get("widths")
    if not isinstance(widths, dict) or not all(isinstance(width, int) for width in widths.values()):
        raise InputError(f"{path}: holds no widths, expected a network written by `fmapsim prune`")
    return widths
