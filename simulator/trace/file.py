"""The trace file `NAME.trace.safetensors`: written whole or not at all, read one image of one tensor at a time.

The header's metadata holds the format version and the graph as JSON. The arrays, by key: `map/T` uint8
[N, C, ceil(H·W/8)], `nonzero/T` uint32 [N, C] and `max/T` float32 [N, C] of tensor T, and `kernel/L` uint8
[K, ceil(C·R·S/8)] of layer L; where values were recorded too, `values/T` uint8 [N, C, H·W·bytes], whose width the graph
names (`value_bits`). Maps and values are deflated: `map/T` and `values/T` image by image, `kernel/L` as a whole. Their
bytes follow each other under their key, `ends/KEY` (uint64) says where each piece ends, and the metadata `deflated`
gives the shapes.
"""

import json
import math
import os
import struct
import tempfile
import zlib
from collections.abc import Collection
from pathlib import Path
from typing import Any, Protocol, cast

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError, safe_open

from simulator.errors import InputError
from simulator.whole_file import whole_file

FORMAT_VERSION = 1
SUFFIX = ".trace.safetensors"

Array = npt.NDArray[Any]
_DTYPE_CODES = {"uint8": "U8", "uint32": "U32", "uint64": "U64", "float32": "F32"}


class Arrays(Protocol):
    """Where a trace's arrays come from."""

    def read(self, key: str, index: int) -> Array:
        """Entry `index` of the first axis of array `key`, touching no other entry's bytes."""

    def read_all(self, key: str) -> Array:
        """The whole array `key`."""

    def shape(self, key: str) -> tuple[int, ...] | None:
        """The shape of array `key`, None when there is none."""


class MemoryArrays:
    """Arrays held in memory."""

    def __init__(self, arrays: dict[str, Array]) -> None:
        self._arrays = arrays

    def read(self, key: str, index: int) -> Array:
        """Entry `index` of array `key`."""
        entry: Array = self._arrays[key][index]
        return entry

    def read_all(self, key: str) -> Array:
        """The whole array `key`."""
        return self._arrays[key]

    def shape(self, key: str) -> tuple[int, ...] | None:
        """The shape of array `key`, None when there is none."""
        return self._arrays[key].shape if key in self._arrays else None


class FileArrays:
    """Arrays in a safetensors file, memory-mapped."""

    def __init__(self, path: Path) -> None:
        """Opens `path`; raises InputError when it is missing, truncated or not a safetensors file."""
        self.path = path
        try:
            self._file: Any = cast(Any, safe_open(path, framework="numpy"))
        except FileNotFoundError:
            raise InputError(f"{path}: no such trace file") from None
        except (SafetensorError, OSError):
            raise InputError(
                f"{path}: not a trace, or truncated: found {_kind_of(path)}, "
                f"expected a file NAME{SUFFIX} as `fmapsim extract` writes it"
            ) from None
        stored = {key: tuple(self._file.get_slice(key).get_shape()) for key in self._file.keys()}  # noqa: SIM118
        self.metadata: dict[str, str] = self._file.metadata() or {}
        self._deflated = self._deflated_shapes()
        self._shapes: dict[str, tuple[int, ...]] = {**stored, **self._deflated}

    def __reduce__(self) -> tuple[type["FileArrays"], tuple[Path]]:
        """Another process opens the file anew."""
        return FileArrays, (self.path,)

    def _deflated_shapes(self) -> dict[str, tuple[int, ...]]:
        try:
            shapes = json.loads(self.metadata.get("deflated", "{}"))
            return {str(key): tuple(int(size) for size in shape) for key, shape in shapes.items()}
        except (ValueError, TypeError, AttributeError):
            raise InputError(f"{self.path}: damaged trace (the shapes of its maps are not readable)") from None

    def read(self, key: str, index: int) -> Array:
        """Entry `index` of array `key`; raises InputError when its bytes are damaged."""
        if key in self._deflated:
            return self._inflated(key, index, self._deflated[key][1:])
        entry: Array = self._file.get_slice(key)[index : index + 1][0]
        return entry

    def read_all(self, key: str) -> Array:
        """The whole array `key`; raises InputError when its bytes are damaged."""
        if key not in self._deflated:
            array: Array = self._file.get_tensor(key)
            return array
        shape = self._deflated[key]
        if key.startswith("kernel/"):
            return self._inflated(key, 0, shape)
        return np.stack([self._inflated(key, index, shape[1:]) for index in range(shape[0])])

    def _inflated(self, key: str, piece: int, shape: tuple[int, ...]) -> Array:
        first = max(piece - 1, 0)
        try:
            ends = self._file.get_slice(f"ends/{key}")[first : piece + 1].astype(np.int64)
            start = int(ends[0]) if piece else 0
            data = self._file.get_slice(key)[start : int(ends[-1])]
            size = math.prod(shape)
            content = zlib.decompressobj().decompress(data.tobytes(), size)
            return np.frombuffer(content, np.uint8).reshape(shape)
        except (SafetensorError, zlib.error, ValueError, IndexError) as error:
            raise InputError(f"{self.path}: damaged trace ({key}, piece {piece}: {error})") from None

    def shape(self, key: str) -> tuple[int, ...] | None:
        """The shape of array `key`, None when there is none."""
        return self._shapes.get(key)

    def graph(self) -> dict[str, Any]:
        """The graph that the header holds; raises InputError for a foreign file or another format version."""
        version = self.metadata.get("fmapsim_trace")
        if version is None:
            raise InputError(f"{self.path}: a safetensors file, but not a trace (no 'fmapsim_trace' in its header)")
        if version != str(FORMAT_VERSION):
            raise InputError(
                f"{self.path}: trace format {version}, expected {FORMAT_VERSION}; "
                "a newer fmapsim wrote it: upgrade, or record it again"
            )
        try:
            graph = json.loads(self.metadata["graph"])
        except (KeyError, ValueError):
            graph = None
        if not isinstance(graph, dict):
            raise InputError(f"{self.path}: damaged trace (the graph in its header is not a JSON object)")
        return graph


