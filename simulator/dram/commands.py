"""The rules of DRAM: when a command may be issued, and what it does to banks, groups and ranks. Compiled.

`c`, `b`, `g` and `r` are the places of a controller's, bank's, group's and rank's record in the flat state.
"""

from simulator.dram.compiled import compiled
from simulator.dram.state import (
    ACTIVATE_COUNT,
    BANK_ACTIVATE,
    BANK_FIELDS,
    BANK_HITS,
    BANK_PRECHARGE,
    BANK_READ,
    BANK_WRITE,
    BANK_WRITE_HIT,
    BUSY_CLOCKS,
    COLUMN_CLOCK,
    DEADLINE,
    DONE,
    ENDING,
    FAW_0,
    FAW_NEXT,
    FINISHED,
    GROUP_ACTIVATE,
    GROUP_CLOCKS,
    GROUP_READ,
    GROUP_WRITE,
    HIT,
    HIT_COUNT,
    IDLE_CLOCKS,
    IN_FLIGHT,
    L_BANK,
    L_FRONT,
    L_RANK,
    L_SERVED,
    LAST_DIRECTION,
    LATENCY_BINS,
    LATENCY_TOP,
    LEFT,
    NEXT_REFRESH,
    NOT_BEFORE,
    OPEN_ROW,
    PINS_FREE,
    PRECHARGE_COUNT,
    RANK_ACTIVATE,
    RANK_FIELDS,
    RANK_READ,
    RANK_WRITE,
    READ,
    READ_COUNT,
    REFRESH_CLOCKS,
    REFRESH_COUNT,
    REFRESH_END,
    REFRESH_START,
    ROW_CLOCK,
    ROW_CLOCKS,
    SECOND_HALVES,
    SERVED_FIELDS,
    SERVED_STREAM,
    STREAM_FIELDS,
    STREAM_LIST,
    SYNC_END,
    T_ACTIVATE_GROUP,
    T_ACTIVATE_OTHER,
    T_ACTIVATE_SLOTS,
    T_ACTIVATE_TO_ACTIVATE,
    T_ACTIVATE_TO_PRECHARGE,
    T_ACTIVATE_TO_READ,
    T_ACTIVATE_TO_WRITE,
    T_BURST,
    T_CLOCK_SYNC,
    T_DUAL_BUS,
    T_FOUR_ACTIVATES,
    T_GROUP_BANKS,
    T_GROUPS,
    T_OTHER_GROUP,
    T_PRECHARGE_SLOTS,
    T_PRECHARGE_TO_ACTIVATE,
    T_RANKS,
    T_READ_LATENCY,
    T_READ_TO_PRECHARGE,
    T_READ_TO_WRITE,
    T_REFRESH,
    T_REFRESH_INTERVAL,
    T_SAME_GROUP,
    T_SPLIT_ACTIVATE,
    T_WRITE_LATENCY,
    T_WRITE_TO_PRECHARGE,
    T_WRITE_TO_READ_GROUP,
    T_WRITE_TO_READ_OTHER,
    TURNAROUND_CLOCKS,
    WRITE,
    WRITE_COUNT,
    Ints,
)


@compiled
def column_ready(state: Ints, b: int, g: int, r: int, direction: int) -> int:
    """First clock at which the open row of a bank may be read (or written)."""
    return max(state[b + BANK_READ + direction], state[g + direction], state[r + direction])  # type: ignore[no-any-return]


@compiled
def activate_ready(state: Ints, b: int, g: int, r: int) -> int:
    """First clock at which a closed bank may be activated."""
    oldest = state[r + FAW_0 + state[r + FAW_NEXT]]
    ready = max(state[b + BANK_ACTIVATE], state[g + GROUP_ACTIVATE], state[r + RANK_ACTIVATE])
    return max(ready, oldest + state[T_FOUR_ACTIVATES])  # type: ignore[no-any-return]


