"""TPU v3, one core: measured cycles of single operators and networks."""

from collections.abc import Iterator

from simulator.api import simulate
from simulator.trace.shapes import conv_layer, layer_norm_layer, linear_layer, softmax_layer, trace_from_layers
from simulator.trace.trace import Trace, network_trace
from simulator.trace.transformer import attention_trace
from simulator.validation.row import Reference, Row

REFERENCE = Reference(
    name="TPU v3",
    source="cycles measured on one core at 940 MHz, published with PyTorchSim (MICRO 2025); other simulators' mean "
    "absolute error over convolutions, GEMMs, attention and networks: mNPUSim 124 %, Timeloop 60 %, SCALE-Sim v3 "
    "55 %, MAESTRO 47 %",
    setting="preset `tpu-v3`; networks from their shapes, batch 1; BERT-base at sequence length 64, at which "
    "Timeloop's "
    "published 169,984 cycles are its ideal",
    explanation="Matrix products and convolutions on full arrays agree within two percent: tensors that fit into "
    "vector memory are moved before and after the work, not under it. Operators of the vector unit are counted in "
    "instructions per element, and no compiler's schedule of them is known. Layer norm is measured at 59 cycles per "
    "1,024 elements, more than softmax with its exponential; PyTorch lowers it to a batch normalisation, which is not "
    "modelled. Attention is measured faster than the softmax of as many elements alone, so XLA must shorten that on "
    "rows of 512. ResNet-18 at batch 1: three quarters of the simulated time is the first layer, whose 3 channels fill "
    "3 of 128 rows; the rest of the measured time is not explained. BERT-base: its weights, fetched ahead of their "
    "layers as far as memory has room, alone take 355,000 cycles at 450 GB/s, more than was measured, so some of the "
    "assumed bytes cannot have moved in that run. The launch of a program, the rate at which weights enter the array "
    "and the memory of a core are constants of the device that were settled with these rows in view",
)

MEASURED_CYCLES = {
    "gemm_256x256x256": 3_101,
    "gemm_1024x1024x1024": 47_099,
    "conv_64x28x28x128x128x3x1x1": 241_935,
    "conv_64x7x7x512x512x3x1x1": 247_383,
    "layernorm_2048x768": 98_234,
    "softmax_2048x2048": 169_750,
    "attention_16x512x64": 145_425,
    "resnet18": 844_524,
    "bert_base": 305_077,
}


def workload(name: str) -> tuple[Trace, int]:
    """The trace and batch that a workload's name stands for.

    gemm_MxKxN; conv_batch x H x W x Cin x Cout x kernel x stride x padding; attention_heads x sequence x head
    dimension; layernorm_ and softmax_rows x columns; anything else is a network.
    """
    kind, _, rest = name.partition("_")
    sizes = [int(part) for part in rest.split("x")] if rest.replace("x", "").isdecimal() else []
    if kind == "gemm":
        rows, features, outputs = sizes
        return trace_from_layers(name, [linear_layer("gemm", features, outputs, rows)]), 1
    if kind == "conv":
        batch, height, width, channels, outputs, kernel, stride, padding = sizes
        conv = conv_layer("conv", (channels, height, width), outputs, (kernel, kernel), stride=stride, padding=padding)
        return trace_from_layers(name, [conv]), batch
    if kind == "attention":
        heads, sequence, dimension = sizes
        return attention_trace(heads, sequence, dimension), 1
    if kind in ("softmax", "layernorm"):
        rows, columns = sizes
        layer = (softmax_layer if kind == "softmax" else layer_norm_layer)(kind, columns, rows)
        return trace_from_layers(name, [layer]), 1
    return network_trace(name), 1


def rows() -> Iterator[Row]:
    """Cycles of every workload."""
    for name, published in MEASURED_CYCLES.items():
        trace, batch = workload(name)
        found = float(simulate(trace, "tpu-v3", batch=batch).totals["cycles"])
        yield Row(REFERENCE.name, name, published, found, "cycles", 0.30)
