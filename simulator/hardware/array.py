"""The MAC array of an accelerator file."""

import re
from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from simulator.hardware.section import Positive, Section, Share
from simulator.hardware.skipping import ONE_MAC, Skipping
from simulator.hardware.units import Bits, Bytes, Picojoules

ZeroHandling = Literal["none", "gate", "skip"]

_DIMENSION = r"^[NGKCPQRS](:[1-9][0-9]*)?$"


def _dimension(value: object) -> object:
    if not isinstance(value, str) or not re.match(_DIMENSION, value):
        raise ValueError("expected one of the loops N, G, K, C, P, Q, R, S, with or without a limit as in 'C:16'")
    return value


UnrolledDimension = Annotated[str, BeforeValidator(_dimension), Field(pattern=_DIMENSION)]


class Unroll(Section):
    """Which loops the array runs side by side, for `dataflow: spatial`.

    Each axis lists loop dimensions in the order in which they fill it: the first takes as much of the axis as the layer
    has of it, the next what is left. `C:16` takes at most 16.
    """

    rows: tuple[UnrolledDimension, ...] = ()
    columns: tuple[UnrolledDimension, ...] = ()
    pe: tuple[UnrolledDimension, ...] = ()


class PrecisionMacs(Section):
    """MACs that a PE does in a cycle on operands of up to `bits`; with `kernel`, on kernels of up to that width and
    feature maps of up to `bits`. mac: the energy of each, that of `energy` unless named."""

    bits: Bits
    macs: Positive
    kernel: Bits | None = None
    mac: Picojoules | None = None

    def holds(self, ifm: int, kernel: int) -> bool:
        """Whether operands of these widths fit."""
        return ifm <= self.bits and kernel <= (self.bits if self.kernel is None else self.kernel)


class Zeros(Section):
    """What a zero operand does: `none` costs all, `gate` saves the energy, `skip` saves the cycle too."""

    ifm: ZeroHandling = "none"
    kernel: ZeroHandling = "none"


class ScratchPad(Section):
    """A small memory inside each PE. words: of the operand's width. read_energy, write_energy: picojoules per word."""

    words: Positive
    read_energy: Picojoules = 0.0
    write_energy: Picojoules = 0.0


class ScratchPads(Section):
    """The pads of a PE, for `dataflow: row_stationary`."""

    ifm: ScratchPad
    kernel: ScratchPad
    psum: ScratchPad


class WordRates(Section):
    """Words that each bus between buffers and PEs carries in a cycle; psums as many each way."""

    ifm: Positive = 1
    kernel: Positive = 1
    psum: Positive = 1


class Delivery(Section):
    """The buses between buffers and array, for `dataflow: row_stationary`. words: per cycle, of the operand's width."""

    words: WordRates = WordRates.unchecked()


class Block(Section):
    """Outputs that a core works on at a time, for `dataflow: output_blocks`: channels by positions of all images.

    most_positions: of a layer, of all images, for a size that the library has for small layers alone.
    """

    outputs: Positive
    positions: Positive
    most_positions: Positive | None = None

    def serves(self, positions: int) -> bool:
        """Whether the library has it for a layer of so many positions."""
        return self.most_positions is None or positions <= self.most_positions


