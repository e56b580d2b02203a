"""The published structures as pruned networks that run: the same shapes as their traces, and the published budgets."""

import pytest
import torch

from simulator.extract.extract import extract_shapes
from simulator.extract.networks.registry import network_spec
from simulator.pruning.static.prune import Request, prune
from simulator.trace.published import published_budgets, published_trace


@pytest.mark.parametrize("name", ["resnet18-di-unif", "resnet50-di-unif", "resnet50-thinet", "mobilenet_v2-di-unif"])
def test_pruned_networks_have_the_published_budgets(name: str) -> None:
    row = published_budgets()[name]
    spec = network_spec(row.network)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = spec.build().eval()

    pruned = prune(model, spec.input_shape, Request("l1", "given", widths=row.widths))

    found = {
        "macs": pruned.after.macs,
        "operations": pruned.after.operations,
        "params": pruned.after.params,
        "weights": pruned.after.params_without_norms,
    }
    macs, params = (found[counted] for counted in row.counts)
    assert macs == pytest.approx(row.macs, rel=0.005), found
    assert params == pytest.approx(row.params, rel=0.005), found
    with torch.no_grad():
        assert pruned.model(torch.zeros(1, *spec.input_shape)).shape == (1, 1000)
    assert extract_shapes(pruned.model, spec.input_shape, name="x").layers == published_trace(f"budget/{name}").layers
