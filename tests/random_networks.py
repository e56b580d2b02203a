"""Small random networks for property tests: every kind of layer, branches that are added or concatenated."""

import dataclasses

import numpy as np
from builders import with_random_maps

from simulator.trace.records import Layer, Tensor
from simulator.trace.trace import Trace

Shape = tuple[int, int, int]


class _Network:
    def __init__(self, rng: np.random.Generator) -> None:
        self.rng = rng
        self.layers: list[Layer] = []
        self.tensors = [Tensor((int(rng.integers(1, 5)) * 2, int(rng.integers(5, 10)), int(rng.integers(5, 10))))]

    def add(self, layer: Layer, *inputs: int, parts: tuple[int, ...] = ()) -> int:
        self.tensors.append(Tensor(layer.ofm, parts=parts))
        name = f"{layer.name}{len(self.layers)}"
        self.layers.append(dataclasses.replace(layer, name=name, inputs=inputs, output=len(self.tensors) - 1))
        return len(self.tensors) - 1

    def conv(self, tensor: int, outputs: int | None = None, *, same: bool = False) -> int:
        """Plain, grouped, depthwise, dilated, strided or transposed; `same` keeps rows and columns."""
        (channels, height, width), rng = self.tensors[tensor].shape, self.rng
        outputs = outputs or 2 * int(rng.integers(1, 6))
        size, dilation = int(rng.choice([1, 3])), int(rng.integers(1, 3))
        groups = 2 if outputs % 2 == 0 and rng.random() < 0.3 else 1
        if outputs == channels and rng.random() < 0.3:
            groups = channels
        kernel = (outputs, channels // groups, size, size)
        if not same and rng.random() < 0.2:
            ofm = (outputs, height * 2, width * 2)
            shape = (outputs, channels // groups, 2, 2)
            return self.add(
                Layer("up", "conv_transpose", (channels, height, width), ofm, shape, (2, 2), groups=groups), tensor
            )
        stride = 1 if same or min(height, width) < 5 else int(rng.integers(1, 3))
        pad = dilation * (size - 1) // 2
        ofm = (outputs, (height - 1) // stride + 1, (width - 1) // stride + 1)
        fused = ("relu",) if rng.random() < 0.5 else ()
        layer = Layer(
            "conv",
            "conv",
            (channels, height, width),
            ofm,
            kernel,
            (stride, stride),
            (pad,) * 4,
            (dilation, dilation),
            groups=groups,
            fused=fused,
        )
        return self.add(layer, tensor)

    def residual(self, tensor: int) -> int:
        shape = self.tensors[tensor].shape
        branch = self.conv(self.conv(tensor, same=True), shape[0], same=True)
        other = self.conv(tensor, shape[0], same=True) if self.rng.random() < 0.5 else tensor
        operator = "add" if self.rng.random() < 0.7 else "multiply"
        return self.add(
            Layer(operator, operator, shape, shape), *((branch, other) if self.rng.random() < 0.5 else (other, branch))
        )

    def concat(self, tensor: int) -> int:
        parts = tuple(self.conv(tensor, same=True) for _ in range(int(self.rng.integers(2, 4))))
        if self.rng.random() < 0.2:
            parts = (tensor, *parts[1:])
        _, height, width = self.tensors[tensor].shape
        channels = sum(self.tensors[part].shape[0] for part in parts)
        shape = (channels, height, width)
        return self.add(Layer("concat", "concat", self.tensors[parts[0]].shape, shape), *parts, parts=parts)

    def pool(self, tensor: int) -> int:
        channels, height, width = self.tensors[tensor].shape
        if height < 3 or width < 3:
            return self.activation(tensor)
        size, operator = int(self.rng.integers(2, 4)), str(self.rng.choice(["max_pool", "average_pool"]))
        ofm = (channels, (height - size) // 2 + 1, (width - size) // 2 + 1)
        return self.add(
            Layer("pool", operator, (channels, height, width), ofm, stride=(2, 2), window=(size, size)), tensor
        )

    def activation(self, tensor: int) -> int:
        shape = self.tensors[tensor].shape
        return self.add(Layer("act", "activation", shape, shape), tensor)

    def attention(self, tensor: int) -> int:
        """Two products of the map as rows of a matrix, and the product of these two activations."""
        channels, height, width = self.tensors[tensor].shape
        rows = height * width
        flat = (channels, rows, 1)
        left, right = (
            self.add(Layer("linear", "linear", flat, (4, rows, 1), (4, channels, 1, 1)), tensor) for _ in range(2)
        )
        self.tensors.append(Tensor((rows, 4, 1), source=right))
        kernel = (rows, 4, 1, 1)
        scores = self.add(Layer("matmul", "matmul", (4, rows, 1), (rows, rows, 1), kernel), left, len(self.tensors) - 1)
        return self.add(Layer("softmax", "softmax", (rows, rows, 1), (rows, rows, 1)), scores)

    def head(self, tensor: int) -> None:
        channels, height, width = self.tensors[tensor].shape
        pooled = self.add(
            Layer(
                "mean",
                "global_average_pool",
                (channels, height, width),
                (channels, 1, 1),
                stride=(height, width),
                window=(height, width),
            ),
            tensor,
        )
        for outputs in (6, 10):
            channels = self.tensors[pooled].shape[0]
            pooled = self.add(
                Layer("fc", "linear", (channels, 1, 1), (outputs, 1, 1), (outputs, channels, 1, 1)), pooled
            )


def random_network(seed: int, *, images: int = 2) -> Trace:
    """A network of 8 to 30 layers with random zero-maps."""
    rng = np.random.default_rng(seed)
    network = _Network(rng)
    tensor = network.conv(0)
    for _ in range(int(rng.integers(2, 5))):
        grow = [network.conv, network.residual, network.concat, network.pool, network.activation]
        tensor = grow[int(rng.integers(len(grow)))](tensor)
    if rng.random() < 0.3:
        tensor = network.attention(tensor)
    network.head(tensor)
    shapes = Trace(f"random-{seed}", network.layers, network.tensors)
    return with_random_maps(shapes, rng, images=images, empty_maps=0.2, kernel_density=0.7)
