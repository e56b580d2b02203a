"""Shape-only traces from Python and from SCALE-Sim's CSV files."""

from pathlib import Path

import pytest

from simulator.errors import InputError
from simulator.trace.records import Layer
from simulator.trace.shapes import conv_layer, linear_layer, trace_from_layers
from simulator.trace.topology import trace_from_topology

HEADER = "Layer name, IFMAP Height, IFMAP Width, Filter Height, Filter Width, Channels, Num Filter, Strides,\n"


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "net.csv"
    path.write_text(text)
    return path


def test_convolution_form(tmp_path: Path) -> None:
    trace = trace_from_topology(
        write(tmp_path, HEADER + "Conv1, 224, 224, 11, 11, 3, 96, 4,\nConv2,27,27,5,5,96,256,1,\n")
    )
    first, second = trace.layers
    assert trace.name == "net"
    assert (first.name, first.operator, first.ifm) == ("Conv1", "conv", (3, 224, 224))
    assert first.ofm == (96, 55, 55)  # SCALE-Sim rounds up: ceil((224 - 11 + 4) / 4)
    assert first.padding == (0, 0, 3, 3)
    assert second.ofm == (256, 23, 23)
    assert second.macs == 256 * 23 * 23 * 96 * 25
    assert second.inputs != (first.output,)  # shapes do not follow from each other: an own input


def test_matrix_form(tmp_path: Path) -> None:
    trace = trace_from_topology(write(tmp_path, "Layer, M, N, K,\nqkv, 64, 96, 32,\n"))
    (layer,) = trace.layers
    assert (layer.operator, layer.ifm, layer.ofm, layer.macs) == ("linear", (32, 64, 1), (96, 64, 1), 64 * 96 * 32)


def test_repeated_names_get_a_number(tmp_path: Path) -> None:
    row = "c, 8, 8, 3, 3, 4, 4, 1,\n"
    assert [layer.name for layer in trace_from_topology(write(tmp_path, HEADER + row * 2)).layers] == ["c", "c#2"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "empty"),
        (HEADER, "only a header"),
        (HEADER + "c, 8, 8, 3, 3, x, 4, 1,\n", r"net.csv:2: column 6 \(channels\): found 'x'"),
        (HEADER + "c, 8, 8, 3, 3,\n", r"net.csv:2: column 6 \(channels\): found ''"),
        (HEADER + "c, 8, 8, 9, 3, 4, 4, 1,\n", "9×3 kernel does not fit"),
    ],
)
def test_bad_topologies_name_the_line(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        trace_from_topology(write(tmp_path, text))


def test_layers_in_a_row_share_tensors() -> None:
    trace = trace_from_layers("x", [conv_layer("a", (3, 8, 8), 4, (3, 3)), linear_layer("b", 4 * 36, 10)])
    assert trace.layers[1].inputs == (trace.layers[0].output,)


def test_a_residual_network_in_plain_python() -> None:
    layers = [
        Layer("conv", "conv", (4, 8, 8), (4, 8, 8), (4, 4, 3, 3), padding=(1, 1, 1, 1), inputs=(0,)),
        Layer("add", "add", (4, 8, 8), (4, 8, 8), inputs=(1, 0)),
    ]
    trace = trace_from_layers("residual", layers)
    assert trace.layers[1].inputs == (1, 0)
    assert trace.layers[1].output == 2


def test_wrong_layers_are_refused() -> None:
    with pytest.raises(InputError, match="no layers"):
        trace_from_layers("x", [])
    with pytest.raises(InputError, match="two layers are named 'a'"):
        trace_from_layers("x", [linear_layer("a", 4, 4), linear_layer("a", 4, 4)])
    with pytest.raises(InputError, match="do not divide"):
        conv_layer("g", (3, 8, 8), 4, (3, 3), groups=2)
    with pytest.raises(InputError, match="does not fit"):
        conv_layer("k", (3, 2, 2), 4, (3, 3))
    with pytest.raises(InputError, match="do not name tensors before it"):
        trace_from_layers("x", [Layer("add", "add", (4, 8, 8), (4, 8, 8), inputs=(0, 5))])