@compiled
def activate(state: Ints, c: int, b: int, g: int, r: int, row: int, clock: int) -> None:
    """Opens `row` at `clock`."""
    state[b + OPEN_ROW] = row
    state[b + BANK_HITS] = 0
    state[b + BANK_READ] = clock + state[T_ACTIVATE_TO_READ]
    state[b + BANK_WRITE] = clock + state[T_ACTIVATE_TO_WRITE]
    state[b + BANK_PRECHARGE] = clock + state[T_ACTIVATE_TO_PRECHARGE]
    state[b + BANK_ACTIVATE] = clock + state[T_ACTIVATE_TO_ACTIVATE]
    state[g + GROUP_ACTIVATE] = clock + state[T_ACTIVATE_GROUP]
    state[r + RANK_ACTIVATE] = clock + state[T_ACTIVATE_OTHER]
    slot = state[r + FAW_NEXT]
    state[r + FAW_0 + slot] = clock
    state[r + FAW_NEXT] = (slot + 1) & 3
    state[c + ROW_CLOCK] = clock + state[T_ACTIVATE_SLOTS]
    if not state[T_DUAL_BUS]:
        state[c + COLUMN_CLOCK] = clock + state[T_ACTIVATE_SLOTS]
    if state[T_SPLIT_ACTIVATE]:
        state[c + DEADLINE + state[c + SECOND_HALVES]] = clock + state[T_SPLIT_ACTIVATE]
        state[c + SECOND_HALVES] += 1
    state[c + ACTIVATE_COUNT] += 1


@compiled
def second_half(state: Ints, c: int, clock: int) -> None:
    """The second command of the oldest split activation, at `clock`."""
    waiting = state[c + SECOND_HALVES] - 1
    for place in range(waiting):
        state[c + DEADLINE + place] = state[c + DEADLINE + place + 1]
    state[c + SECOND_HALVES] = waiting
    state[c + COLUMN_CLOCK] = state[c + ROW_CLOCK] = clock + 1


@compiled
def precharge(state: Ints, c: int, b: int, clock: int) -> None:
    """Closes the row of a bank at `clock`."""
    state[b + OPEN_ROW] = state[b + HIT] = state[b + BANK_WRITE_HIT] = -1
    state[b + BANK_ACTIVATE] = max(state[b + BANK_ACTIVATE], clock + state[T_PRECHARGE_TO_ACTIVATE])
    state[c + ROW_CLOCK] = clock + state[T_PRECHARGE_SLOTS]
    if not state[T_DUAL_BUS]:
        state[c + COLUMN_CLOCK] = clock + state[T_PRECHARGE_SLOTS]
    state[c + PRECHARGE_COUNT] += 1


@compiled
def account_gap(state: Ints, g: int, r: int, direction: int, clock: int, arrival: int) -> None:
    """Says where the clocks went between the rank's burst before and one that came at `arrival` and goes at `clock`."""
    free = state[r + PINS_FREE]
    gap = clock - free
    if gap > 0:
        part = min(gap, max(0, arrival - free))
        state[r + IDLE_CLOCKS] += part
        gap -= part
        if gap > 0:
            overlap = min(clock, state[r + REFRESH_END]) - max(free, state[r + REFRESH_START])
            part = min(gap, max(0, overlap))
            state[r + REFRESH_CLOCKS] += part
            gap -= part
            if state[r + LAST_DIRECTION] == direction:
                part = min(gap, max(0, state[g + direction] - free))
                state[r + GROUP_CLOCKS] += part
            else:
                part = min(gap, max(0, max(state[r + direction], state[g + direction]) - free))
                state[r + TURNAROUND_CLOCKS] += part
            state[r + ROW_CLOCKS] += gap - part


@compiled
def note_latency(state: Ints, latencies: Ints, clocks: int) -> None:
    """Counts the latency of a read."""
    latency = min(clocks, LATENCY_BINS - 1)
    latencies[latency] += 1
    if latency >= state[state[L_FRONT] + LATENCY_TOP]:
        state[state[L_FRONT] + LATENCY_TOP] = latency + 1


@compiled
def reads_done(state: Ints, tag: int, count: int, end: int) -> None:
    """Notes that so many bursts of a request have been read, the last of them by `end`."""
    served = state[L_SERVED] + tag * SERVED_FIELDS
    state[served + DONE] = max(state[served + DONE], end)
    state[served + LEFT] -= count
    if state[served + LEFT] == 0:
        state[state[L_FRONT] + FINISHED] += 1
        state[state[L_FRONT] + ENDING] -= 1
    state[state[L_FRONT] + STREAM_LIST + state[served + SERVED_STREAM] * STREAM_FIELDS + IN_FLIGHT] -= count


