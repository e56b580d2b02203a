"""Arrays that skip zeros: published cycles, rules, times and speed-ups."""

import math
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from simulator.mapping.dataflow.sparse.cycles import sparse_cycles
from simulator.trace.records import Layer
from simulator.trace.trace import network_trace
from simulator.validation import eyeriss
from simulator.validation.row import Reference, Row

REFERENCE = Reference(
    name="Skipping",
    source="SCNN: a 32→32 layer recomputed with the public cycle model (zeros from a linear congruential generator), "
    "and network speed-ups over its dense twin (Parashar et al., ISCA 2017). EIE: times of AlexNet's and VGG-16's "
    "fully connected layers at 800 MHz (Han et al., ISCA 2016; VGG-16's densities recalled). Eyeriss v2: the cycles of "
    "its PE are Σ_c nnz_ifm(c)·nnz_kernel(c) for 1×1 kernels (Chen et al., JETCAS 2019)",
    setting="`simulator.sparse_cycles` with the arrays of presets `scnn`, `eie` and a single PE of `eyeriss-v2`; zeros "
    "drawn at random with the published densities (weights of pruned AlexNet and VGG-16: Han et al., NIPS 2015, "
    "recalled; IFMs as for the Eyeriss chip). SCNN's dense twin: 64 PEs with 16-wide dot products on the same tiles",
    explanation="EIE: random zeros are spread more evenly than trained ones, so PEs wait less; theoretical time is the "
    "stored entries, padding zeros included, in equal shares. SCNN's speed-ups are smaller here for two reasons that "
    "the losses show: the model waits for the slowest PE at every input channel and holds a PE up for the fullest bank "
    "at every pair of chunks; hardware whose PEs drift apart within a group of output channels, and which queues "
    "results before its banks, loses less of both. The rows without bank conflicts and imbalance are the bound of that",
)

SCNN_CASES = {(0, 0): (9344, 6885376), (70, 60): (4619, 863233)}
"""Percent of zero activations and weights: cycles and products."""

EIE_CLOCK_MHZ = 800
EIE_LAYERS = {
    "AlexNet FC6": (4096, 9216, 0.09, 0.351, 28.1, 30.3),
    "AlexNet FC7": (4096, 4096, 0.09, 0.353, 11.7, 12.2),
    "AlexNet FC8": (1000, 4096, 0.25, 0.375, 8.9, 9.9),
    "VGG-16 FC6": (4096, 25088, 0.04, 0.183, 28.1, 34.4),
    "VGG-16 FC7": (4096, 4096, 0.04, 0.375, 7.9, 8.7),
    "VGG-16 FC8": (1000, 4096, 0.23, 0.411, 7.3, 8.4),
}
"""Outputs, inputs, densities of weights and activations, theoretical and actual microseconds."""

ALEXNET_KERNEL_DENSITY = (0.84, 0.38, 0.35, 0.37, 0.37)
VGG16_KERNEL_DENSITY = (0.58, 0.22, 0.34, 0.36, 0.53, 0.24, 0.42, 0.32, 0.27, 0.34, 0.35, 0.29, 0.36)
SCNN_SPEED_UP = {"AlexNet": 2.37, "VGG-16": 3.52}
SCNN_DENSE = 0.79

Bools = npt.NDArray[np.bool_]


def rows() -> Iterator[Row]:
    """SCNN's cases and networks, EIE's layers, Eyeriss v2's rule."""
    for (zero_activations, zero_weights), (cycles, products) in SCNN_CASES.items():
        found = sparse_cycles("scnn", *_case(zero_activations, zero_weights), padding=1)
        what = f"SCNN: 32→32 3×3 28², {zero_activations} % and {zero_weights} % zeros"
        yield Row(REFERENCE.name, f"{what}: cycles", cycles, found["cycles"], "cycles", 0.0)
        yield Row(REFERENCE.name, f"{what}: products", products, found["products"], "products", 0.0)
    found = sparse_cycles("scnn", *_case(40, 0), padding=1)
    gain = found["dense_cycles"] / found["cycles"]
    yield Row(REFERENCE.name, "SCNN: the same with 40 % and 0 %: speed-up", 1.0, gain, "×", 0.0)
    yield from _eyeriss_v2()
    yield from _eie()
    yield from _networks()


