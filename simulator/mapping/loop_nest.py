"""The loops of one layer, and which part of the IFM and OFM a range of them touches."""

import dataclasses
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from simulator.trace.records import ARRAY_OPERATORS, Layer, Shape
from simulator.trace.trace import Trace

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class LoopNest:
    """The loops of a layer, for a batch of N images.

    G groups, K output and C input channels per group, P×Q positions, R×S kernel positions. unit: `array` for
    multiply-accumulates, `vector` for pooling and element-wise work (G then counts channels and K = C = 1 where the
    operator keeps them apart). inputs: the (C, H, W) of each tensor it reads; ofm its (K, H, W). windowed: whether
    neighbouring positions read overlapping IFM windows; else rows and columns map in proportion. two_activations: the
    kernel is a feature map too. winograd: the layer runs as F(2×2, 3×3) on kernels that are stored transformed.
    kernel_bits: the width of each of the G·K output channels' weights, none where the accelerator's holds for all.
    """

    unit: Literal["array", "vector"]
    n: int
    g: int
    k: int
    c: int
    p: int
    q: int
    r: int
    s: int
    stride: tuple[int, int]
    padding: tuple[int, int]
    dilation: tuple[int, int]
    inputs: tuple[Shape, ...]
    ofm: Shape
    windowed: bool
    two_activations: bool = False
    winograd: bool = False
    kernel_bits: tuple[int, ...] = ()

    def stored_kernel_bits(self, widest: int) -> float:
        """Bits of a weight in DRAM on average; `widest` is the accelerator's width, which none exceeds."""
        if not self.kernel_bits:
            return widest
        return sum(min(bits, widest) for bits in self.kernel_bits) / len(self.kernel_bits)

    @property
    def macs(self) -> int:
        """Multiply-accumulates of a dense run, 0 on the vector unit."""
        if self.unit == "vector":
            return 0
        return self.n * self.g * self.k * self.c * self.p * self.q * self.r * self.s

    @property
    def kernel_positions(self) -> int:
        """Stored elements of a kernel per channel: R·S, or 16 with Winograd."""
        return 16 if self.winograd else self.r * self.s

    @property
    def kernel_elements(self) -> int:
        """Stored elements of all kernels, 0 on the vector unit."""
        return self.g * self.k * self.c * self.kernel_positions if self.unit == "array" else 0

    @property
    def multiplications(self) -> int:
        """Products that a dense run takes: as many as MACs, but with Winograd 16 per block of 2×2 outputs."""
        if not self.winograd:
            return self.macs
        return self.n * self.g * self.k * self.c * 16 * -(-self.p // 2) * -(-self.q // 2)

    def input_rows(self, start: npt.ArrayLike, stop: npt.ArrayLike, index: int = 0) -> tuple[Ints, Ints]:
        """The rows [first, last) of input `index` that positions [start, stop) of loop P read."""
        window = (self.stride[0], self.padding[0], self.dilation[0] * (self.r - 1) + 1)
        return self._span(start, stop, self.p, self.inputs[index][1], window, index)

    def input_columns(self, start: npt.ArrayLike, stop: npt.ArrayLike, index: int = 0) -> tuple[Ints, Ints]:
        """The columns [first, last) of input `index` that positions [start, stop) of loop Q read."""
        window = (self.stride[1], self.padding[1], self.dilation[1] * (self.s - 1) + 1)
        return self._span(start, stop, self.q, self.inputs[index][2], window, index)

    def window_rows(self, positions: npt.ArrayLike, padding: bool) -> Ints:
        """Rows of the first input that so many neighbouring positions of loop P read at most."""
        reach = self.dilation[0] * (self.r - 1) + 1
        return self._window(positions, self.p, self.inputs[0][1], self.stride[0], reach, padding)

    def window_columns(self, positions: npt.ArrayLike, padding: bool) -> Ints:
        """The same for columns and loop Q."""
        reach = self.dilation[1] * (self.s - 1) + 1
        return self._window(positions, self.q, self.inputs[0][2], self.stride[1], reach, padding)

    def _window(self, positions: npt.ArrayLike, loop: int, size: int, stride: int, reach: int, padding: bool) -> Ints:
        tile = np.asarray(positions, np.int64)
        if not self.windowed:
            return np.minimum(size, -(-tile * size // loop) + (tile < loop))
        window = (tile - 1) * stride + reach
        return window if padding else np.minimum(size, window)

    def input_channels(self, start: npt.ArrayLike, stop: npt.ArrayLike, index: int = 0) -> tuple[Ints, Ints]:
        """The channels [first, last) of input `index` that channels [start, stop) of all G·C read."""
        return _proportional(start, stop, self.g * self.c, self.inputs[index][0])

    def ofm_channels(self, start: npt.ArrayLike, stop: npt.ArrayLike) -> tuple[Ints, Ints]:
        """The OFM channels that channels [start, stop) of all G·K write."""
        return _proportional(start, stop, self.g * self.k, self.ofm[0])

    def ofm_rows(self, start: npt.ArrayLike, stop: npt.ArrayLike) -> tuple[Ints, Ints]:
        """The OFM rows that positions [start, stop) of loop P write."""
        return _proportional(start, stop, self.p, self.ofm[1])

    def ofm_columns(self, start: npt.ArrayLike, stop: npt.ArrayLike) -> tuple[Ints, Ints]:
        """The OFM columns that positions [start, stop) of loop Q write."""
        return _proportional(start, stop, self.q, self.ofm[2])

    def _span(
        self, start: npt.ArrayLike, stop: npt.ArrayLike, loop: int, size: int, window: tuple[int, int, int], index: int
    ) -> tuple[Ints, Ints]:
        if not self.windowed or index > 0:
            return _proportional(start, stop, loop, size)
        stride, padding, reach = window
        first = np.clip(np.asarray(start) * stride - padding, 0, size)
        last = np.clip((np.asarray(stop) - 1) * stride - padding + reach, 0, size)
        return first.astype(np.int64), np.maximum(last, first).astype(np.int64)


def _proportional(start: npt.ArrayLike, stop: npt.ArrayLike, loop: int, size: int) -> tuple[Ints, Ints]:
    """Splits `size` in the proportions of the loop, so that adjoining ranges stay adjoining and nothing is lost."""
    first = np.asarray(start, np.int64) * size // loop
    last = np.asarray(stop, np.int64) * size // loop
    return first, last


def loop_nest(trace: Trace, layer: Layer, batch: int = 1, *, winograd: bool = False) -> LoopNest:
    """The loops of `layer` for `batch` images. winograd: use it where it can be used and saves products.

    A transposed convolution runs over the positions of its IFM. The right operand of a product of two activations
    belongs to its image, so the images become groups.
    """
    inputs = (layer.ifm, *(trace.tensors[index].shape for index in layer.inputs[1:]))
    top, left = layer.padding[0], layer.padding[1]
    if layer.operator in ARRAY_OPERATORS and layer.kernel is not None:
        outputs, channels, rows, columns = layer.kernel
        transposed = layer.operator == "conv_transpose"
        positions = layer.ifm[1:] if transposed else layer.ofm[1:]
        own_kernel = layer.two_activations
        nest = LoopNest(
            unit="array",
            n=1 if own_kernel else batch,
            g=layer.groups * (batch if own_kernel else 1),
            k=outputs // layer.groups,
            c=channels,
            p=positions[0],
            q=positions[1],
            r=rows,
            s=columns,
            stride=layer.stride,
            padding=(top, left),
            dilation=layer.dilation,
            inputs=((layer.ifm[0] * (batch if own_kernel else 1), *layer.ifm[1:]),),
            ofm=(layer.ofm[0] * (batch if own_kernel else 1), *layer.ofm[1:]),
            windowed=not transposed,
            two_activations=own_kernel,
            kernel_bits=layer.kernel_bits,
        )
        if winograd and _suits_winograd(layer):
            blocked = dataclasses.replace(nest, winograd=True)
            return blocked if blocked.multiplications < nest.macs else nest
        return nest
    windowed = layer.window != (1, 1)
    return LoopNest(
        unit="vector",
        n=batch,
        g=layer.ofm[0],
        k=1,
        c=1,
        p=layer.ofm[1],
        q=layer.ofm[2],
        r=layer.window[0],
        s=layer.window[1],
        stride=layer.stride,
        padding=(top, left),
        dilation=layer.dilation,
        inputs=inputs,
        ofm=layer.ofm,
        windowed=windowed,
    )


def _suits_winograd(layer: Layer) -> bool:
    dense = layer.operator == "conv" and layer.groups == 1 and layer.kernel is not None and layer.kernel[2:] == (3, 3)
    return dense and layer.stride == (1, 1) and layer.dilation == (1, 1)
