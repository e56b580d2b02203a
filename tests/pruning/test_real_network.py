"""MobileNetV2 on photographs: what epsilon 0 removes, and that every layer of it can be sampled.

Needs the folder `shared` beside the repository (weights and images that do not ship with fmapsim).
"""

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from simulator.extract.extract import evaluating  # noqa: E402
from simulator.extract.images import batches, open_images  # noqa: E402
from simulator.extract.plan import make_plan  # noqa: E402
from simulator.extract.pruning_hook import DynamicPruning  # noqa: E402
from simulator.extract.tracer import trace_graph  # noqa: E402
from simulator.extract.weights import resolve_model  # noqa: E402
from simulator.pruning.dynamic.bench import Bench  # noqa: E402
from simulator.pruning.dynamic.sensitivity import sample_layers  # noqa: E402

DATA = Path(__file__).resolve().parents[3] / "shared" / "data"
pytestmark = [
    pytest.mark.shared,
    pytest.mark.skipif(not DATA.is_dir(), reason="real weights and images (../shared/data) are not here"),
]


def test_mobilenet_v2() -> None:
    model = resolve_model(str(DATA / "nets" / "mobilenet_v2.json"))
    images = open_images(DATA / "imagenet_sample_1000_256.tar", DATA / "imagenet_sample_1000_labels.tsv")
    held_out = images.subset(range(500, 1000, 40))
    others = list(batches(held_out, model.preprocessing, 10))
    with evaluating(model.module):
        plan = make_plan(trace_graph(model.module, others[0][:2], "mobilenet_v2"))
        samples, _ = sample_layers(model.module, plan, [others[0][:4]], "all")
    assert set(samples) == set(plan.prunable)
    assert held_out.labels is not None
    bench = Bench(model.module, plan, "mobilenet_v2", others, held_out.labels)

    plain, zero = bench.run(None), bench.run(DynamicPruning(dict.fromkeys(plan.prunable, 0.0)))
    assert np.array_equal(plain.certainty, zero.certainty), "epsilon 0 changes no output"
    assert zero.flagged_share >= 0.07, zero.flagged_share
