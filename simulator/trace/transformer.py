"""Transformer encoders and their parts as traces of shapes.

Tokens are rows: a matrix of T tokens with D features is a feature map (D, T, 1). The operators and the way in which
they read each other are those that recording the same network in PyTorch gives.
"""

import dataclasses
from dataclasses import dataclass

from simulator.errors import InputError
from simulator.trace.records import Layer, Tensor
from simulator.trace.shapes import layer_norm_layer, linear_layer, softmax_layer
from simulator.trace.trace import Trace


@dataclass(frozen=True)
class EncoderSize:
    """Layers of an encoder, features of a token, heads, and features between the two feed-forward products."""

    layers: int
    hidden: int
    heads: int
    feed_forward: int


BERT = {
    "bert_base": EncoderSize(layers=12, hidden=768, heads=12, feed_forward=3072),
    "bert_large": EncoderSize(layers=24, hidden=1024, heads=16, feed_forward=4096),
}
"""The encoders of Devlin et al., "BERT", 2018, section 3."""

DEFAULT_SEQUENCE = 64


def bert_trace(name: str, sequence: int = DEFAULT_SEQUENCE) -> Trace:
    """The encoder of "bert_base" or "bert_large" on `sequence` tokens, without embeddings and pooler.

    Raises InputError for another name, or a sequence that is not positive.
    """
    if name not in BERT:
        raise InputError(f"unknown encoder '{name}' (known: {', '.join(BERT)})")
    size = BERT[name]
    return transformer_trace(name, size.layers, size.hidden, size.heads, size.feed_forward, sequence)


def transformer_trace(name: str, layers: int, hidden: int, heads: int, feed_forward: int, sequence: int) -> Trace:
    """An encoder with normalisation behind each residual add and GELU between the feed-forward products.

    Raises InputError when a number is not positive, or the heads do not divide the hidden features.
    """
    _check(name, layers=layers, hidden=hidden, heads=heads, feed_forward=feed_forward, sequence=sequence)
    if hidden % heads:
        raise InputError(f"network '{name}': {heads} heads do not divide {hidden} hidden features")
    graph = _Graph()
    tokens = graph.tensor((hidden, sequence, 1))
    for number in range(layers):
        tokens = _encoder_layer(graph, f"layer.{number}", tokens, hidden, heads, feed_forward, sequence)
    return Trace(name, graph.layers, graph.tensors)


def attention_trace(heads: int, sequence: int, head_dim: int, name: str = "attention") -> Trace:
    """softmax(Q·Kᵀ)·V alone, for Q, K and V of `sequence` tokens that come from outside.

    Raises InputError when a number is not positive.
    """
    _check(name, heads=heads, sequence=sequence, head_dim=head_dim)
    graph = _Graph()
    query, key, value = (graph.tensor((heads * head_dim, sequence, 1)) for _ in range(3))
    _attention(graph, "", query, key, value, heads, sequence)
    return Trace(name, graph.layers, graph.tensors)


def _check(name: str, **sizes: int) -> None:
    for key, value in sizes.items():
        if not isinstance(value, int) or value < 1:
            raise InputError(f"network '{name}': {key} is {value!r}, expected a positive whole number")


class _Graph:
    """Layers and tensors in the order in which they come."""

    def __init__(self) -> None:
        self.layers: list[Layer] = []
        self.tensors: list[Tensor] = []

    def tensor(self, shape: tuple[int, int, int], source: int | None = None) -> int:
        """Adds a tensor and returns its number."""
        self.tensors.append(Tensor(shape, source=source))
        return len(self.tensors) - 1

    def add(self, layer: Layer, *inputs: int) -> int:
        """Adds a layer that reads `inputs` and returns the number of its output."""
        output = self.tensor(layer.ofm)
        self.layers.append(dataclasses.replace(layer, inputs=inputs, output=output))
        return output


def _attention(graph: _Graph, prefix: str, query: int, key: int, value: int, heads: int, sequence: int) -> int:
    """Both products and the softmax between them; the first reads K along its other axis, as a map of its own."""
    hidden = graph.tensors[query].shape[0]
    turned = graph.tensor((heads * sequence, hidden // heads, 1), source=key)
    tokens, weights = (hidden, sequence, 1), (heads * sequence, sequence, 1)
    first = (heads * sequence, hidden // heads, 1, 1)
    scores = Layer(f"{prefix}scores", "matmul", tokens, weights, first, groups=heads, fused=("scale",))
    scored = graph.add(scores, query, turned)
    shares = graph.add(softmax_layer(f"{prefix}softmax", heads * sequence, sequence), scored)
    context = Layer(f"{prefix}context", "matmul", weights, tokens, (hidden, sequence, 1, 1), groups=heads)
    return graph.add(context, shares, value)


def _encoder_layer(
    graph: _Graph, name: str, tokens: int, hidden: int, heads: int, feed_forward: int, sequence: int
) -> int:
    shape = (hidden, sequence, 1)
    query, key, value = (
        graph.add(linear_layer(f"{name}.{part}", hidden, hidden, sequence), tokens)
        for part in ("query", "key", "value")
    )
    mixed = _attention(graph, f"{name}.", query, key, value, heads, sequence)
    out = graph.add(linear_layer(f"{name}.output", hidden, hidden, sequence), mixed)
    added = graph.add(Layer(f"{name}.add_1", "add", shape, shape), tokens, out)
    between = graph.add(layer_norm_layer(f"{name}.norm_1", hidden, sequence), added)
    up = linear_layer(f"{name}.up", hidden, feed_forward, sequence)
    wide = graph.add(dataclasses.replace(up, fused=("gelu",)), between)
    narrow = graph.add(linear_layer(f"{name}.down", feed_forward, hidden, sequence), wide)
    added = graph.add(Layer(f"{name}.add_2", "add", shape, shape), between, narrow)
    return graph.add(layer_norm_layer(f"{name}.norm_2", hidden, sequence), added)
