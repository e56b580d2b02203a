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
    """Bytes of kernels and feature maps; none of a product with a single vector, or of two activations."""
    vector = layer.operator == "linear" and batch * layer.ofm[1] * layer.ofm[2] == 1
    if layer.kernel is None or layer.two_activations or vector:
        return 0
    precision = accelerator.precision
    maps = batch * (layer.ifm_elements * precision.ifm + layer.ofm_elements * precision.ofm)
    return (layer.kernel_elements * precision.kernel + maps) // 8
