"""What one run leaves behind: counters per layer. Plain values; tables are made in `simulator.report`."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from simulator.machine.array_time import ArrayTime
from simulator.machine.energy import COMPONENTS
from simulator.machine.pipeline import LayerTiming
from simulator.machine.traffic import TrafficRow
from simulator.machine.work import MacCounts
from simulator.mapping.loops import Loop
from simulator.trace.records import Layer

if TYPE_CHECKING:
    from simulator.machine.recording import LayerRecord


@dataclass(frozen=True)
class OnChipUse:
    """Feature maps that stay on chip in a layer: how many of those that it reads, and of its OFM; the bytes of all that
    are there, also those that other layers wait for."""

    inputs: int = 0
    outputs: int = 0
    held_bytes: int = 0


@dataclass(frozen=True)
class Flagged:
    """Elements that a pruning unit looks at (of the OFM, or of the IFM where it sits there), and those it flagged."""

    prunable: int = 0
    flagged: int = 0


@dataclass(frozen=True)
class LayerResult:
    """Counters of one layer on one batch of images, `frames` times at once: all counters are those of all together.

    array_time is None for a layer on the vector unit. loops: those over its tiles, from the outside in.
    """

    name: str
    operator: str
    macs: MacCounts
    compute_cycles: int
    timing: LayerTiming
    cycle_ps: float
    array_macs: float
    traffic: list[TrafficRow] = field(default_factory=list)
    energy_pj: dict[str, float] = field(default_factory=dict)
    row_hits: int = 0
    row_misses: int = 0
    skippable_bytes: int = 0
    skipped_bytes: int = 0
    flags: Flagged = field(default_factory=Flagged)
    tiles: int = 0
    tiling: str = ""
    buffer_stall_cycles: int = 0
    array_time: ArrayTime | None = None
    fused_into: str = ""
    on_chip: OnChipUse = field(default_factory=OnChipUse)
    frames: int = 1
    loops: tuple[Loop, ...] = ()

    @property
    def cycles(self) -> int:
        """Clock cycles from the layer's first load to its last store."""
        return max(round((self.timing.end_ps - self.timing.start_ps) / self.cycle_ps), self.step_cycles)

    @property
    def step_cycles(self) -> int:
        """Cycles of all tile steps: the array's own and those in which the buffers hold it up."""
        return self.compute_cycles + self.buffer_stall_cycles

    @property
    def dram_bytes(self) -> int:
        """Bytes moved over DRAM, in whole bursts, metadata included."""
        return sum(row.bytes for row in self.traffic if row.level == "dram")

    @staticmethod
    def nothing(layer: Layer, fused_into: str = "") -> "LayerResult":
        """A layer that costs nothing: its producers write its result, or the layer that it is fused into."""
        energy = dict.fromkeys(COMPONENTS, 0.0)
        return LayerResult(
            name=layer.name,
            operator=layer.operator,
            macs=MacCounts.none(),
            compute_cycles=0,
            timing=LayerTiming(),
            cycle_ps=1.0,
            array_macs=1,
            energy_pj=energy,
            fused_into=fused_into,
        )


@dataclass(frozen=True)
class RunResult:
    """One batch of images through the network. records: what happened when, where that was to be recorded."""

    images: tuple[int, ...]
    layers: list[LayerResult]
    records: "tuple[LayerRecord, ...]" = ()
