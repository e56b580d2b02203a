"""What the compiled DRAM model works on: timing and policy as named tuples of numbers, the state as one flat array.

Times are clocks of the DRAM's command clock. A *controller* is one set of queues with its command bus; it drives one
rank, or several pseudo-channels that share the queues and the command bus but have data pins of their own (*rank* below
means either). Banks, groups and ranks are numbered through all controllers.

One flat array, because copying it copies the memory system, and because compiled functions take it at no cost. It is
made of records: one per controller, bank, group, rank and queue entry; the constants name the fields of each.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]

NEVER = 1 << 60
READ, WRITE = 0, 1


class Timing(NamedTuple):
    """Distances between the issue times of commands, in clocks, and how many of everything there are."""

    burst: int
    read_latency: int
    write_latency: int
    same_group: int
    other_group: int
    activate_to_read: int
    activate_to_write: int
    activate_to_precharge: int
    activate_to_activate: int
    activate_other: int
    activate_group: int
    four_activates: int
    precharge_to_activate: int
    read_to_precharge: int
    write_to_precharge: int
    read_to_write: int
    write_to_read_other: int
    write_to_read_group: int
    refresh: int
    refresh_interval: int
    activate_slots: int
    precharge_slots: int
    split_activate: int
    clock_sync: int
    dual_bus: int
    controllers: int
    ranks: int
    groups: int
    group_banks: int


class Policy(NamedTuple):
    """What a controller does with its queues; the fields are those of `hardware.dram.Controller`."""

    bank_queues: int
    read_queue: int
    write_queue: int
    bank_queue: int
    write_high: int
    write_low: int
    hit_limit: int


class Layout(NamedTuple):
    """Where the records of each kind start in the flat array, and how many banks and entries a controller has."""

    controller: int
    bank: int
    group: int
    rank: int
    entry: int
    front: int
    served: int
    size: int
    banks: int
    entries: int


(
    T_BURST,
    T_READ_LATENCY,
    T_WRITE_LATENCY,
    T_SAME_GROUP,
    T_OTHER_GROUP,
    T_ACTIVATE_TO_READ,
    T_ACTIVATE_TO_WRITE,
    T_ACTIVATE_TO_PRECHARGE,
    T_ACTIVATE_TO_ACTIVATE,
    T_ACTIVATE_OTHER,
    T_ACTIVATE_GROUP,
    T_FOUR_ACTIVATES,
    T_PRECHARGE_TO_ACTIVATE,
    T_READ_TO_PRECHARGE,
    T_WRITE_TO_PRECHARGE,
    T_READ_TO_WRITE,
    T_WRITE_TO_READ_OTHER,
    T_WRITE_TO_READ_GROUP,
    T_REFRESH,
    T_REFRESH_INTERVAL,
    T_ACTIVATE_SLOTS,
    T_PRECHARGE_SLOTS,
    T_SPLIT_ACTIVATE,
    T_CLOCK_SYNC,
    T_DUAL_BUS,
    T_CONTROLLERS,
    T_RANKS,
    T_GROUPS,
    T_GROUP_BANKS,
    P_BANK_QUEUES,
    P_READ_QUEUE,
    P_WRITE_QUEUE,
    P_BANK_QUEUE,
    P_WRITE_HIGH,
    P_WRITE_LOW,
    P_HIT_LIMIT,
    L_CONTROLLER,
    L_BANK,
    L_GROUP,
    L_RANK,
    L_ENTRY,
    L_FRONT,
    L_SERVED,
    L_SIZE,
    L_BANKS,
    L_ENTRIES,
) = range(46)
"""The head of the state: timing (T), policy (P) and layout (L)."""
HEADER = 46

(
    COLUMN_CLOCK,
    ROW_CLOCK,
    TRANSFER_CLOCK,
    READY,
    READY_WRITES,
    WRITE_MODE,
    TURN,
    QUEUED,
    NEXT_REFRESH,
    WAITING,
    WAITING_WRITES,
    FREE,
    HEADS,
    WRITE_HEAD,
    TAILS,
    WRITE_TAIL,
    BUSY_BANKS,
    SECOND_HALVES,
    DEADLINE,
    _DEADLINE_1,
    _DEADLINE_2,
    _DEADLINE_3,
    SYNC_END,
    BEST,
    BEST_BANK,
    BEST_KIND,
    BEST_ENTRY,
    BEST_BEFORE,
    HIT_COUNT,
    ACTIVATE_COUNT,
    PRECHARGE_COUNT,
    REFRESH_COUNT,
    READ_COUNT,
    WRITE_COUNT,
    COLUMN_HEAD,
    COLUMN_TAIL,
    HELD_HEAD,
    ROW_READY,
    ROW_ORDER,
    ROW_BANK,
    FREED,
    _FREED_1,
    _FREED_2,
    _FREED_3,
    _FREED_4,
    _FREED_5,
    _FREED_6,
    _FREED_7,
    LIST,
) = range(49)
"""Fields of a controller. HEADS and TAILS: its read and write queue, where banks have queues of their own. READY: how
many of their entries find room in their bank's queue. SECOND_HALVES: split activations whose second command is still to
come, and by when. SYNC_END: until when the data clock runs. BEST: the clock of the next command where it is known, −1
where it is not. COLUMN_HEAD, COLUMN_TAIL: the list of banks whose open row is hit in the direction that is served,
oldest hit first. HELD_HEAD: of those with a held request. ROW_READY, ROW_ORDER, ROW_BANK: the first activate or
precharge, −1 where it has to be looked for. FREED: when the next bursts to come may come. Banks in these are places in
the flat state. From LIST on: the banks that have something to do."""
CONTROLLER_FIELDS = LIST + 64

(
    OPEN_ROW,
    BANK_READ,
    BANK_WRITE,
    BANK_ACTIVATE,
    BANK_PRECHARGE,
    BANK_HITS,
    HELD,
    HELD_ORDER,
    HELD_TAG,
    HELD_ARRIVAL,
    HELD_DIRECTION,
    HEAD,
    BANK_WRITE_HEAD,
    TAIL,
    BANK_WRITE_TAIL,
    LENGTH,
    BANK_WRITE_LENGTH,
    HIT,
    BANK_WRITE_HIT,
    BEFORE_HIT,
    BANK_BEFORE_WRITE_HIT,
    TO_COME,
    BANK_WRITES_TO_COME,
    PLACE,
    GROUP_AT,
    RANK_AT,
    NOT_BEFORE,
    COLUMN_NEXT,
    COLUMN_ORDER,
    HELD_NEXT,
    TRAIN_COUNT,
    TRAIN_CLOCK,
) = range(32)
"""Fields of a bank. HELD: a request for which the row has been opened. HIT: the first queued read (and write) that hits
the open row, −1 when there is none, and the entry before it. TO_COME: what waits for room in the bank's queue. PLACE:
where it stands in the controller's list of busy banks, −1 when it does not. GROUP_AT, RANK_AT: where the records of its
group and rank are. NOT_BEFORE: no command of the bank can be ready before this clock, as long as nothing new comes for
it. COLUMN_NEXT, HELD_NEXT: the following bank in the controller's lists; COLUMN_ORDER: the order of the bank's hit.
TRAIN: bursts served in a train, and when the last one was."""
BANK_FIELDS = 32

GROUP_READ, GROUP_WRITE, GROUP_ACTIVATE = range(3)
GROUP_FIELDS = 3

(
    RANK_READ,
    RANK_WRITE,
    RANK_ACTIVATE,
    FAW_NEXT,
    FAW_0,
    _FAW_1,
    _FAW_2,
    _FAW_3,
    PINS_FREE,
    LAST_DIRECTION,
    REFRESH_START,
    REFRESH_END,
    BUSY_CLOCKS,
    TURNAROUND_CLOCKS,
    GROUP_CLOCKS,
    ROW_CLOCKS,
    REFRESH_CLOCKS,
    IDLE_CLOCKS,
) = range(18)
"""Fields of a rank. PINS_FREE: the clock at which its data pins could have taken the next burst's command; the last six
say where the clocks until then went."""
RANK_FIELDS = 18

NEXT, E_ROW, E_ORDER, E_TAG, E_DIRECTION, E_BANK, E_COUNT, E_USED, E_ARRIVAL = range(9)
"""Fields of a queue entry: one burst, or several that follow each other in a row. E_ORDER: of the first of them, the
others come right after it. E_COUNT: how many are left of the E_USED whose arrivals are noted from E_ARRIVAL on."""
ENTRY_BURSTS = 8
ENTRY_FIELDS = E_ARRIVAL + ENTRY_BURSTS

(
    CLOCK,
    ORDER,
    STREAM,
    PIECE_LEFT,
    FINISHED,
    STREAMS,
    PIECE,
    OUTSTANDING,
    BY_PRIORITY,
    PERIOD,
    BLOCK,
    LOW_BITS,
    MARKED_RUN,
    MARKED_BURST,
    MARKED_CLOCK,
    MARKED_DELTA,
    MARKED_EVENTS,
    RATE_CLOCKS,
    RATE_BURSTS,
    ENDING,
    LATENCY_TOP,
    SEGMENT,
    BANK_BITS,
    STREAM_LIST,
) = range(24)
"""Fields of the front end, which admits bursts to the controllers. CLOCK: of the last admission. FINISHED: requests
that have been served and not yet fetched. PIECE: bursts that a stream sends in its turn. PERIOD, BLOCK: bursts after
which a sequential stream has been through all banks that take turns, and after which it opens new rows. MARKED: where
such a stream stood one period ago. RATE: at most so many bursts in so many clocks, where not 0. ENDING: requests
whose bursts have all been admitted and not all served. LATENCY_TOP: one
more than the longest latency seen. SEGMENT: bursts that lie side by side in one row. BANK_BITS: of a bank's number,
those that count banks within a controller. From STREAM_LIST on: the streams."""
MAX_STREAMS = 8

FIRST_REQUEST, REQUESTS, IN_FLIGHT, ADMITTED, REQUEST_LIST = range(5)
"""Fields of a stream: its ring of requests, reads under way and bursts admitted so far."""
RING = 16
RUN, RUN_STOP, BURST, RUN_LEFT, REQUEST_DIRECTION, REQUEST_ARRIVAL, REQUEST_TAG = range(7)
"""Fields of a request: its next run and the one after its last, the next burst and how many are left of its run."""
REQUEST_FIELDS = 7
STREAM_FIELDS = REQUEST_LIST + RING * REQUEST_FIELDS
FRONT_FIELDS = STREAM_LIST + MAX_STREAMS * STREAM_FIELDS

LATENCY_BINS = 4096
"""Clocks of latency that are told apart."""

TAGS = 128
"""Requests that may be under way at a time."""
LEFT, DONE, SERVED_STREAM = range(3)
"""Fields of a request under way: bursts that are not served yet, and the clock at which the last came."""
SERVED_FIELDS = 3


def layout_of(timing: Timing, policy: Policy) -> Layout:
    """The layout of the state of such a memory system."""
    banks = timing.ranks * timing.groups * timing.group_banks
    entries = policy.read_queue + policy.write_queue + policy.bank_queue * banks + 1
    bank = HEADER + timing.controllers * CONTROLLER_FIELDS
    group = bank + timing.controllers * banks * BANK_FIELDS
    rank = group + timing.controllers * timing.ranks * timing.groups * GROUP_FIELDS
    entry = rank + timing.controllers * timing.ranks * RANK_FIELDS
    front = entry + timing.controllers * entries * ENTRY_FIELDS
    served = front + FRONT_FIELDS
    return Layout(HEADER, bank, group, rank, entry, front, served, served + TAGS * SERVED_FIELDS, banks, entries)


def new_state(timing: Timing, policy: Policy) -> Ints:
    """A memory system at clock 0: all rows closed, all queues empty."""
    layout = layout_of(timing, policy)
    state = np.zeros(layout.size, np.int64)
    state[:HEADER] = (*timing, *policy, *layout)
    controller = state[HEADER : layout.bank].reshape(-1, CONTROLLER_FIELDS)
    controller[:, NEXT_REFRESH] = timing.refresh_interval
    controller[:, HEADS : WRITE_TAIL + 1] = -1
    controller[:, COLUMN_HEAD : HELD_HEAD + 1] = controller[:, ROW_BANK] = -1
    controller[:, BEST] = -1
    bank = state[layout.bank : layout.group].reshape(-1, BANK_FIELDS)
    bank[:, OPEN_ROW] = bank[:, PLACE] = -1
    bank[:, HEAD : BANK_WRITE_TAIL + 1] = -1
    bank[:, HIT : BANK_WRITE_HIT + 1] = -1
    number = np.arange(len(bank))
    bank[:, GROUP_AT] = layout.group + number // timing.group_banks * GROUP_FIELDS
    bank[:, RANK_AT] = layout.rank + number // (timing.group_banks * timing.groups) * RANK_FIELDS
    rank = state[layout.rank : layout.entry].reshape(-1, RANK_FIELDS)
    rank[:, FAW_0 : FAW_0 + 4] = -timing.four_activates
    rank[:, LAST_DIRECTION] = -1
    entry = state[layout.entry : layout.front].reshape(timing.controllers, layout.entries, ENTRY_FIELDS)
    entry[:, :, NEXT] = np.arange(1, layout.entries + 1)
    entry[:, -1, NEXT] = -1
    return state
