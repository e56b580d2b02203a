"""Arguments that several commands take: selections of images, `--set` pairs, traces by name or file."""

import contextlib
import difflib
import importlib.util
import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from simulator.errors import InputError

if TYPE_CHECKING:
    from simulator.trace.trace import Trace

NetworkArgument = Annotated[
    str, typer.Argument(metavar="NETWORK", help="A built-in network, a node list .json, or module:factory of your own.")
]
WeightsOption = Annotated[
    Path | None, typer.Option("--weights", metavar="FILE", help="Trained parameters: .safetensors, .pth or .pt.")
]

SHAPES = "shapes/"
"""What stands before a built-in network's name where a recorded trace has the same one."""

_NUMBERS = re.compile(r"[0-9]{1,9}(,[0-9]{1,9})*")
_SLICE = re.compile(r"([0-9]{0,9}):([0-9]{0,9})(?::([0-9]{1,9}))?")


def selected_images(text: str, count: int, option: str) -> list[int]:
    """The images that `text` selects among `count`: "3", "1,5,9", "0:8", "0:100:2", "50:".

    A slice counts like Python's, but may not reach past the last image. Raises InputError that names `option`.
    """
    found = _SLICE.fullmatch(text)
    if found:
        start, stop, step = (int(part) if part else None for part in found.groups())
        if step == 0:
            raise InputError(f"{option} {text}: the step is 0, expected 1 or more")
        slice_stop = count if stop is None else stop
        chosen: Sequence[int] = range(start or 0, slice_stop, step or 1)
    elif _NUMBERS.fullmatch(text):
        chosen = [int(number) for number in text.split(",")]
    else:
        raise InputError(f"{option}: found '{text}', expected images such as 3, 1,5,9, 0:8 or 0:100:2")
    if not chosen:
        raise InputError(f"{option} {text}: selects no image of {count}")
    last = chosen[-1] if isinstance(chosen, range) else max(chosen)
    if last >= count:
        raise InputError(f"{option} {text}: no image {last}; there are {count} (0 is the first)")
    repeated = len(chosen) - len(set(chosen))
    if repeated:
        raise InputError(f"{option} {text}: selects {repeated} image{'s' if repeated > 1 else ''} twice")
    return list(chosen)


def parsed_overrides(pairs: Sequence[str]) -> dict[str, Any]:
    """The values of `--set KEY=VALUE`, where a value is written as in the YAML file. Raises InputError."""
    import yaml

    values: dict[str, Any] = {}
    for pair in pairs:
        key, equals, text = pair.partition("=")
        key = key.strip()
        if not equals or not key or not text.strip():
            raise InputError(f"--set: found '{pair}', expected KEY=VALUE such as buffers.ifm.capacity='64 KiB'")
        if key in values:
            raise InputError(f"--set {key}: given twice")
        try:
            values[key] = yaml.safe_load(text)
        except (yaml.YAMLError, ValueError):
            raise InputError(f"--set {key}: cannot read '{text}' as a YAML value") from None
    return values


def find_trace(name_or_path: str) -> "Trace":
    """A trace by recorded name, file, built-in network or published budget (shapes), or SCALE-Sim topology (.csv).

    `shapes/NAME` are the shapes of a built-in network also where there is a recorded trace of that name.
    Raises InputError when it is none of these.
    """
    from simulator.trace.published import PREFIX, published_names, published_trace
    from simulator.trace.topology import trace_from_topology
    from simulator.trace.trace import load_trace, network_trace, network_trace_names, trace_names

    path = Path(name_or_path)
    if path.suffix == ".csv":
        return trace_from_topology(path)
    if path.is_file() or path.suffix == ".safetensors" or name_or_path in trace_names():
        return load_trace(name_or_path)
    if name_or_path.startswith(PREFIX):
        return published_trace(name_or_path)
    networks = network_trace_names()
    shapes = name_or_path.removeprefix(SHAPES)
    if shapes in networks:
        return network_trace(shapes)
    near = difflib.get_close_matches(name_or_path, [*trace_names(), *networks, *published_names()], n=1)
    hint = f"; did you mean '{near[0]}'?" if near else ""
    raise InputError(
        f"'{name_or_path}' is no trace file, recorded trace, built-in network or topology .csv "
        f"(`fmapsim networks` lists the names){hint}"
    )


def available_cores() -> int:
    """The cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def need_torch(what: str, packages: Sequence[str] = ("torch", "PIL")) -> None:
    """Raises InputError when one of `packages`, which come with `fmapsim[torch]`, is missing."""
    if any(importlib.util.find_spec(package) is None for package in packages):
        raise InputError(f"{what} needs PyTorch: pip install 'fmapsim[torch]'")


@contextlib.contextmanager
def output_folder(folder: Path) -> Iterator[None]:
    """Checks that `folder` can be written before the work begins; folders made for the check go when the work fails.

    Raises InputError when it cannot be written.
    """
    from simulator.trace.file import check_writable

    made = [parent for parent in (folder, *folder.parents) if not parent.exists()]
    check_writable(folder)
    try:
        yield
    except BaseException:
        for path in made:
            with contextlib.suppress(OSError):
                path.rmdir()
        raise
