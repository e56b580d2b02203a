"""Arrays that skip zeros, as the planner sees them: dense. What they do with real maps is counted step by step."""

import numpy as np

from simulator.hardware.array import Array
from simulator.mapping.dataflow.base import BufferAccesses, Ints, Lanes, TileSizes


class ZeroSkipping:
    """An array with `skipping`: tiles take as long as without zeros, and each element leaves its buffer once."""

    def __init__(self, array: Array, lanes: int = 1) -> None:
        """lanes is 1: such an array has one precision."""
        from simulator.mapping.dataflow.sparse.registry import scheme_of  # other arrays do without

        self.scheme = scheme_of(array)

    def cycles(self, tile: TileSizes) -> Ints:
        """Cycles of each tile when nothing is zero."""
        return np.ceil(self.scheme.expected_cycles(tile, 1.0, 1.0) - 1e-9).astype(np.int64)

    def overhead_cycles(self) -> int:
        """None."""
        return 0

    def accesses(self, tile: TileSizes) -> BufferAccesses:
        """Every element once per tile."""
        return BufferAccesses.once(tile)

    def lanes(self, tile: TileSizes) -> Lanes:
        """Channels need no neighbours: their zeros are skipped one by one."""
        return Lanes(1, 1)
