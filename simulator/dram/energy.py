"""What a memory system's commands cost in energy."""

from dataclasses import dataclass

from simulator.dram.counters import Counters
from simulator.hardware.dram_device import DramDevice


@dataclass(frozen=True)
class Energy:
    """Picojoules by cause. background: what all channels take for being on."""

    activate: float
    read: float
    write: float
    refresh: float
    background: float

    @property
    def total(self) -> float:
        """Everything together."""
        return self.activate + self.read + self.write + self.refresh + self.background


def energy_of(device: DramDevice, counters: Counters, clocks: int) -> Energy:
    """The energy of what `counters` hold, over `clocks` of the command clock."""
    energy, organisation = device.energy, device.organisation
    nanoseconds = clocks * device.timing.clock / 1000
    return Energy(
        activate=counters.activates * energy.activate,
        read=counters.reads * organisation.burst * energy.read,
        write=counters.writes * organisation.burst * energy.write,
        refresh=counters.refreshes * organisation.pseudo_channels * energy.refresh,
        background=organisation.channels * energy.background * nanoseconds,
    )
