"""What an accelerator file may say. Each class is one section of the YAML, each field one key.

Units are written in the file and gone here: a field's docstring names its base unit.
"""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from simulator.hardware.array import Array
from simulator.hardware.buffer import Buffers
from simulator.hardware.compression import Compression
from simulator.hardware.dram import Dma, Dram
from simulator.hardware.layout import Layout, NameOrSection
from simulator.hardware.mapping import Mapping
from simulator.hardware.on_chip import OnChip
from simulator.hardware.post_processing import PostProcessing
from simulator.hardware.rearranging import Rearranging
from simulator.hardware.section import Positive, Section
from simulator.hardware.units import Bits, Hertz, Milliwatts, Picojoules, Picoseconds, SquareMicrometres


class PruningArea(Section):
    """The area of the parts of a pruning unit: of each comparator, of what adds up beside it (rules `count` and
    `mean`), and of a bit of its flags and tables on chip.
    """

    comparator: SquareMicrometres
    accumulator: SquareMicrometres = 0.0
    bit: SquareMicrometres = 0.0


class PruningUnit(Section):
    """The dynamic pruning unit, used when a simulation asks for dynamic pruning.

    side `ofm` flags a feature map as it is written: its store and all later loads are skipped. `ifm` compares what has
    been loaded: the load happens, the kernel slices and MACs are skipped, no flag is stored. tile: rows, columns of one
    flagged piece when granularity is `tile`. unrolled_channels: what an array that runs U channels side by side does:
    `compact` gathers the channels that are left (the flags are their index), `aligned` skips only groups of U that are
    flagged as a whole. comparators: elements compared in a cycle, by default as many as the post-processing unit has
    lanes; fewer than the array produces hold up its stores.

    What the unit can decide by, and what it costs: rule `all` compares until a map's first element above epsilon,
    `count` counts small elements and `mean` adds up magnitudes, both over the whole map (energy.accumulate each).
    thresholds `channel` reads a table of one word per channel from DRAM for every layer that it compares. replacement
    `mean`: a flagged map stands for its channel's mean, from another such table with every load; its kernel slices are
    loaded, for what they add to all positions of the OFM comes from them, and only the MACs are skipped.
    area: of its parts, for an estimate of the whole (`pruning_unit_area`).
    """

    granularity: Literal["feature_map", "tile"] = "feature_map"
    tile: tuple[Positive, Positive] | None = None
    side: Literal["ofm", "ifm"] = "ofm"
    unrolled_channels: Literal["compact", "aligned"] = "compact"
    comparators: Positive | None = None
    rule: Literal["all", "count", "mean"] = "all"
    thresholds: Literal["layer", "channel"] = "layer"
    replacement: Literal["zero", "mean"] = "zero"
    area: PruningArea | None = None

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

    hop: a psum handed from one PE to the next; compare, accumulate: one element in the pruning unit, held against
    epsilon, or added to a map's count or sum. DRAM, buffers and scratch pads carry their own.
    """

    mac: Picojoules
    mac_gated: Picojoules = 0.0
    hop: Picojoules = 0.0
    clock: Milliwatts = 0.0
    post_processing: Picojoules = 0.0
    compare: Picojoules = 0.0
    accumulate: Picojoules = 0.0
    leakage: Milliwatts = 0.0


class Accelerator(Section):
    """One accelerator: everything the planner and the machine need to know about the hardware.

    layer_overhead: picoseconds that pass at the beginning of every layer that moves data, before its first load;
    run_overhead: those that pass once, before the first layer, to launch a program.
    rearranging: what a library does to operands at every call; without it they lie in its order already.
    fully_connected_batch: frames whose fully connected layers, those with one position, run together: each frame waits
    there for the others.
    """

    name: str
    description: str
    clock: Hertz
    array: Array
    buffers: Buffers
    dram: Dram
    dma: Dma = Dma.unchecked()
    layout: Annotated[Layout, NameOrSection()] = Layout.unchecked()
    mapping: Mapping = Mapping.unchecked()
    compression: Compression = Compression.unchecked()
    pruning: PruningUnit = PruningUnit.unchecked()
    post_processing: PostProcessing = PostProcessing.unchecked()
    on_chip: OnChip = OnChip.unchecked()
    layer_overhead: Picoseconds = Field(default=0, validate_default=False)
    run_overhead: Picoseconds = Field(default=0, validate_default=False)
    rearranging: Rearranging | None = None
    fully_connected_batch: Positive = 1
    precision: Precision = Precision.unchecked()
    energy: Energy

    @property
    def macs(self) -> int:
        """MACs per cycle at full use, at the precision of the operands."""
        return self.array.macs * self.array.lanes_at(self.precision.ifm, self.precision.kernel)

    @property
    def cycle_ps(self) -> float:
        """One clock period in picoseconds."""
        return 1e12 / self.clock

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.clock <= 0:
            raise ValueError("clock must be more than 0 Hz")
        stored = self.compression.feature_map
        if stored.unit == "line" and stored.line_bytes % self.dram.burst:
            raise ValueError(
                f"compression.feature_map: a line ({stored.line_bytes} B) must be whole bursts of {self.dram.burst} B"
            )
        if stored.unit == "line" and stored.line_bytes * 8 % self.precision.ofm:
            raise ValueError(
                f"compression.feature_map: a line ({stored.line_bytes} B) must hold whole elements of "
                f"{self.precision.ofm} bit"
            )
        return self
