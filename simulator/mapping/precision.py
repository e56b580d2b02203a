"""At which widths the array computes a layer."""

from simulator.hardware.accelerator import Accelerator
from simulator.mapping.loop_nest import LoopNest


def computed_widths(nest: LoopNest, accelerator: Accelerator) -> dict[int, int]:
    """How many output channels have kernels of each width, in bits, narrowest first; none is wider than the
    accelerator's. Products of two activations are as wide as feature maps."""
    widest = accelerator.precision.kernel
    if nest.two_activations:
        return {accelerator.precision.ifm: nest.g * nest.k}
    if not nest.kernel_bits:
        return {widest: nest.g * nest.k}
    counts: dict[int, int] = {}
    for bits in sorted(nest.kernel_bits):
        counts[min(bits, widest)] = counts.get(min(bits, widest), 0) + 1
    return counts


def macs_per_cycle(nest: LoopNest, accelerator: Accelerator) -> float:
    """MACs of all arrays in a cycle at full use, at the widths of a layer's operands: with kernels of several widths
    what their output channels reach one after the other. An array that skips zeros runs all at the widest."""
    array, ifm = accelerator.array, accelerator.precision.ifm
    widths = computed_widths(nest, accelerator)
    if "skip" in (array.zeros.ifm, array.zeros.kernel):
        return array.macs * array.lanes_at(ifm, max(widths))
    cycles = sum(channels / array.lanes_at(ifm, bits) for bits, channels in widths.items())
    return array.macs * sum(widths.values()) / cycles


def mac_energy(nest: LoopNest, accelerator: Accelerator) -> float:
    """Picojoules of a MAC on a layer's operands, on average over its output channels."""
    widths, ifm = computed_widths(nest, accelerator), accelerator.precision.ifm
    total = sum(
        channels * accelerator.array.mac_energy(ifm, bits, accelerator.energy.mac) for bits, channels in widths.items()
    )
    return total / sum(widths.values())
