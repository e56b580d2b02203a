"""A memory system that keeps its state between requests: what the event loop and the commands use."""

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from simulator.dram.address_map import AddressMap, address_map
from simulator.dram.counters import Counters
from simulator.dram.front_end import enqueue, play
from simulator.dram.state import (
    ACTIVATE_COUNT,
    ADMITTED,
    BANK_BITS,
    BLOCK,
    BUSY_BANKS,
    BUSY_CLOCKS,
    BY_PRIORITY,
    CLOCK,
    CONTROLLER_FIELDS,
    DONE,
    FINISHED,
    FRONT_FIELDS,
    GROUP_CLOCKS,
    HEADER,
    HIT_COUNT,
    IDLE_CLOCKS,
    LATENCY_BINS,
    LEFT,
    LOW_BITS,
    MARKED_RUN,
    MAX_STREAMS,
    OUTSTANDING,
    P_BANK_QUEUES,
    P_WRITE_LOW,
    PERIOD,
    PIECE,
    PINS_FREE,
    PRECHARGE_COUNT,
    QUEUED,
    RANK_FIELDS,
    RATE_BURSTS,
    RATE_CLOCKS,
    READ_COUNT,
    REFRESH_CLOCKS,
    REFRESH_COUNT,
    RING,
    ROW_CLOCKS,
    SEGMENT,
    SERVED_FIELDS,
    STREAM,
    STREAM_FIELDS,
    STREAM_LIST,
    STREAMS,
    TAGS,
    TURNAROUND_CLOCKS,
    WAITING_WRITES,
    WRITE_COUNT,
    Policy,
    Timing,
    layout_of,
    new_state,
)
from simulator.hardware.dram_device import Controller, DramDevice

Ints = npt.NDArray[np.int64]

MAX_PENDING = RING - 1
"""Requests that a stream may have under way."""


@dataclass(frozen=True)
class Dma:
    """How streams share the way to memory: bytes that one sends in its turn, reads it may have outstanding (in such
    pieces), and whether they take turns or the lower-numbered goes first."""

    request: int = 256
    outstanding: int = 1 << 20
    priority: bool = False


@dataclass(frozen=True, eq=False)
class Snapshot:
    """A memory system at one instant."""

    state: Ints
    latencies: Ints
    pending: tuple[int, ...]


@dataclass
class _Runs:
    """The runs of all requests under way, one after the other."""

    first: Ints = field(default_factory=lambda: np.zeros(1024, np.int64))
    bursts: Ints = field(default_factory=lambda: np.zeros(1024, np.int64))
    used: int = 0
    addresses: tuple[int, int] = (0, 0)

    def __post_init__(self) -> None:
        self.addresses = self.first.ctypes.data, self.bursts.ctypes.data

    def append(self, first: Ints, bursts: Ints) -> tuple[int, int]:
        """Where the runs have been put."""
        start, stop = self.used, self.used + len(first)
        if stop > len(self.first):
            size = max(stop, 2 * len(self.first))
            self.first, self.bursts = (
                np.concatenate([a[:start], np.zeros(size - start, np.int64)]) for a in vars_of(self)
            )
            self.addresses = self.first.ctypes.data, self.bursts.ctypes.data
        self.first[start:stop] = first
        self.bursts[start:stop] = bursts
        self.used = stop
        return start, stop


def vars_of(runs: _Runs) -> tuple[Ints, Ints]:
    """Both arrays."""
    return runs.first, runs.bursts


