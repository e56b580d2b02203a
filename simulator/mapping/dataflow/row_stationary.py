"""Row-stationary: each PE convolves a kernel row with an IFM row and keeps both in scratch pads.

Chen et al., "Eyeriss: An Energy-Efficient Reconfigurable Accelerator for Deep Convolutional Neural Networks", JSSC
52(1), 2017, and "Eyeriss: A Spatial Architecture for Energy-Efficient Dataflow", ISCA 2016.

- A PE set of R rows by e columns turns e OFM rows of one kernel and channel. A set wider than the array is cut into
  segments that lie below each other. As many sets as fit work side by side: t on different kernels, r on different
  channels, whose psums add up through the array.
- A PE interleaves p kernels and q channels, as far as its pads hold them: q·S IFM words, p·q·S kernel words, p psums.
- A pass is what the pads' kernels serve: n images, p·t kernels, q·r channels, e rows of the whole width F. It takes the
  longest of n·p·q·F·S MACs, the delivery of the IFM, and psums in or out, each over its own bus. Before that it ramps
  up: the kernels go into the pads and each PE gets its first window of S columns; at its end the psums of the last
  position leave the array. A tile step is one pass.
"""

from dataclasses import dataclass

import numpy as np

from simulator.hardware.array import Array
from simulator.mapping.dataflow.base import BufferAccesses, Ints, Lanes, PadAccesses, TileSizes, ceil_div

IMPOSSIBLE = np.int64(1) << 50
"""Cycles of a tile that no single pass can take on."""


@dataclass(frozen=True, eq=False)
class Pass:
    """How the PEs share a tile: p kernels and q channels inside a PE, t and r sets side by side; 0 where none fits.

    groups: depthwise groups side by side. row_folds, column_folds: turns for kernels higher than the array or wider
    than the IFM pad.
    """

    p: Ints
    q: Ints
    r: Ints
    t: Ints
    groups: Ints
    row_folds: int
    column_folds: int


