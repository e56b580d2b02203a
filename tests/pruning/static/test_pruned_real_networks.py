"""Real networks of the data pack prune, run, and simulate; skipped where the pack is missing."""

from pathlib import Path

import pytest
import torch

from simulator.api import simulate
from simulator.extract.extract import extract_shapes
from simulator.extract.weights import resolve_model
from simulator.pruning.static.budget import parse_budget
from simulator.pruning.static.prune import Request, prune

NETS = Path(__file__).parents[4] / "shared" / "data" / "nets"

pytestmark = [
    pytest.mark.shared,
    pytest.mark.skipif(not NETS.is_dir(), reason="needs the real weights of ../shared"),
]


@pytest.mark.parametrize(
    ("name", "groups"),
    [("cifar_resnet20", 9), ("cifar_vgg16", 15), ("cifar_alexnet", 7), ("squeezenet1.1", 25), ("mobilenet_v1", 14)],
)
def test_real_networks_are_pruned(name: str, groups: int) -> None:
    found = resolve_model(str(NETS / f"{name}.json"))
    pruned = prune(found.module, found.input_shape, Request("l1", "uniform", parse_budget("macs 0.8")))
    assert len(pruned.prunable.groups) == groups
    assert 0.7 < pruned.after.macs / pruned.before.macs <= 0.8
    with torch.no_grad():
        assert pruned.model(torch.zeros(1, *found.input_shape)).shape == (1, found.num_classes)
    trace = extract_shapes(pruned.model, found.input_shape, name=name)
    assert simulate(trace, "edge-npu").totals["macs_dense"] == pruned.after.macs
