"""What a library does to operands before a layer's work, in an accelerator file."""

from simulator.hardware.section import Section
from simulator.hardware.units import Bytes, BytesPerSecond, Picoseconds


class Rearranging(Section):
    """Kernels and feature maps are brought into the order that a library works in, and results of convolutions back, at
    every call and before the layer's work.

    bandwidth: bytes per second of what is rearranged. overhead: picoseconds that it takes besides, to launch kernels.
    Matrix products, as which 1×1 convolutions with stride 1 run, write results where they belong. vector: bytes that
    such a convolution loads at a time; where the positions of a channel fill whole ones it takes its operands as they
    lie, and others are rearranged like any convolution; without it all products pack their operands. depthwise: whether
    depthwise convolutions are rearranged; a library may have kernels of their own for these. Linear layers on a single
    vector, and products of two activations, take their operands as they are; with `vector` all linear layers do.
    """

    bandwidth: BytesPerSecond
    overhead: Picoseconds = 0
    vector: Bytes | None = None
    depthwise: bool = True