class RowStationary:
    """A physical array of PEs with scratch pads, and the buses that feed it."""

    def __init__(self, array: Array, lanes: int = 1) -> None:
        assert lanes == 1
        assert array.scratch_pads is not None
        assert array.delivery is not None
        self.rows, self.columns = array.rows, array.columns
        self.pads, self.delivery = array.scratch_pads, array.delivery

    def sets(self, ofm_rows: Ints, kernel_rows: int) -> Ints:
        """PE sets of min(R, array rows) by e PEs that fit into the array at once; 0 where not even one does."""
        height = min(kernel_rows, self.rows)
        segments = ceil_div(ofm_rows, self.columns)
        across = np.maximum(self.columns // np.asarray(ofm_rows), 1)
        return np.asarray(across * (self.rows // (height * segments)), np.int64)

    def pass_of(self, sets: Ints, outputs: Ints, channels: Ints, groups: Ints, r: int, s: int) -> Pass:
        """The shares with the fewest MACs per PE, and among these the most channels in a PE."""
        columns = min(s, self.pads.ifm.words)
        sets, outputs, channels = np.broadcast_arrays(sets, outputs, channels)
        # In floating-point numbers, like `ceil_div`: all of them are small, and the quotients exact.
        room, wanted, deep = (np.asarray(of, np.float64) for of in (sets, outputs, channels))
        # More channels in a PE than there are take no fewer PEs and more MACs.
        most_channels = max(1, min(self.pads.ifm.words // columns, int(channels.max(initial=1))))
        in_a_pe = np.arange(most_channels, 0, -1).reshape(-1, *(1,) * sets.ndim)
        row_sets = np.ceil(deep / in_a_pe)
        beside_each_other = np.floor(room / np.maximum(row_sets, 1))
        kernels = np.ceil(wanted / np.maximum(beside_each_other, 1))  # the fewest that the sets leave
        most_kernels = np.minimum(self.pads.psum.words, self.pads.kernel.words // (in_a_pe * columns))
        macs = np.where((row_sets <= room) & (kernels <= most_kernels), kernels * in_a_pe, np.inf)
        best = macs.argmin(axis=0)
        place = best * sets.size + np.arange(sets.size).reshape(sets.shape)
        found = macs.ravel()[place] < np.inf
        best_p, best_r = kernels.ravel()[place] * found, row_sets.ravel()[place] * found
        best_q = (most_channels - best) * found
        best_t = np.ceil(wanted / np.maximum(best_p, 1)) * (best_p > 0)
        whole_p, whole_q, whole_r, whole_t = (of.astype(np.int64) for of in (best_p, best_q, best_r, best_t))
        depthwise = (outputs == 1) & (channels == 1)
        beside = np.where(depthwise, np.clip(np.asarray(groups), 1, np.maximum(sets, 1)), 1)
        return Pass(whole_p, whole_q, whole_r, whole_t, beside, -(-r // self.rows), -(-s // columns))

    def shares(self, tile: TileSizes) -> Pass:
        """How the PEs share each tile."""
        columns = np.broadcast_arrays(self.sets(tile.p, tile.r), tile.k, tile.c, tile.g)
        sizes = tuple(int(column.max(initial=0)) + 1 for column in columns)
        code = np.ravel_multi_index(columns, sizes)
        present = np.zeros(int(np.prod(sizes)), np.bool_) if np.prod(sizes, dtype=float) < 30 * code.size else None
        if present is None:
            several, inverse = np.unique(code, return_inverse=True)
        else:  # counting beats sorting
            present[code] = True
            several = np.flatnonzero(present)
            inverse = (np.cumsum(present) - 1)[code]
        sets, outputs, channels, groups = np.unravel_index(several, sizes)
        found = self.pass_of(sets, outputs, channels, groups, tile.r, tile.s)
        spread = {name: getattr(found, name)[inverse] for name in ("p", "q", "r", "t", "groups")}
        return Pass(**spread, row_folds=found.row_folds, column_folds=found.column_folds)

    def cycles(self, tile: TileSizes) -> Ints:
        """Array cycles of each tile: one pass per group (or groups side by side) and fold."""
        share = self.shares(tile)
        folds = share.row_folds * share.column_folds
        macs = tile.n * share.p * share.q * tile.q * -(-tile.s // share.column_folds)
        together = tile.k * share.groups
        psums = tile.n * together * tile.p * tile.q
        per_group = ceil_div(tile.ifm_elements * share.groups, np.maximum(tile.g, 1))
        kernels = together * tile.c * tile.r * tile.s / folds
        first_windows = tile.ifm_rows * tile.c * share.groups * -(-tile.s // share.column_folds)
        drain = together * tile.p
        rate = self.delivery.words
        steady = np.maximum(macs, np.maximum(per_group / rate.ifm, psums / rate.psum))
        ramp = kernels / rate.kernel + first_windows / rate.ifm + drain / rate.psum
        turns = ceil_div(tile.g, share.groups) * folds
        cycles = np.ceil(turns * (steady + ramp) - 1e-9).astype(np.int64)
        idle = (tile.c == 0) | (tile.k == 0) | (tile.g == 0)
        return np.where(idle, 0, np.where(share.p > 0, cycles, IMPOSSIBLE))

    def overhead_cycles(self) -> int:
        """None beyond each pass's own."""
        return 0

    def accesses(self, tile: TileSizes) -> BufferAccesses:
        """The IFM once per pass, kernels once, each psum once."""
        return BufferAccesses.once(tile)

    def pad_accesses(self, tile: TileSizes) -> PadAccesses:
        """Words that go into the pads, and psums handed from PE to PE.

        An IFM row goes to every set that works on it: to the PEs of R kernel rows where rows overlap, and to t sets.
        A kernel row goes to the e PEs of its row. Every psum of a pass walks through the R·r PEs above each other.
        """
        share = self.shares(tile)
        height = np.minimum(tile.r, self.rows)
        ifm = ceil_div(tile.ifm_elements * tile.p * height, np.maximum(tile.ifm_rows, 1)) * share.t
        kernel = tile.g * tile.k * tile.reduction * tile.p
        outputs = tile.g * tile.k * tile.positions
        return PadAccesses(ifm, kernel, outputs * np.maximum(height * share.r - 1, 0))

    def lanes(self, tile: TileSizes) -> Lanes:
        """Sets side by side on channels."""
        share = self.shares(tile)
        return Lanes(int(share.groups.max()), max(1, int(share.r.max())))