def _kind_of(path: Path) -> str:
    """In words what a file that cannot be opened as a trace is, by its first bytes."""
    try:
        with path.open("rb") as file:
            start = file.read(512)
    except OSError as error:
        return f"something that cannot be read ({error.strerror})"
    if not start:
        return "an empty file"
    if not any(byte < 32 and byte not in b"\t\n\r\f" for byte in start):
        return "a text file"
    if start[8:9] == b"{":  # behind the length of the header, which is JSON
        return "a safetensors file that is damaged or cut off"
    return "a file of another kind"


class TraceSpool:
    """Collects arrays piece by piece on disk and assembles the trace file at the end.

    Pieces of any array may come in any order; memory holds one piece. Leaving the `with` block without `finish` removes
    everything that was written.
    """

    def __init__(self, path: Path) -> None:
        """Prepares to write `path`; raises InputError when its folder cannot be written."""
        self.path = path
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._spool = tempfile.TemporaryFile(dir=path.parent)  # noqa: SIM115 (closed by __exit__)
        except OSError as error:
            raise InputError(f"{path.parent}: cannot be written ({error.strerror})") from None
        self._pieces: dict[str, list[tuple[int, int]]] = {}
        self._layout: dict[str, tuple[str, tuple[int, ...], int]] = {}
        self._deflated_ends: dict[str, list[int]] = {}
        from concurrent.futures import ThreadPoolExecutor  # whoever only reads does without

        self._pool = ThreadPoolExecutor(os.cpu_count())

    def __enter__(self) -> "TraceSpool":
        return self

    def __exit__(self, *_: object) -> None:
        self._spool.close()
        self._pool.shutdown()

    def append(self, key: str, array: Array) -> None:
        """Adds entries (first axis) to the end of array `key`."""
        dtype, trailing, entries = self._layout.get(key, (array.dtype.name, array.shape[1:], 0))
        if (dtype, trailing) != (array.dtype.name, array.shape[1:]):
            raise ValueError(f"{key}: {array.dtype.name}{array.shape} does not continue {dtype}[*, {trailing}]")
        self._layout[key] = (dtype, trailing, entries + array.shape[0])
        array = np.ascontiguousarray(array)
        if not key.startswith(("map/", "values/", "kernel/")):
            self._write(key, array.data.cast("B"))
            return
        ends = self._deflated_ends.setdefault(key, [])
        for content in self._pool.map(_deflate, (array,) if key.startswith("kernel/") else array):
            ends.append((ends[-1] if ends else 0) + len(content))
            self._write(key, content)

    def _write(self, key: str, content: bytes | memoryview) -> None:
        offset = self._spool.seek(0, os.SEEK_END)
        self._spool.write(content)
        self._pieces.setdefault(key, []).append((offset, len(content)))

    def finish(self, graph: dict[str, Any], leave_out: Collection[str] = ()) -> None:
        """Writes the trace under a temporary name and renames it. `leave_out` names arrays not to keep."""
        deflated = {}
        for key, ends in self._deflated_ends.items():
            if key not in leave_out:
                _, trailing, entries = self._layout[key]
                deflated[key] = (entries, *trailing)
                self._layout[key] = ("uint8", (), ends[-1])
                self.append(f"ends/{key}", np.array(ends, np.uint64))
        keys = [key for key in self._layout if key not in leave_out]
        keys.sort(key=lambda key: -np.dtype(self._layout[key][0]).itemsize)
        header: dict[str, Any] = {
            "__metadata__": {
                "fmapsim_trace": str(FORMAT_VERSION),
                "graph": json.dumps(graph, separators=(",", ":")),
                "deflated": json.dumps(deflated, separators=(",", ":")),
            }
        }
        end = 0
        for key in keys:
            dtype, trailing, entries = self._layout[key]
            start, end = end, end + entries * math.prod(trailing) * np.dtype(dtype).itemsize
            header[key] = {"dtype": _DTYPE_CODES[dtype], "shape": [entries, *trailing], "data_offsets": [start, end]}
        encoded = json.dumps(header, separators=(",", ":")).encode()
        encoded += b" " * (-len(encoded) % 8)
        with whole_file(self.path) as temporary, open(temporary, "wb") as out:
            out.write(struct.pack("<Q", len(encoded)) + encoded)
            for key in keys:
                for offset, size in self._pieces[key]:
                    self._spool.seek(offset)
                    _copy(self._spool, out, size)


def _deflate(piece: Array) -> bytes:
    deflate = zlib.compressobj(level=1, strategy=zlib.Z_RLE)  # twice as fast on maps as the default, and smaller
    return deflate.compress(piece.data) + deflate.flush()


def _copy(source: Any, target: Any, size: int) -> None:
    while size > 0:
        chunk = source.read(min(size, 1 << 22))
        target.write(chunk)
        size -= len(chunk)
