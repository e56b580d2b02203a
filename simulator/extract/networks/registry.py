"""The list of ready-made networks.

A network is added by adding one file to this folder that defines `NETWORKS`, a tuple of `NetworkSpec`; nothing else
needs to know about it.
"""

import difflib
import functools
import importlib
import pkgutil
from collections.abc import Callable
from dataclasses import dataclass

from torch import nn

from simulator.errors import InputError
from simulator.extract.images import Preprocessing


@dataclass(frozen=True)
class NetworkSpec:
    """One ready-made network: how to build it and what it expects as input.

    `build` takes no argument and returns the module with freshly initialised parameters; under
    `torch.device("meta")` it allocates nothing. `input_shape` is [channels, height, width].
    """

    name: str
    build: Callable[[], nn.Module]
    input_shape: tuple[int, int, int]
    preprocessing: Preprocessing
    description: str
    num_classes: int = 1000


@functools.cache
def _specs() -> dict[str, NetworkSpec]:
    package = importlib.import_module(__package__)
    found: dict[str, NetworkSpec] = {}
    for entry in sorted(pkgutil.iter_modules(package.__path__), key=lambda item: item.name):
        module = importlib.import_module(f"{__package__}.{entry.name}")
        for spec in getattr(module, "NETWORKS", ()):
            if spec.name in found:
                raise ValueError(f"{entry.name}.py: network {spec.name!r} is registered twice")
            found[spec.name] = spec
    return found


def network_names() -> list[str]:
    """Return the names of all ready-made networks, sorted; those of a family ("paper/...") come together."""
    return sorted(_specs(), key=lambda name: ("/" in name, name))


def network_spec(name: str) -> NetworkSpec:
    """Return the network called `name`. Raises InputError for an unknown name, suggesting near ones."""
    specs = _specs()
    if name in specs:
        return specs[name]
    near = difflib.get_close_matches(name, specs, n=3, cutoff=0.5)
    expected = "did you mean " + " or ".join(near) if near else "expected one of " + ", ".join(network_names())
    raise InputError(f"unknown network {name!r}: {expected} (or a node list .json, or module:function)")
