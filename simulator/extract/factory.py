"""Networks of the user's own: `module:function`, a function of a Python module that returns the network."""

import importlib
import os
import shlex
import sys
from collections.abc import Callable
from operator import attrgetter
from pathlib import Path
from typing import TypeVar

import torch
from torch import nn

from simulator.errors import InputError

T = TypeVar("T")


def seeded(build: Callable[[], T]) -> T:
    """Call `build` with the random generator at seed 0 and leave the generator as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return build()


def call_factory(spec: str) -> nn.Module:
    """Import and call `module:function` with the current folder on the import path.

    Raises InputError for a path in place of a module, for what cannot be imported or fails, and for what returns no
    nn.Module. An nn.Module in the function's place is taken as it is.
    """
    module_name, _, attribute = spec.partition(":")
    if not attribute or module_name.startswith(".") or module_name.endswith(".py") or "/" in module_name:
        raise InputError(_no_module(spec, module_name, attribute))
    here = os.getcwd()
    sys.path.insert(0, here)
    try:
        try:
            factory = attrgetter(attribute)(importlib.import_module(module_name))
        except Exception as error:  # the user's module may raise anything
            raise InputError(f"{spec}: cannot be imported ({_reason(error)}), expected module:function") from error
        if isinstance(factory, nn.Module):
            return factory
        if not callable(factory):
            raise InputError(f"{spec}: is a {type(factory).__name__}, expected a function that returns an nn.Module")
        try:
            module: object = seeded(factory)
        except Exception as error:
            raise InputError(f"{spec}: the function failed ({_reason(error)}), expected an nn.Module") from error
    finally:
        sys.path.remove(here)
    if not isinstance(module, nn.Module):
        raise InputError(f"{spec}: the function returned a {type(module).__name__}, expected an nn.Module")
    return module


def refuse_python_file(spec: str) -> None:
    """Raises InputError when `spec`, which has no colon, is a Python file, or a module that lies in this folder."""
    if spec.endswith(".py") or Path(f"{spec}.py").is_file():
        raise InputError(_no_module(spec, spec, ""))


def _no_module(spec: str, module: str, function: str) -> str:
    """What was found where module:function was expected, and how this one is written."""
    path = Path(module.removesuffix(".py"))
    found = "a module alone"
    if module.endswith(".py"):
        found = "a Python file"
    elif "/" in module or module.startswith("."):
        found = "a path"
    folder = f" with PYTHONPATH={shlex.quote(str(path.parent))}" if path.parent != Path() else ""
    return (
        f"{spec}: found {found}, expected module:function, with a module that Python can import from the folder you "
        f"are in or from sys.path: {path.name.strip('.') or 'MODULE'}:{function or 'FUNCTION'}{folder}"
    )


def _reason(error: BaseException) -> str:
    return f"{type(error).__name__}: {(str(error).splitlines() or [''])[0]}"