class Array(Section):
    """The MAC array. `pe` of `unroll` fills the `macs_per_pe` multipliers inside one PE.

    count: arrays that work on one tile together; split: the loops among which they divide it, K, P or N (images),
    whichever is fastest for the tile. rows_hold, for `dataflow: weight_stationary`: `reduction` when the rows hold
    channels and kernel positions in a row, `channels` when every kernel position is a fold of its own.
    fold_load_rows, for `timing: pipelined` of weight- and input-stationary arrays: rows of the operand that stays which
    enter the array in a cycle.
    macs_by_bits: MACs that a PE does in a cycle on operands of at most so many bits, as a dot product over channels
    ([{bits: 8 bit, macs: 2}], 1 where none is wide enough); an entry with `kernel` bounds both operands apart. Of those
    that hold a layer's operands the one with most MACs counts; kernels of several widths run width by width.
    fold_stride, for `dataflow: spatial`: convolutions with stride U work on C·U² channels and 1/U of the kernel
    positions each way (space to depth). winograd, for `dataflow: spatial` and `output_blocks`: 3×3 convolutions with
    stride 1 run as F(2×2, 3×3) (Lavin and Gray, CVPR 2016) where that is faster: 16 multiplications for four outputs
    instead of 36, on kernels that are stored transformed, 16 elements instead of 9; zeros are not seen then.
    scratch_pads, delivery: for `dataflow: row_stationary`.
    blocks, for `dataflow: output_blocks`: the sizes of blocks of outputs that a library has kernels for; `count` cores
    take them in turns. efficiency: the share of its multipliers that a core keeps busy on full blocks;
    depthwise_efficiency: the same for groups of a single channel, where it differs. vector: bytes that a core
    loads at a time at its full rate; where the input channels of a position do not fill whole ones, it loads the
    largest power of two that they fill, and does fewer MACs by as much.
    timing: `strict` runs folds one after the other, as SCALE-Sim counts them; `pipelined` loads the next fold while one
    runs. local_reuse, for `dataflow: spatial`: operands that the PEs keep for a whole tile, so that each element leaves
    its buffer once per tile; the others leave it at every use.
    skipping, for `dataflow: zero_skipping`: the way in which the array exploits zeros, which says what zeros of both
    operands do.
    """

    rows: Positive
    columns: Positive
    count: Positive = 1
    split: tuple[Literal["K", "P", "N"], ...] = ("K", "P", "N")
    macs_per_pe: Positive = 1
    macs_by_bits: tuple[PrecisionMacs, ...] = ()
    rows_hold: Literal["reduction", "channels"] = "reduction"
    fold_load_rows: Positive = 1
    fold_stride: bool = False
    winograd: bool = False
    dataflow: Literal[
        "weight_stationary",
        "output_stationary",
        "input_stationary",
        "row_stationary",
        "spatial",
        "zero_skipping",
        "output_blocks",
    ]
    timing: Literal["pipelined", "strict"] = "pipelined"
    unroll: Unroll | None = None
    local_reuse: tuple[Literal["ifm", "kernel"], ...] = ()
    scratch_pads: ScratchPads | None = None
    delivery: Delivery | None = None
    blocks: tuple[Block, ...] = ()
    efficiency: Share = 1.0
    depthwise_efficiency: Share | None = None
    vector: Bytes | None = None
    zeros: Zeros = Zeros.unchecked()
    skipping: Skipping | None = None

    @property
    def macs(self) -> int:
        """Multipliers in all arrays: MACs per cycle at full use and the widest operands."""
        return self.rows * self.columns * self.macs_per_pe * self.count

    def _at(self, ifm: int, kernel: int) -> PrecisionMacs | None:
        """The fastest entry that holds operands of these widths."""
        fitting = [entry for entry in self.macs_by_bits if entry.holds(ifm, kernel)]
        return max(fitting, key=lambda entry: entry.macs) if fitting else None

    def lanes_at(self, ifm: int, kernel: int) -> int:
        """MACs of a PE in a cycle on operands of so many bits, over those on the widest; 1 where the file says
        nothing."""
        entry = self._at(ifm, kernel)
        return 1 if entry is None else entry.macs

    def mac_energy(self, ifm: int, kernel: int, otherwise: float) -> float:
        """Picojoules of a MAC on operands of so many bits; `otherwise` where the file says nothing."""
        entry = self._at(ifm, kernel)
        return otherwise if entry is None or entry.mac is None else entry.mac

    @property
    def keeps_kernels(self) -> bool:
        """Whether kernels leave their buffer for the PEs before a step, so that the next ones can come meanwhile."""
        return self.scratch_pads is not None

    @model_validator(mode="after")
    def _check(self) -> Self:
        if (self.dataflow == "spatial") != (self.unroll is not None):
            raise ValueError("'unroll' belongs to dataflow: spatial, and dataflow: spatial needs it")
        self._check_skipping()
        self._check_blocks()
        if self.dataflow not in ("spatial", "zero_skipping", "output_blocks") and self.macs_per_pe != 1:
            raise ValueError(f"macs_per_pe must be 1 for dataflow: {self.dataflow}, found {self.macs_per_pe}")
        if self.dataflow != "spatial" and self.fold_stride:
            raise ValueError(f"fold_stride belongs to dataflow: spatial, found dataflow: {self.dataflow}")
        if self.dataflow not in ("spatial", "output_blocks") and self.winograd:
            raise ValueError(
                f"winograd belongs to dataflow: spatial and output_blocks, found dataflow: {self.dataflow}"
            )
        if self.dataflow != "weight_stationary" and self.rows_hold == "channels":
            raise ValueError(f"rows_hold belongs to dataflow: weight_stationary, found dataflow: {self.dataflow}")
        if self.macs_by_bits and self.dataflow == "row_stationary":
            raise ValueError("macs_by_bits: PEs of dataflow: row_stationary do one MAC a cycle")
        skips = "skip" in (self.zeros.ifm, self.zeros.kernel)
        if skips and (self.count > 1 or self.fold_stride or self.winograd):
            raise ValueError("zeros: skip works on one array without fold_stride and winograd")
        if self.count > 1 and (self.timing == "strict" or self.dataflow == "row_stationary"):
            raise ValueError("count: timing: strict and dataflow: row_stationary know one array")
        if not self.split:
            raise ValueError("split: expected at least one of K, P and N, found none")
        if self.dataflow != "spatial" and self.local_reuse:
            raise ValueError("'local_reuse' belongs to dataflow: spatial")
        if self.dataflow != "spatial" and "skip" in (self.zeros.ifm, self.zeros.kernel):
            raise ValueError(f"zeros: skip belongs to dataflow: spatial, found dataflow: {self.dataflow}")
        if self.dataflow in ("spatial", "row_stationary", "output_blocks") and self.timing == "strict":
            raise ValueError("timing: strict belongs to the systolic dataflows")
        for key in ("scratch_pads", "delivery"):
            if (self.dataflow == "row_stationary") != (getattr(self, key) is not None):
                raise ValueError(f"'{key}' belongs to dataflow: row_stationary, and dataflow: row_stationary needs it")
        if self.unroll is not None:
            if self.macs_per_pe > 1 and not self.unroll.pe:
                raise ValueError("macs_per_pe > 1 needs 'unroll.pe' to say which loops the multipliers of a PE share")
            axes = (*self.unroll.rows, *self.unroll.columns, *self.unroll.pe)
            if not axes:
                raise ValueError("'unroll' names no loop dimension")
        return self

    def _check_blocks(self) -> None:
        if (self.dataflow == "output_blocks") != bool(self.blocks):
            raise ValueError("'blocks' belongs to dataflow: output_blocks, and dataflow: output_blocks needs it")
        if self.blocks and all(block.most_positions is not None for block in self.blocks):
            raise ValueError("blocks: expected a size without most_positions, for layers of more positions")
        for key in ("efficiency", "depthwise_efficiency", "vector"):
            if self.dataflow != "output_blocks" and getattr(self, key) not in (1.0, None):
                raise ValueError(f"{key} belongs to dataflow: output_blocks, found dataflow: {self.dataflow}")

    def _check_skipping(self) -> None:
        if (self.dataflow == "zero_skipping") != (self.skipping is not None):
            raise ValueError("'skipping' belongs to dataflow: zero_skipping, and dataflow: zero_skipping needs it")
        if self.skipping is None:
            return
        kind = self.skipping.kind
        if self.zeros != Zeros():
            raise ValueError(f"zeros: skipping: {kind} says already what zeros of both operands do")
        if self.count > 1 or self.macs_by_bits or self.timing == "strict":
            raise ValueError(f"skipping: {kind} works on one array without macs_by_bits and timing: strict")
        if kind in ONE_MAC and self.macs_per_pe != 1:
            raise ValueError(f"macs_per_pe must be 1 for skipping: {kind}, found {self.macs_per_pe}")
        if self.skipping.kind == "cartesian_product":
            products = self.skipping.activations * self.skipping.weights
            if self.macs_per_pe != products:
                raise ValueError(
                    f"macs_per_pe must be {products}, activations · weights of skipping: {kind}, "
                    f"found {self.macs_per_pe}"
                )
        if self.skipping.kind == "structured_kernels" and self.skipping.nonzeros >= self.skipping.group:
            raise ValueError(
                f"skipping: nonzeros must be less than group ({self.skipping.group}), found {self.skipping.nonzeros}"
            )
