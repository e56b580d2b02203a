"""Trained networks on labelled photographs: accuracy, and the zeros in their feature maps.

Needs the folder `shared` beside the repository (weights and images that do not ship with fmapsim).
"""

import math
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

from simulator.extract.extract import extract  # noqa: E402
from simulator.extract.images import batches, open_images  # noqa: E402
from simulator.extract.weights import resolve_model  # noqa: E402
from simulator.trace.trace import Trace  # noqa: E402

DATA = Path(__file__).resolve().parents[3] / "shared" / "data"
pytestmark = [
    pytest.mark.shared,
    pytest.mark.skipif(not DATA.is_dir(), reason="real weights and images (../shared/data) are not here"),
]

# Percent: top-1 on all 1,000 images; over images 1, 11, 21, …, first layer left out: zeros in convolution inputs, and
# feature maps (1×1 maps left out) that are zero throughout. Source: the README of the data.
PUBLISHED = {
    "squeezenet1.1": (61.1, 46.1, 2.46),
    "mobilenet_v1": (87.4, 37.6, 2.05),
    "tinydarknet": (65.8, 0.0, 0.0),
}


def record(network: str, select: range, **options: object) -> Trace:
    model = resolve_model(str(DATA / "nets" / f"{network}.json"))
    labels = DATA / "imagenet_sample_1000_labels.tsv"
    images = open_images(DATA / "imagenet_sample_1000_256.tar", labels).subset(list(select))
    return extract(
        model.module,
        batches(images, model.preprocessing, 10),
        name=network,
        labels=images.labels,
        **options,  # type: ignore[arg-type]
    )


@pytest.mark.parametrize("network", PUBLISHED)
def test_zeros_in_feature_maps(network: str) -> None:
    trace = record(network, range(1, 1000, 10))
    zeros = elements = empty = maps = 0
    for layer in trace.layers[1:]:
        if layer.kernel is None:
            continue
        for image in range(trace.image_count):
            nonzeros = trace.nonzeros_per_channel(layer.inputs[0], image)
            elements += layer.ifm_elements
            zeros += layer.ifm_elements - int(nonzeros.sum())
            if layer.ifm[1] * layer.ifm[2] > 1:
                maps += len(nonzeros)
                empty += int((nonzeros == 0).sum())
    _, zero_percent, empty_percent = PUBLISHED[network]
    assert 100 * zeros / elements == pytest.approx(zero_percent, abs=0.05)
    assert 100 * empty / maps == pytest.approx(empty_percent, abs=0.005)


@pytest.mark.parametrize(("network", "step"), [("squeezenet1.1", 2), ("mobilenet_v1", 5), ("tinydarknet", 5)])
def test_accuracy_is_the_published_one(network: str, step: int) -> None:
    """On every so many of the thousand images, within two standard errors of the accuracy on all of them."""
    model = resolve_model(str(DATA / "nets" / f"{network}.json"))
    select = range(0, 1000, step)
    images = open_images(DATA / "imagenet_sample_1000_256.tar", DATA / "imagenet_sample_1000_labels.tsv", select=select)
    loaded = batches(images, model.preprocessing, 20)
    right = 0
    with torch.inference_mode():
        for start, batch in zip(range(0, len(select), 20), loaded, strict=True):
            labels = torch.tensor(loaded.labels[start : start + 20])
            right += int((model.module(batch).argmax(dim=1) == labels).sum())
    published = PUBLISHED[network][0]
    error = 2 * math.sqrt(published * (100 - published) / len(select))
    assert 100 * right / len(select) == pytest.approx(published, abs=error)


def test_epsilon_zero_changes_nothing_and_a_larger_one_prunes_more() -> None:
    select = range(1, 100, 10)
    plain = record("mobilenet_v2", select)
    zero = record("mobilenet_v2", select, epsilon=0.0)
    pruned = record("mobilenet_v2", select, epsilon=0.2, relative=True)

    def empty(trace: Trace) -> int:
        return sum(
            int((trace.nonzeros_per_channel(layer.output, image) == 0).sum())
            for layer in trace.layers
            for image in range(trace.image_count)
        )

    assert zero.accuracy is not None
    assert zero.accuracy.agreement == 1.0
    assert empty(zero) == empty(plain)
    assert empty(pruned) > empty(zero)
    for layer in plain.layers[::7]:
        assert (plain.zeros(layer.name, 3, "ofm") == zero.zeros(layer.name, 3, "ofm")).all()
