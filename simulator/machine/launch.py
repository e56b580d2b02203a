"""What passes at the beginning of a layer before its work: a launch, and operands put into a library's order."""

from typing import Literal

from simulator.hardware.accelerator import Accelerator
from simulator.trace.records import Layer


def launch_ps(accelerator: Accelerator, layer: Layer, unit: Literal["array", "vector"], batch: int) -> int:
    """Picoseconds before the first load of a layer for `batch` images."""
    general, post_processing = accelerator.layer_overhead, accelerator.post_processing.overhead
    if unit == "vector":
        return general if post_processing is None else post_processing
    rate = accelerator.rearranging
    return general + (0 if rate is None else round(_rearranged_bytes(accelerator, layer, batch) * 1e12 / rate))


def _rearranged_bytes(accelerator: Accelerator, layer: Layer, batch: int) -> int:
    """Bytes of kernels and feature maps; none of a product with a single vector, or of two activations.

    A matrix product packs both operands into panels and writes the result where it belongs (Van Zee and van de Geijn,
    "BLIS", ACM TOMS 41(3), 2015); a convolution also brings its result back into the caller's order.
    """
    product = layer.operator == "linear" or _is_product(layer)
    vector = layer.operator == "linear" and batch * layer.ofm[1] * layer.ofm[2] == 1
    if layer.kernel is None or layer.two_activations or vector:
        return 0
    precision = accelerator.precision
    maps = layer.ifm_elements * precision.ifm + (0 if product else layer.ofm_elements * precision.ofm)
    return (layer.kernel_elements * precision.kernel + batch * maps) // 8


def _is_product(layer: Layer) -> bool:
    """Whether a convolution is the product of its kernels and its IFM as it lies."""
    return (
        layer.operator == "conv"
        and layer.groups == 1
        and layer.kernel is not None
        and (layer.kernel[2:] == layer.stride == (1, 1) and not any(layer.padding))
    )