@compiled
def column(
    state: Ints, latencies: Ints, c: int, b: int, g: int, r: int, direction: int, clock: int, tag: int, arrival: int
) -> None:
    """Reads or writes one burst at `clock`."""
    if state[T_CLOCK_SYNC]:
        if clock >= state[c + SYNC_END]:
            clock += 1
        latency = state[T_READ_LATENCY] if direction == READ else state[T_WRITE_LATENCY]
        state[c + SYNC_END] = max(state[c + SYNC_END], clock + latency + state[T_BURST] + state[T_CLOCK_SYNC])
    account_gap(state, g, r, direction, clock, arrival)
    state[r + BUSY_CLOCKS] += state[T_BURST]
    state[r + PINS_FREE] = clock + state[T_BURST]
    state[r + LAST_DIRECTION] = direction

    if state[b + BANK_HITS] > 0:
        state[c + HIT_COUNT] += 1
    state[b + BANK_HITS] += 1
    if direction == READ:
        state[c + READ_COUNT] += 1
        state[r + RANK_READ] = clock + state[T_OTHER_GROUP]
        state[g + GROUP_READ] = clock + state[T_SAME_GROUP]
        state[r + RANK_WRITE] = max(state[r + RANK_WRITE], clock + state[T_READ_TO_WRITE])
        state[b + BANK_PRECHARGE] = max(state[b + BANK_PRECHARGE], clock + state[T_READ_TO_PRECHARGE])
        end = clock + state[T_READ_LATENCY] + state[T_BURST]
        note_latency(state, latencies, end - arrival)
        reads_done(state, tag, 1, end)
    else:
        state[c + WRITE_COUNT] += 1
        state[r + RANK_WRITE] = clock + state[T_OTHER_GROUP]
        state[g + GROUP_WRITE] = clock + state[T_SAME_GROUP]
        state[r + RANK_READ] = max(state[r + RANK_READ], clock + state[T_WRITE_TO_READ_OTHER])
        state[g + GROUP_READ] = max(state[g + GROUP_READ], clock + state[T_WRITE_TO_READ_GROUP])
        state[b + BANK_PRECHARGE] = max(state[b + BANK_PRECHARGE], clock + state[T_WRITE_TO_PRECHARGE])
    state[c + COLUMN_CLOCK] = clock + 1
    if not state[T_DUAL_BUS]:
        state[c + ROW_CLOCK] = clock + 1


@compiled
def refresh(state: Ints, controller: int, c: int, start: int) -> None:
    """Closes all rows of a controller's ranks from `start` on and refreshes them."""
    banks = state[T_GROUPS] * state[T_GROUP_BANKS]
    for index in range(controller * state[T_RANKS], (controller + 1) * state[T_RANKS]):
        r = state[L_RANK] + index * RANK_FIELDS
        first = state[L_BANK] + index * banks * BANK_FIELDS
        stop = first + banks * BANK_FIELDS
        ready = start
        for b in range(first, stop, BANK_FIELDS):
            if state[b + OPEN_ROW] >= 0:
                ready = max(ready, max(start, state[b + BANK_PRECHARGE]) + state[T_PRECHARGE_TO_ACTIVATE])
                state[b + OPEN_ROW] = state[b + HIT] = state[b + BANK_WRITE_HIT] = -1
                state[b + BANK_HITS] = 0
            else:
                ready = max(ready, state[b + BANK_ACTIVATE])
        for b in range(first, stop, BANK_FIELDS):
            state[b + BANK_ACTIVATE] = max(state[b + BANK_ACTIVATE], ready + state[T_REFRESH])
            state[b + NOT_BEFORE] = 0
        state[r + REFRESH_START] = start
        state[r + REFRESH_END] = ready + state[T_REFRESH]
    state[c + REFRESH_COUNT] += 1
    state[c + NEXT_REFRESH] += state[T_REFRESH_INTERVAL]


assert (RANK_READ, RANK_WRITE, GROUP_READ, GROUP_WRITE, BANK_WRITE - BANK_READ) == (READ, WRITE, READ, WRITE, 1)