class Memory:
    """Channels with their controllers, and the front end through which all streams reach them.

    Times are clocks of the command clock (`clock_ps`); addresses are numbers of bursts (`burst_bytes`).
    """

    def __init__(
        self,
        device: DramDevice,
        controller: Controller,
        mapping: AddressMap | None = None,
        streams: int = 1,
        dma: Dma | None = None,
    ) -> None:
        assert 1 <= streams <= MAX_STREAMS
        organisation = device.organisation
        self.clock_ps = round(device.timing.clock)
        self.burst_bytes = organisation.burst
        self.burst_clocks = device.timing.BL
        self.pins = organisation.channels * organisation.pseudo_channels
        self.mapping = mapping or address_map(device.mapping, organisation)
        timing, policy = timing_of(device), policy_of(controller)
        if policy.bank_queues and timing.split_activate:  # such a controller has no second halves: two slots in a row
            timing = timing._replace(split_activate=0, activate_slots=2 * timing.activate_slots)
        self._layout = layout_of(timing, policy)
        self._state = new_state(timing, policy)
        layout = self._layout
        self._front = self._state[layout.front : layout.front + FRONT_FIELDS]
        self._controllers = self._state[HEADER : layout.bank].reshape(-1, CONTROLLER_FIELDS)
        self._ranks = self._state[layout.rank : layout.entry].reshape(-1, RANK_FIELDS)
        self._admitted = self._front[STREAM_LIST + ADMITTED : STREAM_LIST + streams * STREAM_FIELDS : STREAM_FIELDS]
        self._latencies = np.zeros(LATENCY_BINS, np.int64)
        self._mark, self._latency_mark = np.zeros_like(self._state), np.zeros_like(self._latencies)
        self._bank_of, self._row_of = self.mapping.tables(organisation)
        self._tables = self._bank_of.ctypes.data, self._row_of.ctypes.data
        self._addresses = self._state.ctypes.data, self._latencies.ctypes.data
        self._marks = self._mark.ctypes.data, self._latency_mark.ctypes.data
        # a number from a view is quicker than one from the array
        self._numbers: memoryview[int] = memoryview(self._state)  # type: ignore[arg-type]
        self._runs = _Runs()
        self._pending: list[int] = []
        self._next_tag = 0
        dma = dma or Dma()
        front = self._front
        front[STREAM] = front[MARKED_RUN] = -1
        front[STREAMS] = streams
        front[PIECE] = max(1, dma.request // self.burst_bytes)
        front[OUTSTANDING] = dma.outstanding * front[PIECE]
        front[BY_PRIORITY] = dma.priority
        front[LOW_BITS] = self.mapping.low_bits
        # Banks with queues of their own take turns, and it takes longer until that repeats itself.
        period = max(self.mapping.period, 32 if policy.bank_queues else 16)
        front[PERIOD] = period if 8 * period <= self.mapping.block else 0
        front[BLOCK] = self.mapping.block
        front[BANK_BITS] = layout.banks.bit_length() - 1
        front[SEGMENT] = min(self.mapping.segment, period)

    @property
    def clock(self) -> int:
        """The clock that the front end has reached."""
        return self._numbers[self._layout.front + CLOCK]

    @property
    def pending(self) -> int:
        """Requests under way."""
        return len(self._pending)

    def limit_rate(self, bursts: int, clocks: int) -> None:
        """Lets at most `bursts` bursts in `clocks` clocks through, evenly."""
        self._front[RATE_BURSTS], self._front[RATE_CLOCKS] = bursts, clocks
        self._front[PERIOD] = 0

    def submit(self, stream: int, first: Ints, bursts: Ints, clock: int) -> int:
        """Hands over a request: runs of bursts to be moved in this order from `clock` on. Returns its tag.

        first: number of each run's first burst; bursts: how many are read, or, negative, written.

        A stream may have `MAX_PENDING` requests under way; they are served in order.
        """
        assert len(first)
        assert len(self._pending) < TAGS
        if not self._pending:
            self._runs.used = 0
        start, stop = self._runs.append(first, bursts)
        tag = self._next_tag
        while tag in self._pending:
            tag = (tag + 1) % TAGS
        self._next_tag = (tag + 1) % TAGS
        enqueue(self._addresses[0], *self._runs.addresses, stream, start, stop, tag, clock)
        self._pending.append(tag)
        return tag

    def play(self, until: int) -> list[tuple[int, int]]:
        """Plays until clock `until` or until a request has been served: those served, as (tag, clock of its last byte).

        A read is served when its last burst has come, a write when the controllers have taken its last burst.
        """
        play(*self._addresses, *self._marks, *self._runs.addresses, *self._tables, until)
        numbers, finished = self._numbers, self._layout.front + FINISHED
        if not numbers[finished]:
            return []
        numbers[finished] = 0
        served, pending = [], []
        for tag in self._pending:
            at = self._layout.served + tag * SERVED_FIELDS
            if numbers[at + LEFT]:
                pending.append(tag)
            else:
                served.append((tag, numbers[at + DONE]))
        self._pending = pending
        return served

    def snapshot(self) -> Snapshot:
        """What `restore` goes back to."""
        return Snapshot(self._state.copy(), self._latencies.copy(), tuple(self._pending))

    def restore(self, snapshot: Snapshot) -> None:
        """Goes back to an earlier instant; requests handed over since then are forgotten."""
        self._state[:] = snapshot.state
        self._latencies[:] = snapshot.latencies
        self._front[MARKED_RUN] = -1  # what was remembered of a sequential stream may be of later
        self._latency_mark[:] = 0
        self._pending = list(snapshot.pending)

    def drain(self) -> None:
        """Plays on until the controllers have written all that they have taken."""
        assert not self._pending
        low = int(self._state[P_WRITE_LOW])
        if self._state[P_BANK_QUEUES]:
            self._state[P_WRITE_LOW] = 0
        while self._writes_waiting():
            self.play(self.clock + 1000)
        self._state[P_WRITE_LOW] = low

    def _writes_waiting(self) -> bool:
        return bool(self._controllers[:, [WAITING_WRITES, QUEUED, BUSY_BANKS]].any())

    def counters(self) -> Counters:
        """What has been done so far."""
        controllers = self._controllers.sum(axis=0)
        ranks = self._ranks.sum(axis=0)
        commands = (READ_COUNT, WRITE_COUNT, HIT_COUNT, ACTIVATE_COUNT, PRECHARGE_COUNT, REFRESH_COUNT)
        clocks = (BUSY_CLOCKS, TURNAROUND_CLOCKS, GROUP_CLOCKS, ROW_CLOCKS, REFRESH_CLOCKS, IDLE_CLOCKS)
        return Counters(*(int(controllers[at]) for at in commands), *(int(ranks[at]) for at in clocks))

    def admitted_bursts(self) -> list[int]:
        """Bursts that each stream has handed to the controllers."""
        admitted: list[int] = self._admitted.tolist()
        return admitted

    def pins_clock(self) -> int:
        """The clock at which the data pins were last in use."""
        return int(self._ranks[:, PINS_FREE].max())

    def latencies(self) -> Ints:
        """How many reads took how many clocks so far, from their arrival at a controller to their last byte."""
        return self._latencies.copy()

    def latency_clocks(self, *shares: float) -> list[int]:
        """Clocks from a read's arrival at its controller to its last byte; these shares of all reads stay within."""
        total = np.cumsum(self._latencies)
        if not total[-1]:
            return [0] * len(shares)
        return [int(np.searchsorted(total, share * total[-1])) for share in shares]


def timing_of(device: DramDevice) -> Timing:
    """The device's timing as distances between commands."""
    organisation, t, commands = device.organisation, device.timing, device.commands
    return Timing(
        burst=t.BL,
        read_latency=t.CL,
        write_latency=t.CWL,
        same_group=max(t.BL, t.tCCD_L),
        other_group=max(t.BL, t.tCCD_S),
        activate_to_read=t.tRCDRD,
        activate_to_write=t.tRCDWR,
        activate_to_precharge=t.tRAS,
        activate_to_activate=t.tRAS + t.tRP,
        activate_other=t.tRRD_S,
        activate_group=t.tRRD_L,
        four_activates=t.tFAW,
        precharge_to_activate=t.tRP,
        read_to_precharge=t.tRTP,
        write_to_precharge=t.CWL + t.BL + t.tWR,
        read_to_write=t.tRTW,
        write_to_read_other=t.CWL + t.BL + t.tWTR_S,
        write_to_read_group=t.CWL + t.BL + t.tWTR_L,
        refresh=t.tRFC,
        refresh_interval=t.tREFI,
        activate_slots=commands.activate_slots,
        precharge_slots=commands.precharge_slots,
        split_activate=commands.split_activate,
        clock_sync=commands.data_clock,
        dual_bus=int(commands.separate_row_bus),
        controllers=organisation.channels,
        ranks=organisation.pseudo_channels,
        groups=organisation.bank_groups,
        group_banks=organisation.banks,
    )


def policy_of(controller: Controller) -> Policy:
    """The controller's policy as numbers."""
    return Policy(
        bank_queues=int(controller.queues == "banked"),
        read_queue=controller.read_queue,
        write_queue=controller.write_queue,
        bank_queue=controller.bank_queue,
        write_high=controller.write_high,
        write_low=controller.write_low,
        hit_limit=controller.hit_limit,
    )
