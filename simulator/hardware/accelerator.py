"""What an accelerator file may say. Each class is one section of the YAML, each field one key.

Units are written in the file and gone here: a field's docstring names its base unit.
"""

import re
from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from simulator.hardware.buffer import Buffers
from simulator.hardware.dram import Dma, Dram
from simulator.hardware.layout import Layout, NameOrSection
from simulator.hardware.on_chip import OnChip
from simulator.hardware.post_processing import PostProcessing
from simulator.hardware.section import Positive, Section
from simulator.hardware.units import Bits, Hertz, Milliwatts, Picojoules, Picoseconds

ZeroHandling = Literal["none", "gate", "skip"]
KernelCodec = Literal["raw", "bitmap"]
FeatureMapCodec = Literal["raw", "bitmap", "eyeriss_rlc"]

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

    words: WordRates = WordRates()


class Array(Section):
    """The MAC array. `pe` of `unroll` fills the `macs_per_pe` multipliers inside one PE.

    scratch_pads, delivery: for `dataflow: row_stationary`.
    timing: `strict` runs folds one after the other, as SCALE-Sim counts them; `pipelined` loads the next fold while one
    runs. local_reuse, for `dataflow: spatial`: operands that the PEs keep for a whole tile, so that each element leaves
    its buffer once per tile; the others leave it at every use.
    """

    rows: Positive
    columns: Positive
    macs_per_pe: Positive = 1
    dataflow: Literal["weight_stationary", "output_stationary", "input_stationary", "row_stationary", "spatial"]
    timing: Literal["pipelined", "strict"] = "pipelined"
    unroll: Unroll | None = None
    local_reuse: tuple[Literal["ifm", "kernel"], ...] = ()
    scratch_pads: ScratchPads | None = None
    delivery: Delivery | None = None
    zeros: Zeros = Zeros()

    @property
    def macs(self) -> int:
        """Multipliers in the array: MACs per cycle at full use."""
        return self.rows * self.columns * self.macs_per_pe

    @property
    def keeps_kernels(self) -> bool:
        """Whether kernels leave their buffer for the PEs before a step, so that the next ones can come meanwhile."""
        return self.scratch_pads is not None

    @model_validator(mode="after")
    def _check(self) -> Self:
        if (self.dataflow == "spatial") != (self.unroll is not None):
            raise ValueError("'unroll' belongs to dataflow: spatial, and dataflow: spatial needs it")
        if self.dataflow != "spatial" and self.macs_per_pe != 1:
            raise ValueError(f"macs_per_pe must be 1 for dataflow: {self.dataflow}, found {self.macs_per_pe}")
        if self.dataflow != "spatial" and self.local_reuse:
            raise ValueError("'local_reuse' belongs to dataflow: spatial")
        if self.dataflow != "spatial" and "skip" in (self.zeros.ifm, self.zeros.kernel):
            raise ValueError(f"zeros: skip belongs to dataflow: spatial, found dataflow: {self.dataflow}")
        if self.dataflow in ("spatial", "row_stationary") and self.timing == "strict":
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


class Compression(Section):
    """How tensors are stored in DRAM. The network's own input comes from outside and is always raw."""

    feature_map: FeatureMapCodec = "raw"
    kernel: KernelCodec = "raw"


class PruningUnit(Section):
    """The dynamic pruning unit, used when a simulation asks for dynamic pruning.

    side `ofm` flags a feature map as it is written: its store and all later loads are skipped. `ifm` compares what has
    been loaded: the load happens, the kernel slices and MACs are skipped, no flag is stored. tile: rows, columns of one
    flagged piece when granularity is `tile`. unrolled_channels: what an array that runs U channels side by side does:
    `compact` gathers the channels that are left (the flags are their index), `aligned` skips only groups of U that are
    flagged as a whole. comparators: elements compared in a cycle, by default as many as the post-processing unit has
    lanes; fewer than the array produces hold up its stores.
    """

    granularity: Literal["feature_map", "tile"] = "feature_map"
    tile: tuple[Positive, Positive] | None = None
    side: Literal["ofm", "ifm"] = "ofm"
    unrolled_channels: Literal["compact", "aligned"] = "compact"
    comparators: Positive | None = None

    @model_validator(mode="after")
    def _check(self) -> Self:
        if (self.granularity == "tile") != (self.tile is not None):
            raise ValueError("'tile' belongs to granularity: tile, and granularity: tile needs it")
        return self


class Precision(Section):
    """Width of each operand in bits."""

    ifm: Bits = 16
    kernel: Bits = 16
    ofm: Bits = 16
    psum: Bits = 32

    @model_validator(mode="after")
    def _check(self) -> Self:
        for name in ("ifm", "kernel", "ofm", "psum"):
            bits = getattr(self, name)
            if not 1 <= bits <= 64:
                raise ValueError(f"{name} must be 1 to 64 bit, found {bits} bit")
        if self.ifm != self.ofm:
            raise ValueError(
                f"ifm ({self.ifm} bit) and ofm ({self.ofm} bit) are the same tensors; expected equal widths"
            )
        return self


class Energy(Section):
    """Energy per action in picojoules; `leakage` and `clock` (the clock network) in milliwatts.

    hop: a psum handed from one PE to the next. DRAM, buffers and scratch pads carry their own.
    """

    mac: Picojoules
    mac_gated: Picojoules = 0.0
    hop: Picojoules = 0.0
    clock: Milliwatts = 0.0
    post_processing: Picojoules = 0.0
    compare: Picojoules = 0.0
    leakage: Milliwatts = 0.0


class Accelerator(Section):
    """One accelerator: everything the planner and the machine need to know about the hardware.

    layer_overhead: picoseconds that pass at the beginning of every layer that moves data, before its first load.
    fully_connected_batch: frames whose fully connected layers, those with one position, run together: each frame waits
    there for the others.
    """

    name: str
    description: str
    clock: Hertz
    array: Array
    buffers: Buffers
    dram: Dram
    dma: Dma = Dma()
    layout: Annotated[Layout, NameOrSection()] = Layout()
    compression: Compression = Compression()
    pruning: PruningUnit = PruningUnit()
    post_processing: PostProcessing = PostProcessing()
    on_chip: OnChip = OnChip()
    layer_overhead: Picoseconds = Field(default=0, validate_default=False)
    fully_connected_batch: Positive = 1
    precision: Precision = Precision()
    energy: Energy

    @property
    def cycle_ps(self) -> float:
        """One clock period in picoseconds."""
        return 1e12 / self.clock

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.clock <= 0:
            raise ValueError("clock must be more than 0 Hz")
        return self
