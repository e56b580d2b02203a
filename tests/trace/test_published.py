"""The rows of the published table have the budgets that were published for them."""

import pytest

from simulator.api import simulate
from simulator.errors import InputError
from simulator.trace.published import PublishedBudget, published_budgets, published_names, published_trace
from simulator.trace.trace import Trace

ROWS = list(published_budgets().values())


def counts(row: PublishedBudget, trace: Trace) -> tuple[float, float]:
    """MACs of convolutions and linear layers, and parameters as the row counts them."""
    params = sum(layer.kernel_elements for layer in trace.layers)
    params += sum(layer.ofm[0] for layer in trace.layers if layer.operator == "linear")
    if row.counts[1] == "params":
        params += 2 * sum(layer.ofm[0] for layer in trace.layers if "batch_norm" in layer.fused)
    return sum(layer.macs for layer in trace.layers), params


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_structures_have_the_published_budgets(row: PublishedBudget) -> None:
    macs, params = counts(row, published_trace(f"budget/{row.name}"))
    assert macs == pytest.approx(row.macs, rel=0.005), f"{macs / row.macs - 1:+.2%}"
    if row.params is None:
        assert row.fidelity == "uniform"
    else:
        assert row.fidelity != "uniform"
        within = {"resnet50-gal-0.5": 0.021, "mobilenet_v2-dcp": 0.006, "mobilenet_v2-cpli": 0.006}.get(row.name, 0.005)
        assert params == pytest.approx(row.params, rel=within), f"{params / row.params - 1:+.2%}"


def test_the_table_is_whole() -> None:
    networks = [row.network for row in ROWS]
    assert {name: networks.count(name) for name in set(networks)} == {"resnet18": 7, "resnet50": 20, "mobilenet_v2": 4}
    assert (
        published_budgets()["resnet50-di-unif"].layer_widths(published_trace("budget/resnet50"))["layer1.0.conv1"] == 31
    )


@pytest.mark.parametrize("name", published_names()[1::9])
def test_rows_simulate(name: str) -> None:
    trace = published_trace(name)
    assert trace.name == name
    assert simulate(trace, "edge-npu").totals["macs_dense"] == sum(layer.macs for layer in trace.layers)


@pytest.mark.parametrize("row", [row for row in ROWS if row.mean_bits], ids=lambda row: row.name)
def test_sizes_from_bits(row: PublishedBudget) -> None:
    """Parameters times mean width, in MiB; the trace's weights have that mean."""
    assert row.mean_bits is not None
    trace = published_trace(f"budget/{row.name}")
    assert counts(row, trace)[1] * row.mean_bits / 8 / 2**20 == pytest.approx(row.size_mib, rel=0.001)
    weights = sum(layer.kernel_elements for layer in trace.layers)
    bits = sum(
        sum(layer.kernel_bits) * layer.kernel_elements // len(layer.kernel_bits)
        for layer in trace.layers
        if layer.kernel
    )
    assert bits / weights == pytest.approx(row.mean_bits, rel=0.005)


def test_quantised_rows_move_fewer_kernel_bytes() -> None:
    whole, two = (
        simulate(published_trace(f"budget/{name}"), "edge-npu") for name in ("resnet50", "resnet50-weights-di")
    )
    assert two.totals["dram_bytes"] < whole.totals["dram_bytes"]


def test_a_row_that_does_not_exist() -> None:
    with pytest.raises(InputError, match=r"unknown published budget .*did you mean 'budget/resnet50-di"):
        published_trace("budget/resnet50-di")
