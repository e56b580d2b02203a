"""SCALE-Sim topology files (CSV) as traces of shapes.

Convolutions: name, IFM height, IFM width, kernel height, kernel width, channels, number of filters, stride.
Matrix products: name, M, N, K. Both with a header line and a comma at the end of a line, further columns ignored.
SCALE-Sim counts ceil((H − R + stride) / stride) output rows without padding: a window that hangs over the bottom or
right edge is kept, which appears here as padding on that side. What the file calls one filter over all channels is read
as that, also where the network had a depthwise layer.
"""

import csv
from pathlib import Path

from simulator.errors import InputError
from simulator.trace.records import Layer
from simulator.trace.shapes import linear_layer, trace_from_layers
from simulator.trace.trace import Trace


def trace_from_topology(csv_path: str | Path) -> Trace:
    """The network of a SCALE-Sim topology file, named after the file.

    Raises InputError with file and line when a row is not what the format says.
    """
    path = Path(csv_path)
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read ({getattr(error, 'strerror', None) or error})") from None
    rows = [
        (number, [cell.strip() for cell in row])
        for number, row in enumerate(csv.reader(text.splitlines()), 1)
        if any(cell.strip() for cell in row)
    ]
    if not rows:
        raise InputError(f"{path}: empty; expected a SCALE-Sim topology with a header line")
    header = [cell for cell in rows[0][1] if cell]
    matrix_form = len(header) >= 4 and [cell.upper() for cell in header[1:4]] == ["M", "N", "K"]
    read = _matrix_product if matrix_form else _convolution
    names: dict[str, int] = {}
    layers = []
    for number, cells in rows[1:]:
        name = cells[0]
        names[name] = names.get(name, 0) + 1
        unique = name if names[name] == 1 else f"{name}#{names[name]}"
        layers.append(read(unique, cells, f"{path}:{number}"))
    if not layers:
        raise InputError(f"{path}: only a header line; expected one line per layer")
    return trace_from_layers(path.stem, layers)


def _numbers(cells: list[str], names: tuple[str, ...], where: str) -> list[int]:
    values = []
    for position, name in enumerate(names, 1):
        cell = cells[position] if position < len(cells) else ""
        if not cell.isdecimal() or int(cell) < 1:
            raise InputError(
                f"{where}: column {position + 1} ({name}): found '{cell}', expected a positive whole number"
            )
        values.append(int(cell))
    return values


def _convolution(name: str, cells: list[str], where: str) -> Layer:
    columns = ("IFM height", "IFM width", "kernel height", "kernel width", "channels", "filters", "stride")
    height, width, rows, cols, channels, filters, stride = _numbers(cells, columns, where)
    if rows > height or cols > width:
        raise InputError(f"{where}: a {rows}×{cols} kernel does not fit into a {height}×{width} IFM")
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


def _matrix_product(name: str, cells: list[str], where: str) -> Layer:
    rows, outputs, features = _numbers(cells, ("M", "N", "K"), where)
    return linear_layer(name, features, outputs, rows)
