"""What the tests of the DRAM model share: patterns played on presets, and bursts one by one."""

import numpy as np

from simulator.dram.address_map import address_map
from simulator.dram.memory import Memory
from simulator.dram.patterns import Kind, Pattern, runs_of
from simulator.dram.traffic import Played, play_runs
from simulator.hardware.dram_device import CONTROLLERS, Controller, DramDevice, load_device

FOREVER = 1 << 59


def played(
    name: str,
    kind: Kind,
    order: str = "hybrid",
    controller: str | Controller = "ramulator2",
    size: int = 1 << 20,
    load: float = 1,
    **options: int | bool,
) -> Played:
    """A pattern of `size` bytes on a preset."""
    device = load_device(name)
    runs = runs_of(Pattern(kind, **options), size, device.organisation.burst)  # type: ignore[arg-type]
    own = controller if isinstance(controller, Controller) else CONTROLLERS[controller]
    return play_runs(device, own, address_map(order, device.organisation), runs, load)


def percent(name: str, kind: Kind, order: str = "hybrid", **options: int | bool | str | Controller) -> float:
    """Percent of the peak bandwidth that a pattern reaches on a preset."""
    return 100 * played(name, kind, order, **options).share_of_peak  # type: ignore[arg-type]


def refresh_share(device: DramDevice) -> float:
    """The share of time that refreshes leave."""
    return 1 - device.timing.tRFC / device.timing.tREFI


def serve(memory: Memory, first: int, bursts: int = 1, clock: int | None = None) -> int:
    """Hands over one run and plays until it is served; returns the clock of its end."""
    start = memory.clock if clock is None else clock
    memory.submit(0, np.array([first]), np.array([bursts]), start)
    ((_, end),) = memory.play(FOREVER)
    return end