def _case(zero_activations: int, zero_weights: int) -> tuple[Bools, Bools]:
    """Maps of the published case: zero where the generator's value modulo 100 is less than the percentage."""
    ifm = _generated(1000 + zero_activations, 32 * 28 * 28) % 100 >= zero_activations
    kernel = _generated(5000 + zero_weights, 32 * 32 * 9) % 100 >= zero_weights
    return ifm.reshape(32, 28, 28), kernel.reshape(32, 32, 3, 3)


def _generated(seed: int, count: int) -> npt.NDArray[np.int64]:
    """x' = (1103515245·x + 12345) mod 2^31; the value is x' >> 16."""
    values = np.empty(count, np.int64)
    for index in range(count):
        seed = (1103515245 * seed + 12345) % 2**31
        values[index] = seed >> 16
    return values


def _eyeriss_v2() -> Iterator[Row]:
    random = np.random.default_rng(0)
    ifm, kernel = random.random((64, 14, 14)) < 0.4, random.random((128, 64, 1, 1)) < 0.5
    rule = int((ifm.sum(axis=(1, 2)) * kernel.sum(axis=(0, 2, 3))).sum())
    found = sparse_cycles("eyeriss_v2", ifm, kernel)["cycles"]
    yield Row(REFERENCE.name, "Eyeriss v2: a PE's cycles, 64→128 1×1 14²", rule, found, "cycles", 0.0)


def _eie() -> Iterator[Row]:
    for name, (outputs, inputs, weights, activations, theoretical, actual) in EIE_LAYERS.items():
        random = np.random.default_rng(0)
        kernel = random.random((outputs, inputs, 1, 1), np.float32) < weights
        found = sparse_cycles("eie", random.random((inputs, 1, 1)) < activations, kernel)
        ideal, taken = (found[key] / EIE_CLOCK_MHZ for key in ("ideal_cycles", "cycles"))
        tolerance = 0.10 if name.startswith("AlexNet") else None
        ratio = actual / theoretical, taken / ideal
        yield Row(REFERENCE.name, f"EIE, {name}: actual over theoretical time", *ratio, "×", tolerance)
        yield Row(REFERENCE.name, f"EIE, {name}: theoretical time", theoretical, ideal, "µs")
        yield Row(REFERENCE.name, f"EIE, {name}: actual time", actual, taken, "µs")


def _networks() -> Iterator[Row]:
    """Speed-ups of SCNN over its dense twin: all convolutions of a network, with and without zeros."""
    vgg = [layer for layer in network_trace("vgg16").layers if layer.operator == "conv"]
    chip = eyeriss.alexnet()
    alexnet = [chip.layer(name) for name in eyeriss.LAYERS]
    networks = {
        "AlexNet": (alexnet, [float((~chip.zeros(layer.name)).mean()) for layer in alexnet], ALEXNET_KERNEL_DENSITY),
        "VGG-16": (vgg, [1 - zeros for zeros in eyeriss.VGG16_IFM_ZEROS], VGG16_KERNEL_DENSITY),
    }
    for name, (layers, ifm_densities, kernel_densities) in networks.items():
        random = np.random.default_rng(0)
        twin = taken = dense = unhindered = 0.0
        for layer, ifm_density, kernel_density in zip(layers, ifm_densities, kernel_densities, strict=True):
            assert layer.kernel is not None
            ifm = random.random(layer.ifm, np.float32) < ifm_density
            kernel = random.random(layer.kernel, np.float32) < kernel_density
            found = sparse_cycles("scnn", ifm, kernel, layer.stride, layer.padding[:2])
            twin, taken, dense = twin + _twin_cycles(layer), taken + found["cycles"], dense + found["dense_cycles"]
            waiting = found["bank_conflicts"] + found["imbalance"]
            unhindered += found["cycles"] - waiting / found["multipliers"]
        yield Row(REFERENCE.name, f"SCNN, {name}: speed-up over the dense twin", SCNN_SPEED_UP[name], twin / taken, "×")
        what = f"SCNN, {name}: the same without bank conflicts and imbalance"
        yield Row(REFERENCE.name, what, SCNN_SPEED_UP[name], twin / unhindered, "×")
        yield Row(REFERENCE.name, f"SCNN, {name}: dense data on it, over the twin", SCNN_DENSE, twin / dense, "×")


def _twin_cycles(layer: Layer) -> int:
    """The dense twin: the PE with the largest tile of the OFM computes it with dot products of 16."""
    assert layer.kernel is not None
    outputs, channels, r, s = layer.kernel
    _, rows, columns = layer.ofm
    return math.ceil(rows / 8) * math.ceil(columns / 8) * outputs * math.ceil(channels * r * s / 16)
