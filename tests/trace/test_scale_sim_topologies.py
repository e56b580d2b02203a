"""SCALE-Sim's own topologies, in all the forms they come in, give SCALE-Sim's compute cycles through `simulate`."""

from pathlib import Path

import pytest
from reference.scale_sim_topologies import LENET, MEASURED, PRODUCTS, SHIPPED, compute_cycles, product_of

from simulator.api import simulate
from simulator.errors import InputError
from simulator.trace.topology import trace_from_topology
from simulator.trace.trace import Trace

HEADER = "Layer name, IFMAP Height, IFMAP Width, Filter Height, Filter Width, Channels, Num Filter, Strides,"


def read(tmp_path: Path, text: str, name: str = "net") -> Trace:
    path = tmp_path / f"{name}.csv"
    path.write_bytes(text.encode())
    return trace_from_topology(path)


@pytest.mark.parametrize("dataflow", MEASURED)
def test_cycles_are_those_that_scale_sim_printed(dataflow: str, tmp_path: Path) -> None:
    for text, expected in zip((LENET, PRODUCTS), MEASURED[dataflow], strict=True):
        found = simulate(read(tmp_path, text), f"scale-sim-32-{dataflow}").layers["compute_cycles"].tolist()
        assert found == expected, found


@pytest.mark.parametrize("dataflow", MEASURED)
@pytest.mark.parametrize("name", SHIPPED)
def test_cycles_follow_the_closed_form(name: str, dataflow: str, tmp_path: Path) -> None:
    text, layers = SHIPPED[name]
    found = simulate(read(tmp_path, text), f"scale-sim-32-{dataflow}").layers["compute_cycles"].tolist()
    expected = [compute_cycles(dataflow, numbers) for numbers in layers]
    print(name, dataflow, found)
    assert found == expected


@pytest.mark.parametrize("name", SHIPPED)
def test_sizes_are_those_of_the_file_whatever_ends_its_lines(name: str, tmp_path: Path) -> None:
    text, layers = SHIPPED[name]
    trace = read(tmp_path, text)
    sizes = []
    for layer in trace.layers:
        assert layer.kernel is not None
        outputs, channels, rows, columns = layer.kernel
        sizes.append((layer.ofm[1] * layer.ofm[2], channels * rows * columns, outputs))
    assert sizes == [product_of(numbers) for numbers in layers]
    for changed in (text.replace("\n", "\r\n"), "\ufeff" + text, "\n\n" + text + "\n\n"):
        assert read(tmp_path, changed).layers == trace.layers


def test_a_depthwise_layer_is_a_layer_per_channel(tmp_path: Path) -> None:
    names = [layer.name for layer in read(tmp_path, LENET).layers]
    assert names[2:] == [f"Dw_DPChannel_{channel}" for channel in range(4)]
    assert {layer.ifm[0] for layer in read(tmp_path, LENET).layers[2:]} == {1}


def test_sparsity_is_kept_for_with_densities(tmp_path: Path) -> None:
    trace = read(tmp_path, SHIPPED["sparse_products"][0])
    densities = trace.provenance["kernel_densities"]
    assert densities == {"GEMM_1": 0.75, "GEMM_1#2": 0.25}
    sparse = trace.with_densities({}, densities)
    assert (~sparse.zeros("GEMM_1", 0, "kernel")).sum() == 60
    assert (~sparse.zeros("GEMM_2", 0, "kernel")).sum() == 80
    assert read(tmp_path, SHIPPED["vit"][0]).provenance == {}


def test_a_number_behind_a_product_is_how_many_there_are(tmp_path: Path) -> None:
    (one,) = read(tmp_path, "Layer, M, N, K,\nscores, 7, 5, 3,\n").layers
    (heads,) = read(tmp_path, "Layer, M, N, K, Batch,\nscores, 7, 5, 3, 4,\n").layers
    (sparse,) = read(tmp_path, "Layer, M, N, K, Sparsity, Batch,\nscores, 7, 5, 3, 2:4, 4,\n").layers
    assert (heads.groups, heads.macs, heads.ifm, heads.ofm) == (4, 4 * one.macs, (12, 7, 1), (20, 7, 1))
    assert heads == sparse


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (f"{HEADER} Batch Size,\nc, 8, 8, 3, 3, 4, 4, 1, 2,", "net.csv:2: a batch of 2; make it 1 and simulate with"),
        (f"{HEADER} Sparsity,\n\nc, 8, 8, 3, 3, 4, 4, 1, 5:4,", "net.csv:3: sparsity 5:4, expected N:M"),
        (f"{HEADER}\nc, 8, 8, 3, 3, 4, 4.5, 1,", r"net.csv:2: column 7 \(filters\): found '4.5'"),
        ("Layer, M, N, K\nc, 8, 8", r"net.csv:2: column 4 \(K\): found ''"),
        (",,,\n \t\n", "empty"),
    ],
)
def test_what_cannot_be_read_is_named(text: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=message):
        read(tmp_path, text)
