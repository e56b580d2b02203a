"""SCALE-Sim topology files (CSV) as traces of shapes.

Convolutions: name, IFM height, IFM width, kernel height, kernel width, channels, number of filters, stride.
Matrix products: name, M, N, K. Both have a header line; cells stand between commas, or tabs where the header has no
comma. Lines may end with a comma or a remark such as `#dw`, and lines without content are skipped.

SCALE-Sim counts ceil((H − R + stride) / stride) output rows without padding: a window that hangs over the bottom or
right edge is kept, which appears here as padding on that side. What the file calls one filter over all channels is read
as that, also where the network had a depthwise layer; a name with "DP" in it stands for as many layers of one channel
as the line has channels, as it does there.

Further columns: a ratio such as 2:4 says how many of each so many weights are left. SCALE-Sim heeds it only on request,
so the layers are dense here, and the shares stand in `provenance["kernel_densities"]`, ready for `with_densities`. A
whole number behind a matrix product is how many of them there are side by side (heads). Anything else is ignored.
"""

import re
from dataclasses import dataclass, replace
from pathlib import Path

from simulator.errors import InputError
from simulator.trace.records import Layer
from simulator.trace.shapes import linear_layer, trace_from_layers
from simulator.trace.trace import Trace

_CONVOLUTION = ("IFM height", "IFM width", "kernel height", "kernel width", "channels", "filters", "stride")
_PRODUCT = ("M", "N", "K")
_RATIO = re.compile(r"(\d{1,9}):(\d{1,9})")


@dataclass(frozen=True)
class _Line:
    """A layer's line: its name, the numbers that its form asks for, further cells with their titles, its place."""

    name: str
    numbers: list[int]
    further: list[tuple[str, str]]
    where: str


def trace_from_topology(csv_path: str | Path) -> Trace:
    """The network of a SCALE-Sim topology file, named after the file.

    Raises InputError with file and line when a row is not what the format says.
    """
    path = Path(csv_path)
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read ({getattr(error, 'strerror', None) or error})") from None
    return topology_trace(path.stem, text, str(path))


def topology_trace(name: str, text: str, source: str) -> Trace:
    """The network that the text of a SCALE-Sim topology describes; `source` is how messages name it.

    Raises InputError with source and line when a row is not what the format says.
    """
    (_, header), *rows = _rows(text, source)
    product = [cell.upper() for cell in header[1:4]] == list(_PRODUCT)
    columns, layers_of = (_PRODUCT, _products) if product else (_CONVOLUTION, _convolutions)
    names: dict[str, int] = {}
    layers: list[Layer] = []
    densities: dict[str, float] = {}
    for number, cells in rows:
        line = _line(header, cells, columns, f"{source}:{number}")
        density = _density(line)
        for layer in layers_of(line):
            names[layer.name] = names.get(layer.name, 0) + 1
            unique = layer.name if names[layer.name] == 1 else f"{layer.name}#{names[layer.name]}"
            layers.append(replace(layer, name=unique))
            if density is not None:
                densities[unique] = density
    if not layers:
        raise InputError(f"{source}: only a header line; expected one line per layer")
    trace = trace_from_layers(name, layers)
    return replace(trace, provenance={"kernel_densities": densities}) if densities else trace


def _rows(text: str, source: str) -> list[tuple[int, list[str]]]:
    """Number and cells of every line that has content, the header's first."""
    lines = [(number, line) for number, line in enumerate(text.splitlines(), 1) if line.strip(", \t")]
    if not lines:
        raise InputError(f"{source}: empty; expected a SCALE-Sim topology with a header line")
    separator = "," if "," in lines[0][1] else "\t"
    return [(number, [cell.strip() for cell in line.split(separator)]) for number, line in lines]


def _line(header: list[str], cells: list[str], columns: tuple[str, ...], where: str) -> _Line:
    numbers = []
    for place, column in enumerate(columns, 1):
        cell = cells[place] if place < len(cells) else ""
        if not cell.isdecimal() or int(cell) < 1:
            raise InputError(
                f"{where}: column {place + 1} ({column}): found '{cell}', expected a positive whole number"
            )
        numbers.append(int(cell))
    behind = len(columns) + 1
    titles = [title.lower() for title in header[behind:]]
    titles += [""] * len(cells)
    return _Line(cells[0], numbers, list(zip(titles, cells[behind:], strict=False)), where)


def _density(line: _Line) -> float | None:
    """The share of weights that are left, None where the line has no ratio."""
    for _, cell in line.further:
        found = _RATIO.fullmatch(cell)
        if found:
            left, of = int(found[1]), int(found[2])
            if not 1 <= left <= of:
                raise InputError(f"{line.where}: sparsity {cell}, expected N:M with N from 1 to M")
            return left / of
    return None


def _convolutions(line: _Line) -> list[Layer]:
    height, width, rows, cols, channels, *others = line.numbers
    if rows > height or cols > width:
        raise InputError(f"{line.where}: a {rows}×{cols} kernel does not fit into a {height}×{width} IFM")
    for title, cell in line.further:
        if "batch" in title and cell not in ("", "1"):
            raise InputError(f"{line.where}: a batch of {cell}; make it 1 and simulate with batch={cell}")
    if "DP" not in line.name:
        return [_convolution(line.name, line.numbers)]
    each = [height, width, rows, cols, 1, *others]
    return [_convolution(f"{line.name}Channel_{channel}", each) for channel in range(channels)]


def _convolution(name: str, numbers: list[int]) -> Layer:
    height, width, rows, cols, channels, filters, stride = numbers
    out_rows = -(-(height - rows + stride) // stride)
    out_columns = -(-(width - cols + stride) // stride)
    padding = (
        0,
        0,
        max(0, (out_rows - 1) * stride + rows - height),
        max(0, (out_columns - 1) * stride + cols - width),
    )
    return Layer(
        name,
        "conv",
        (channels, height, width),
        (filters, out_rows, out_columns),
        (filters, channels, rows, cols),
        (stride, stride),
        padding,
    )


def _products(line: _Line) -> list[Layer]:
    rows, outputs, features = line.numbers
    counts = [int(cell) for _, cell in line.further if cell.isdecimal()]
    count = max(counts[0], 1) if counts else 1
    layer = linear_layer(line.name, count * features, count * outputs, rows)
    return [replace(layer, kernel=(count * outputs, features, 1, 1), groups=count)]
