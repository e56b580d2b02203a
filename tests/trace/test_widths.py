"""Shapes with other channel counts are those of the network built that way."""

import dataclasses

import pytest

from simulator.errors import InputError
from simulator.trace.shapes import conv_layer, trace_from_layers
from simulator.trace.trace import network_trace
from simulator.trace.widths import with_widths


def test_no_widths_change_nothing() -> None:
    for name in ("resnet50", "mobilenet_v2", "squeezenet1_1", "vgg16", "bvlc_alexnet"):
        trace = network_trace(name)
        same = with_widths(trace, {})
        assert same.layers == trace.layers
        assert [tensor.shape for tensor in same.tensors] == [tensor.shape for tensor in trace.tensors]


def test_a_residual_block_keeps_its_outer_width() -> None:
    trace = with_widths(network_trace("resnet18"), {"layer1.0.conv1": 10})
    assert trace.layer("layer1.0.conv1").kernel == (10, 64, 3, 3)
    assert trace.layer("layer1.0.conv2").kernel == (64, 10, 3, 3)
    assert trace.layer("layer1.0.add").ofm == (64, 56, 56)
    assert trace.tensors[trace.layer("layer1.0.conv1").output].shape == (10, 56, 56)


def test_depthwise_layers_follow() -> None:
    trace = with_widths(network_trace("mobilenet_v2"), {"features.2.conv.0.0": 50})
    assert trace.layer("features.2.conv.1.0").kernel == (50, 1, 3, 3)
    assert trace.layer("features.2.conv.1.0").groups == 50
    assert trace.layer("features.2.conv.2").kernel == (24, 50, 1, 1)
    with pytest.raises(InputError, match="is depthwise: it reads 96 channels, so it cannot write 40"):
        with_widths(network_trace("mobilenet_v2"), {"features.2.conv.1.0": 40})


def test_concatenations_and_flattens_follow() -> None:
    trace = with_widths(network_trace("squeezenet1_1"), {"features.3.expand1x1": 20})
    assert trace.layer("features.3.cat").ofm[0] == 84
    assert trace.layer("features.4.squeeze").kernel == (16, 84, 1, 1)
    assert with_widths(network_trace("vgg16"), {"features.28": 100}).layer("classifier.0").kernel == (4096, 4900, 1, 1)


def test_what_does_not_fit_is_said() -> None:
    resnet = network_trace("resnet18")
    with pytest.raises(InputError, match=r"layer 'layer1\.0\.add' \(add\) meets 60 and 64 channels"):
        with_widths(resnet, {"layer1.0.conv2": 60})
    with pytest.raises(InputError, match="no layer 'layer9'"):
        with_widths(resnet, {"layer9": 3})
    with pytest.raises(InputError, match="layer 'maxpool' has no kernel"):
        with_widths(resnet, {"maxpool": 3})
    with pytest.raises(InputError, match="0 output channels, expected at least 1"):
        with_widths(resnet, {"layer1.0.conv1": 0})
    with pytest.raises(InputError, match="layer 'conv2': 2 groups do not divide 95 input"):
        with_widths(network_trace("bvlc_alexnet"), {"conv1": 95})
    stem = {"conv1": 12, "layer1.0.conv2": 12, "layer1.1.conv2": 12, "layer1.2.conv2": 12}
    with pytest.raises(InputError, match=r"layer 'layer2\.0\.shortcut' \(pad\): its channels do not follow"):
        with_widths(network_trace("cifar_resnet20"), stem)


def test_a_chain_by_hand() -> None:
    layers = [conv_layer("a", (3, 8, 8), 4, (3, 3)), conv_layer("b", (4, 6, 6), 5, (1, 1))]
    trace = with_widths(trace_from_layers("x", layers), {"a": 2}, "y")
    expected = trace_from_layers("y", [conv_layer("a", (3, 8, 8), 2, (3, 3)), conv_layer("b", (2, 6, 6), 5, (1, 1))])
    assert [dataclasses.asdict(layer) for layer in trace.layers] == [dataclasses.asdict(x) for x in expected.layers]
    assert trace.name == "y"
