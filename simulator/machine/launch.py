"""What passes at the beginning of a layer before its work: a launch, and operands put into a library's order."""

from typing import Literal

from simulator.hardware.accelerator import Accelerator
from simulator.trace.records import Layer


def launch_ps(accelerator: Accelerator, layer: Layer, unit: Literal["array", "vector"], batch: int) -> int:
    """Picoseconds before the first load of a layer for `batch` images."""
    general, post_processing = accelerator.layer_overhead, accelerator.post_processing.overhead
    if unit == "vector":
        return general if post_processing is None else post_processing
    own = accelerator.product_overhead
    launch = own if own is not None and _plain_product(layer) else general
    rate = accelerator.rearranging
    return launch + (0 if rate is None else round(_rearranged_bytes(accelerator, layer, batch) * 1e12 / rate))


def _plain_product(layer: Layer) -> bool:
    """Whether a layer is a product of two matrices as they lie in memory: linear, or 1×1 without stride and padding."""
    if layer.operator == "linear" or layer.two_activations:
        return True
    dense = layer.operator == "conv" and layer.kernel is not None and layer.kernel[2:] == (1, 1)
    return dense and layer.groups == 1 and layer.stride == (1, 1) and not any(layer.padding)


def _rearranged_bytes(accelerator: Accelerator, layer: Layer, batch: int) -> int:
    """Bytes of kernels, and of the feature maps of all that is no plain product; none with a single vector."""
    if layer.kernel is None or layer.two_activations or batch * layer.ofm[1] * layer.ofm[2] == 1:
        return 0
    precision = accelerator.precision
    bits = layer.kernel_elements * precision.kernel
    if not _plain_product(layer):
        bits += batch * (layer.ifm_elements * precision.ifm + layer.ofm_elements * precision.ofm)
    return bits // 8
