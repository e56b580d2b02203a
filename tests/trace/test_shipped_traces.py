"""The traces and shapes that ship with fmapsim: complete, small, and what the published numbers say."""

from pathlib import Path

import pytest
from reference.paper_networks import IFM_SHARE, OFM_MBIT

from simulator.resources import shipped_folder
from simulator.trace.records import Layer
from simulator.trace.trace import Trace, load_trace, network_trace, network_trace_names, trace_names
from simulator.trace.transformer import BERT, bert_trace

RECORDED = ["mobilenet_v1", "mobilenet_v2", "squeezenet1_0", "squeezenet1_1", "tinynet"]


def convolutions(trace: Trace) -> list[Layer]:
    return [layer for layer in trace.layers if layer.operator == "conv"]


def test_five_networks_are_recorded_in_under_12_mb() -> None:
    assert trace_names() == RECORDED
    files = [path for path in Path(shipped_folder("traces")).rglob("*.safetensors")]
    assert sum(path.stat().st_size for path in files) < 12e6


@pytest.mark.parametrize("name", RECORDED)
def test_each_trace_has_four_images_and_says_where_it_comes_from(name: str) -> None:
    trace = load_trace(name)
    assert trace.image_count == 4
    assert len(trace.provenance["weights"]["sha256"]) == 64
    assert trace.provenance["command"].startswith("fmapsim extract ")
    assert f"--name {name}" in trace.provenance["command"]
    for text in map(str, trace.provenance.values()):
        assert "/work" not in text
        assert "/home" not in text
    for index in (0, len(trace.layers) // 2, -1):
        layer = trace.layers[index]
        assert trace.zeros(layer.name, 3, "ofm").shape == layer.ofm
        counted = trace.nonzeros_per_channel(layer.output, 3)
        assert (counted == (~trace.zeros(layer.name, 3, "ofm")).reshape(len(counted), -1).sum(axis=1)).all()


def test_relu_networks_have_zeros_and_leaky_ones_none() -> None:
    def share(name: str) -> float:
        trace = load_trace(name)
        zeros = elements = 0
        for layer in convolutions(trace)[1:]:
            zeros += int(trace.zeros(layer.name, 0).sum())
            elements += layer.ifm_elements
        return zeros / elements

    assert share("tinynet") == 0
    assert 0.3 < share("mobilenet_v1") < 0.5
    assert 0.4 < share("squeezenet1_1") < 0.6


@pytest.mark.parametrize("name", OFM_MBIT)
def test_paper_networks_move_what_their_authors_logged(name: str) -> None:
    layers = convolutions(network_trace(f"paper/{name}"))
    mbit = sum(16 * layer.ofm_elements for layer in layers) / 1e6
    assert mbit == pytest.approx(OFM_MBIT[name], abs=0.05)
    ifm = sum(layer.ifm_elements for layer in layers)
    kernels = sum(layer.kernel_elements for layer in layers)
    assert 100 * ifm / (ifm + kernels) == pytest.approx(IFM_SHARE[name], abs=0.05)


def test_well_known_networks_have_their_published_macs() -> None:
    published = {"alexnet": 0.714, "vgg16": 15.47, "resnet18": 1.814, "resnet50": 4.089, "mobilenet_v2": 0.301}
    for name, giga in published.items():
        macs = sum(layer.macs for layer in network_trace(name).layers)
        assert macs / 1e9 == pytest.approx(giga, abs=0.001)


def test_caffes_alexnet_has_its_layers_groups_and_macs() -> None:
    layers = network_trace("bvlc_alexnet").layers
    assert [layer.name for layer in layers if layer.kernel] == [
        *(f"conv{number}" for number in range(1, 6)),
        *("fc6", "fc7", "fc8"),
    ]
    convs = [layer for layer in layers if layer.operator == "conv"]
    assert [layer.groups for layer in convs] == [1, 2, 1, 2, 2]
    assert [layer.macs for layer in convs] == [105_415_200, 223_948_800, 149_520_384, 112_140_288, 74_760_192]
    assert sum(layer.kernel_elements for layer in layers) == 60_965_224 - sum(
        layer.ofm[0] for layer in layers if layer.kernel
    )


def test_shapes_are_what_the_extractor_sees_now() -> None:
    torch = pytest.importorskip("torch")
    from simulator.extract.extract import extract_shapes
    from simulator.extract.networks.registry import network_names, network_spec

    assert network_trace_names() == sorted([*network_names(), *BERT])
    for name in network_names():
        spec = network_spec(name)
        with torch.device("meta"):
            model = spec.build()
        seen = extract_shapes(model, spec.input_shape, name=name)
        shipped = network_trace(name)
        assert seen.layers == shipped.layers, name
        assert seen.tensors == shipped.tensors, name
    for name in BERT:
        built, shipped = bert_trace(name), network_trace(name)
        assert (built.layers, built.tensors) == (shipped.layers, shipped.tensors)
