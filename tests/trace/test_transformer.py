"""Transformer encoders in plain Python: what recording the same network in PyTorch gives, and their known sizes."""

import dataclasses
from collections.abc import Callable

import pytest
from builders import small_accelerator

from simulator.api import simulate
from simulator.errors import InputError
from simulator.trace.records import Layer
from simulator.trace.shapes import layer_norm_layer, linear_layer, softmax_layer, trace_from_layers
from simulator.trace.trace import Trace, network_trace
from simulator.trace.transformer import attention_trace, bert_trace, transformer_trace


def test_an_encoder_is_what_the_recorder_sees() -> None:
    """Names apart: layers, sizes, groups, fused operators, and who reads which tensor."""
    torch = pytest.importorskip("torch")
    from torch import nn
    from torch.nn import functional as F  # noqa: N812

    from simulator.extract.extract import extract_shapes

    class EncoderLayer(nn.Module):
        def __init__(self, hidden: int, heads: int, feed_forward: int) -> None:
            super().__init__()
            self.heads = heads
            self.query, self.key, self.value, self.output = (nn.Linear(hidden, hidden) for _ in range(4))
            self.norm_1, self.norm_2 = nn.LayerNorm(hidden), nn.LayerNorm(hidden)
            self.up, self.down = nn.Linear(hidden, feed_forward), nn.Linear(feed_forward, hidden)

        def forward(self, x):
            by_head = (
                part(x).unflatten(2, (self.heads, -1)).transpose(1, 2) for part in (self.query, self.key, self.value)
            )
            query, key, value = by_head
            mixed = torch.softmax(query @ key.transpose(2, 3) / 2, 3) @ value
            x = self.norm_1(x + self.output(mixed.transpose(1, 2).flatten(2)))
            return self.norm_2(x + self.down(F.gelu(self.up(x))))

    class Encoder(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.ModuleList(EncoderLayer(12, 3, 20) for _ in range(2))

        def forward(self, x):
            x = x.flatten(2).transpose(1, 2)
            for layer in self.layer:
                x = layer(x)
            return x

    def nameless(trace: Trace) -> list[Layer]:
        return [dataclasses.replace(layer, name="") for layer in trace.layers]

    recorded = extract_shapes(Encoder(), (12, 5, 1), name="encoder")
    built = transformer_trace("encoder", layers=2, hidden=12, heads=3, feed_forward=20, sequence=5)
    assert nameless(built) == nameless(recorded)
    assert built.tensors == recorded.tensors


@pytest.mark.parametrize(
    ("name", "layers", "hidden", "weights"),
    [("bert_base", 12, 768, 84_934_656), ("bert_large", 24, 1024, 301_989_888)],
)
def test_bert_has_its_weights_and_macs(name: str, layers: int, hidden: int, weights: int) -> None:
    """Weights: 12 hidden² per layer. MACs: those times the tokens, and two products of tokens² · hidden."""
    for trace, tokens in ((network_trace(name), 64), (bert_trace(name, 100), 100)):
        products = [layer for layer in trace.layers if layer.two_activations]
        assert len(trace.layers) == 13 * layers
        assert len(products) == 2 * layers
        assert sum(layer.kernel_elements for layer in trace.layers if not layer.two_activations) == weights
        macs = sum(layer.macs for layer in trace.layers)
        assert macs == tokens * weights + 2 * layers * tokens**2 * hidden
        assert not trace.has_maps


def test_attention_alone_runs_and_every_mac_is_performed() -> None:
    trace = attention_trace(heads=2, sequence=6, head_dim=4)
    assert [layer.operator for layer in trace.layers] == ["matmul", "softmax", "matmul"]
    assert trace.layers[0].groups == 2
    report = simulate(trace, small_accelerator(), batch=2)
    assert report.totals["macs_performed"] == 2 * 2 * (2 * 6 * 6 * 4)


def test_an_encoder_simulates_with_densities() -> None:
    trace = transformer_trace("small", 1, 8, 2, 16, 5).with_densities({"layer.0.up": (None, 0.1)})
    report = simulate(trace, small_accelerator(), batch=2)
    down = report.layers.set_index("layer").loc["layer.0.down"]
    assert down["macs_effectual"] == 2 * round(0.1 * 16 * 5) * 8


def test_single_vector_layers_read_and_write_every_element() -> None:
    for layer in (softmax_layer("softmax", 24, 6), layer_norm_layer("norm", 24, 6)):
        trace = trace_from_layers("one", [layer])
        hardware = small_accelerator(post_processing={"lanes": 1})
        assert simulate(trace, hardware).totals["compute_cycles"] == 24 * 6
    assert linear_layer("gemm", 32, 96, rows=64).macs == 64 * 32 * 96


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: bert_trace("bert_tiny"), "unknown encoder 'bert_tiny'"),
        (lambda: bert_trace("bert_base", 0), "sequence is 0, expected a positive"),
        (lambda: transformer_trace("x", 1, 10, 3, 20, 4), "3 heads do not divide 10"),
        (lambda: attention_trace(0, 4, 4), "heads is 0"),
        (lambda: network_trace("bert_bas"), "did you mean 'bert_base'"),
    ],
)
def test_impossible_sizes_are_refused(build: Callable[[], Trace], message: str) -> None:
    with pytest.raises(InputError, match=message):
        build()
