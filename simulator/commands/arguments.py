"""Arguments that several commands take: selections of images, `--set` pairs, traces by name or file."""

import contextlib
import importlib.util
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from simulator.errors import InputError
from simulator.whole_file import check_writable

NetworkArgument = Annotated[
    str,
    typer.Argument(metavar="NETWORK", help="A built-in network, a node list .json, or module:function of your own."),
]
WeightsOption = Annotated[
    Path | None, typer.Option("--weights", metavar="FILE", help="Trained parameters: .safetensors, .pth or .pt.")
]


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


def available_cores() -> int:
    """The cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def one_blas_thread() -> None:
    """Leaves numpy's BLAS one thread, unless the user has said otherwise: workers share the cores already, and threads
    without work spin when numpy is imported. To be called before that."""
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")


def need_torch(what: str, packages: Sequence[str] = ("torch", "PIL")) -> None:
    """Raises InputError when one of `packages`, which come with `fmapsim[torch]`, is missing."""
    if any(importlib.util.find_spec(package) is None for package in packages):
        raise InputError(f"{what} needs PyTorch: pip install 'fmapsim[torch]'")


def check_own_folder(folder: Path, marks: Sequence[str], what: str) -> None:
    """Raises InputError for a folder that is somebody else's: it holds files, and none of `marks`.

    marks: files and folders, relative to it, each of which shows that it is one of `what` ("report"), perhaps a broken
    one. Hidden files do not count.
    """
    try:
        others = sorted(path.name for path in folder.iterdir() if not path.name.startswith("."))
    except OSError:  # there is none yet, or it cannot be written, which is said elsewhere
        return
    if others and not any((folder / mark).exists() for mark in marks):
        listed = ", ".join(others[:3]) + (f" and {len(others) - 3} more" if len(others) > 3 else "")
        raise InputError(f"--out {folder}: holds other files ({listed}) and no {what}: name a new or an empty folder")


@contextlib.contextmanager
def output_folder(folder: Path) -> Iterator[None]:
    """Checks that `folder` can be written before the work begins; folders made for the check go when the work fails.

    Raises InputError when it cannot be written.
    """

    made = [parent for parent in (folder, *folder.parents) if not parent.exists()]
    check_writable(folder)
    try:
        yield
    except BaseException:
        for path in made:
            with contextlib.suppress(OSError):
                path.rmdir()
        raise
