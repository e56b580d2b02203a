"""What passes at the beginning of a layer before its work: launches, operands put into a library's order, a bias."""

from typing import Literal

from simulator.hardware.accelerator import Accelerator
from simulator.trace.records import Layer
from simulator.trace.unfold import BIAS


def launch_ps(accelerator: Accelerator, layer: Layer, unit: Literal["array", "vector"], batch: int) -> int:
    """Picoseconds before the first load of a layer for `batch` images."""
    general, post_processing = accelerator.layer_overhead, accelerator.post_processing
    if unit == "vector":
        one = general if post_processing.overhead is None else post_processing.overhead
        return one * post_processing.launches.get(layer.operator, 1)
    if post_processing.bias == "pass" and BIAS in layer.fused:
        general += _bias_ps(accelerator, layer, batch)
    rearranging = accelerator.rearranging
    moved = 0 if rearranging is None else _rearranged_bytes(accelerator, layer, batch)
    if rearranging is None or not moved:
        return general
    return general + rearranging.overhead + round(moved * 1e12 / rearranging.bandwidth)


def _bias_ps(accelerator: Accelerator, layer: Layer, batch: int) -> int:
    """Picoseconds of a kernel that adds the bias to the OFM where it lies."""
    moved_bytes = 2 * batch * layer.ofm_elements * accelerator.precision.ofm / 8
    return (accelerator.post_processing.overhead or 0) + round(moved_bytes * 1e12 / accelerator.dram.bandwidth)


def _rearranged_bytes(accelerator: Accelerator, layer: Layer, batch: int) -> int:
    """Bytes of kernels and feature maps that are brought into another order.

    A matrix product packs both operands into panels and writes the result where it belongs (Van Zee and van de Geijn,
    "BLIS", ACM TOMS 41(3), 2015); a convolution also brings its result back into the caller's order. Vectorised loads
    want addresses that are multiples of a vector (NVIDIA, "Deep Learning Performance: Matrix Multiplication").
    """
    rearranging, precision = accelerator.rearranging, accelerator.precision
    assert rearranging is not None
    linear = layer.operator == "linear"
    vectors = linear and (batch * layer.ofm[1] * layer.ofm[2] == 1 or rearranging.vector is not None)
    depthwise = layer.operator == "conv" and layer.groups == layer.ofm[0] > 1
    if layer.kernel is None or layer.two_activations or vectors or (depthwise and not rearranging.depthwise):
        return 0
    in_place = linear
    if _is_product(layer):
        in_place = rearranging.vector is None
        plane_bytes = layer.ifm[1] * layer.ifm[2] * precision.ifm / 8
        if rearranging.vector is not None and plane_bytes % rearranging.vector == 0:
            return 0
    maps = layer.ifm_elements * precision.ifm + (0 if in_place else layer.ofm_elements * precision.ofm)
    return (layer.kernel_elements * precision.kernel + batch * maps) // 8


def _is_product(layer: Layer) -> bool:
    """Whether a convolution is the product of its kernels and its IFM as it lies."""
    return (
        layer.operator == "conv"
        and layer.groups == 1
        and layer.kernel is not None
        and (layer.kernel[2:] == layer.stride == (1, 1) and not any(layer.padding))
    )
