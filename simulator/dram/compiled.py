"""The decorator of the compiled functions, and how they get at their arrays."""

import hashlib
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar, cast

import numba
import numpy as np
import numpy.typing as npt
from numba import njit, types
from numba.core import config as numba_config
from numba.extending import intrinsic


def _cache_folder() -> str:
    """Where the machine code is kept: a folder for each version of the sources, so that it is never stale."""
    digest = hashlib.sha256(numba.__version__.encode())
    for path in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(path.read_bytes())
    home = os.environ.get("FMAPSIM_CACHE") or os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    folder = Path(home) / "fmapsim" / digest.hexdigest()[:16]
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:  # no home to write to
        folder = Path(tempfile.mkdtemp(prefix="fmapsim-"))
    return str(folder)


F = TypeVar("F", bound=Callable[..., Any])

_FOLDER = _cache_folder()


def compiled(function: F) -> F:
    """`function` as machine code: integers and arrays from `numbers` in, an integer or nothing out.

    No reference counts (`_nrt`): nothing is allocated in there, and counting takes a sixth of the time.

    The first call on a machine compiles, which takes some seconds; later ones load what was compiled.
    """
    config: Any = numba_config
    before = config.CACHE_DIR
    config.CACHE_DIR = _FOLDER
    try:
        options: dict[str, Any] = {"cache": True, "error_model": "numpy", "_nrt": False}
        return cast(F, njit(**options)(function))
    finally:
        config.CACHE_DIR = before


def _pointer(context: Any, address: Any) -> Any:
    """What the compiler makes of an address: its type and the code."""
    pointer: Any = cast(Any, types).CPointer(types.int64)

    def code(target: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.inttoptr(arguments[0], target.get_value_type(signature.return_type))

    return pointer(types.int64), code


_at: Any = cast(Any, intrinsic)(_pointer)


@compiled
def numbers(address: int) -> npt.NDArray[np.int64]:
    """The array of int64 at an address (`array.ctypes.data`), without its shape. Only in compiled functions.

    An address is quicker to hand to compiled code than an array, and such an array quicker to index: indices are not
    checked, and negative ones do not count from the end.
    """
    return _at(address)  # type: ignore[no-any-return]
