"""Which addresses each tensor, kernel and table of a network has in DRAM."""

from simulator.hardware.accelerator import Accelerator
from simulator.machine.allocation import Allocator
from simulator.machine.feature_map import Region, StoredFeatureMap, StoredTiles
from simulator.mapping.memory import Place


class MemoryMap:
    """Addresses, given out when something is first moved; None for everything where the DRAM is just a bandwidth."""

    def __init__(self, accelerator: Accelerator, places: dict[int, Place], beside: "MemoryMap | None" = None) -> None:
        """beside: another map of the same memory, whose addresses stay free of those of this one."""
        self._allocator = None if accelerator.dram.device is None else Allocator(accelerator.dram)
        self._number = 0
        if beside is not None:
            self._allocator, self._number = beside._allocator, beside._number + 1
        self._places = places

    def tensor(self, own: int, stored: StoredFeatureMap) -> Region | None:
        """The region of tensor `own` of the trace; for a part of a concatenation a place inside that."""
        if self._allocator is None:
            return None
        table = self._allocator.base(("sizes", own, self._number), stored.table_bytes)
        place = self._places.get(own)
        if place is None:
            return Region(self._allocator.base(("tensor", own, self._number), stored.stored_bytes), table)
        whole = ("tensor", place.whole, self._number)
        if stored.part is not None:
            return Region(self._allocator.base(whole, stored.stored_bytes), table)
        before = place.first_channel * stored.block_bytes
        behind = place.channels - place.first_channel - stored.shape[1]
        size = stored.stored_bytes + (before + behind * stored.block_bytes) * stored.shape[0]
        return Region(self._allocator.base(whole, size) + before, table)

    def kernels(self, layer_index: int, tiles: StoredTiles) -> Region | None:
        """The region of a layer's kernels."""
        return self._region(("kernels", layer_index), int((tiles.runs.start + tiles.runs.length).max(initial=0)))

    def psums(self, layer_index: int, stored: StoredFeatureMap) -> Region | None:
        """The region that a layer's spilled psums go to."""
        return self._region(("psums", layer_index), stored.stored_bytes)

    def flags(self, tensor: int, size_bytes: int) -> Region | None:
        """The region of a tensor's flags."""
        return self._region(("flags", tensor), size_bytes)

    def tables(self, tensor: int, number: int, size_bytes: int) -> Region | None:
        """The region of table `number` that the pruning unit reads in the layer that writes a tensor."""
        return self._region((f"table {number}", tensor), size_bytes)

    def _region(self, key: tuple[str, int], size_bytes: int) -> Region | None:
        if self._allocator is None:
            return None
        address = self._allocator.base((*key, self._number), size_bytes)
        return Region(address, address)
