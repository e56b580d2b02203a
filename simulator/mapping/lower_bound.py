"""What no schedule can avoid moving: each operand once, and what a chip of a given size makes move again.

Both count elements, not bursts, of uncompressed tensors, and hold for every schedule of a dense run. A plan's bytes
divided by them say how much there is left to gain.
"""

import math
from dataclasses import dataclass

import numpy as np

from simulator.hardware.accelerator import Precision
from simulator.mapping.loop_nest import LoopNest


@dataclass(frozen=True)
class _Axis:
    """Rows (or columns) of a layer: how many of the positions, of the kernel and of the tensor under the windows have
    any part in the MACs, and the number of (position, kernel row) pairs, each divided by √(windows per row)."""

    positions: int
    kernel: int
    rows: int
    pairs_by_reuse: float


@dataclass(frozen=True)
class _Bytes:
    """Bytes of a layer's operands, each element once; psums as many as OFM elements."""

    ifm: float
    kernel: float
    ofm: float
    psum: float


def compulsory_bytes(nest: LoopNest, precision: Precision) -> float:
    """DRAM bytes when each element of IFM and kernels that the MACs need is read once and the OFM is written once.

    Rows and columns that no window touches do not count: a 1×1 kernel with stride 2 passes over three of four elements.
    """
    operands = _operands(nest, precision)
    return operands.ifm + operands.kernel + operands.ofm


def communication_lower_bound_bytes(nest: LoopNest, precision: Precision, capacity_bytes: float) -> float:
    """DRAM bytes that every schedule moves, with `capacity_bytes` (above 0) on the chip for IFM, kernels and psums.

    It follows Chen, Han and Wang, "Communication Lower Bound in Convolution Accelerators" (HPCA 2020, arXiv
    1911.05662): with S elements on the chip and R_w = kernel rows · columns / stride², the windows that an IFM element
    lies in, traffic is about 2 · MACs / √(R_w · S). With its constants:

    1. MACs that need `a` IFM elements, `b` of the kernels and `c` psums are at most √(R_w · a · b · c): Loomis and
       Whitney's inequality on the unfolded IFM, in which an element stands at most R_w times.
    2. An element arrives when it is loaded or, a psum, begun. While 2·S arrive, at most 3·S are to be had: no more than
       √R_w · S^1.5 MACs (a = b = c = S). An empty chip at the start makes up for an unfinished 2·S at the end, so at
       least 2 · MACs / √(R_w · S) arrive.
    3. Psums are begun once per OFM element, which is stored; a psum that is loaded again was stored too. So traffic is
       at least the arrivals, **2 · MACs / √(R_w · S)**, the OFM's stores among them. For a matrix product R_w = 1, as
       in Smith et al., "A Tight I/O Lower Bound for Matrix Multiplication" (2017).

    The paper adds the OFM's stores to that. So much its dataflow moves, but a short reduction needs less: with k = √S
    and one operand of √S × k kept on the chip, the other operand and the OFM move once, 2 · MACs / √S together.

    Widths: with i, k and p bytes per element of IFM, kernels and psums, 2 · MACs · √(i · k · p / (R_w · S)) bytes
    arrive in S bytes. A psum arrives with p bytes; its OFM element stores only its own width.
    Weights: 1 and 2 also hold when the bytes of an operand count x ≤ 1 times, for √x as many arrivals. The rest of the
    operand, moved at least once, comes on top. The bound takes the best x, for each operand in turn. In all, with
    H = 2 · MACs · √(i · k · p / (R_w · S)) and the operands' bytes: compulsory + max(0, H · √x − x · one − others).

    R_w: a stride cuts IFM and kernels into phases (rows 0, 2, … and 1, 3, …) that share only psums, so Σ MACs / √R_w
    over phases takes the place of MACs / √R_w, R_w being the most windows in which an element of the phase really lies.
    That is the paper's R_w where the stride divides the kernel's size, but 1 for 1×1 kernels of any stride, or where a
    single window covers the IFM. MACs with padding do not count. In a transposed convolution OFM elements lie in
    windows, not those of the IFM. Groups share nothing, so their bounds add up, each with the whole chip to itself.

    Never less than `compulsory_bytes`; equal to it for layers without MACs.
    """
    operands = _operands(nest, precision)
    compulsory = operands.ifm + operands.kernel + operands.ofm
    if nest.unit == "vector" or not operands.ifm:  # every window may lie in the padding
        return compulsory
    rows, columns = _axes(nest)
    macs_by_reuse = nest.n * nest.g * nest.k * nest.c * rows.pairs_by_reuse * columns.pairs_by_reuse
    widths = precision.ifm * _kernel_bits(nest, precision) * precision.psum / 8**3
    arrivals = 2 * macs_by_reuse * math.sqrt(widths / capacity_bytes)
    parts = (operands.ifm, operands.kernel, operands.psum)
    again = 0.0
    for part in parts:
        weight = min(1.0, (arrivals / (2 * part)) ** 2)  # where arrivals · √x − x · part has its maximum
        again = max(again, arrivals * math.sqrt(weight) - weight * part - (sum(parts) - part))
    return compulsory + again


def _operands(nest: LoopNest, precision: Precision) -> _Bytes:
    ofm = nest.n * math.prod(nest.ofm)
    if nest.unit == "array":
        rows, columns = _axes(nest)
        under, beside = rows.rows * columns.rows, rows.positions * columns.positions
        ifm = nest.n * nest.inputs[0][0] * (under if nest.windowed else beside)
        kernel = nest.g * nest.k * nest.c * rows.kernel * columns.kernel
    else:
        shapes = list(nest.inputs)
        ifm, kernel = 0, 0
        if nest.windowed:
            rows, columns = _axes(nest)
            ifm = nest.n * shapes.pop(0)[0] * rows.rows * columns.rows
        ifm += nest.n * sum(math.prod(shape) for shape in shapes)
    return _Bytes(
        ifm * precision.ifm / 8,
        kernel * _kernel_bits(nest, precision) / 8,
        ofm * precision.ofm / 8,
        ofm * precision.psum / 8,
    )


def _kernel_bits(nest: LoopNest, precision: Precision) -> float:
    return precision.ifm if nest.two_activations else nest.stored_kernel_bits(precision.kernel)


def _axes(nest: LoopNest) -> tuple[_Axis, _Axis]:
    """Rows and columns. The windows lie on the IFM, but on the OFM in a transposed convolution."""
    shape = nest.inputs[0] if nest.windowed else nest.ofm
    steps = zip(nest.stride, nest.padding, nest.dilation, strict=True)
    (height, width), (row_step, column_step) = shape[1:], steps
    return _axis(nest.p, nest.r, height, *row_step), _axis(nest.q, nest.s, width, *column_step)


def _axis(positions: int, kernel: int, size: int, stride: int, padding: int, dilation: int) -> _Axis:
    unpadded = np.arange(positions)[:, None] * stride + np.arange(kernel) * dilation
    row = unpadded - padding
    inside = (row >= 0) & (row < size)
    windows = np.bincount(row[inside], minlength=size)
    pairs = 0.0
    for phase in range(stride):
        of_phase = windows[(np.arange(size) + padding) % stride == phase]
        if of_phase.any():
            pairs += int(of_phase.sum()) / math.sqrt(int(of_phase.max()))
    positions_used, kernel_used = (int(np.count_nonzero(inside.any(axis=axis))) for axis in (1, 0))
    return _Axis(positions_used, kernel_used, int(np.count_nonzero(windows)), pairs)
