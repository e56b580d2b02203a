"""Skipping what only repeats itself. Compiled.

A long run of bursts by a single stream soon repeats itself: after each period of the address map the same has happened,
so many clocks later. Such periods are skipped in one step, up to the next row change, refresh or event.
"""

from simulator.dram.compiled import compiled
from simulator.dram.state import (
    ACTIVATE_COUNT,
    ADMITTED,
    BANK_ACTIVATE,
    BANK_FIELDS,
    BANK_READ,
    BANK_WRITE_LENGTH,
    BANK_WRITES_TO_COME,
    BEST,
    BLOCK,
    BURST,
    BUSY_BANKS,
    BUSY_CLOCKS,
    CLOCK,
    COLUMN_CLOCK,
    CONTROLLER_FIELDS,
    E_ARRIVAL,
    ENTRY_BURSTS,
    ENTRY_FIELDS,
    FAW_0,
    GROUP_FIELDS,
    HEADER,
    HELD,
    HIT_COUNT,
    IDLE_CLOCKS,
    L_BANK,
    L_ENTRY,
    L_FRONT,
    L_GROUP,
    L_RANK,
    L_SERVED,
    LATENCY_TOP,
    LEFT,
    LENGTH,
    MARKED_BURST,
    MARKED_CLOCK,
    MARKED_DELTA,
    MARKED_EVENTS,
    MARKED_RUN,
    NEXT_REFRESH,
    NOT_BEFORE,
    ORDER,
    PERIOD,
    PINS_FREE,
    PRECHARGE_COUNT,
    QUEUED,
    RANK_FIELDS,
    RANK_READ,
    READ_COUNT,
    REFRESH_COUNT,
    REQUEST_TAG,
    ROW_BANK,
    ROW_CLOCK,
    RUN,
    RUN_LEFT,
    SERVED_FIELDS,
    SYNC_END,
    T_CONTROLLERS,
    TO_COME,
    TRANSFER_CLOCK,
    WAITING,
    WAITING_WRITES,
    WRITE_COUNT,
    WRITE_MODE,
    Ints,
)


@compiled
def _repeat(state: Ints, mark: Ints, latencies: Ints, latency_mark: Ints, front: int, periods: int, delta: int) -> None:
    """Lets what happened since `mark` happen `periods` times more, each time `delta` clocks later."""
    shift = periods * delta
    state[front + CLOCK] += shift
    for controller in range(state[T_CONTROLLERS]):
        c = HEADER + controller * CONTROLLER_FIELDS
        for field in (COLUMN_CLOCK, ROW_CLOCK, TRANSFER_CLOCK, SYNC_END, HIT_COUNT, READ_COUNT, WRITE_COUNT):
            state[c + field] += periods * (state[c + field] - mark[c + field])
        if state[c + BEST] >= 0:
            state[c + BEST] += shift
        state[c + ROW_BANK] = -1
    for b in range(state[L_BANK], state[L_GROUP], BANK_FIELDS):
        for field in range(BANK_READ, BANK_ACTIVATE + 2):
            state[b + field] += periods * (state[b + field] - mark[b + field])
        if state[b + NOT_BEFORE] > 0:
            state[b + NOT_BEFORE] += shift
    for g in range(state[L_GROUP], state[L_RANK], GROUP_FIELDS):
        for field in range(GROUP_FIELDS):
            state[g + field] += periods * (state[g + field] - mark[g + field])
    for r in range(state[L_RANK], state[L_ENTRY], RANK_FIELDS):
        for field in range(RANK_READ, FAW_0 - 1):
            state[r + field] += periods * (state[r + field] - mark[r + field])
        state[r + PINS_FREE] += periods * (state[r + PINS_FREE] - mark[r + PINS_FREE])
        for field in range(BUSY_CLOCKS, IDLE_CLOCKS + 1):
            state[r + field] += periods * (state[r + field] - mark[r + field])
    for e in range(state[L_ENTRY], state[L_FRONT], ENTRY_FIELDS):
        for slot in range(ENTRY_BURSTS):
            state[e + E_ARRIVAL + slot] += shift
    for latency in range(state[front + LATENCY_TOP]):
        latencies[latency] += periods * (latencies[latency] - latency_mark[latency])


@compiled
def skip_periods(
    state: Ints, mark: Ints, latencies: Ints, latency_mark: Ints, front: int, s: int, q: int, until: int
) -> None:
    """At the end of a period of a lone stream: remembers where it stands, or skips periods that only repeat this."""
    period, burst = state[front + PERIOD], state[q + BURST]
    clock = state[front + CLOCK]
    events, due = 0, until
    for controller in range(state[T_CONTROLLERS]):
        c = HEADER + controller * CONTROLLER_FIELDS
        events += state[c + ACTIVATE_COUNT] + state[c + PRECHARGE_COUNT] + state[c + REFRESH_COUNT]
        due = min(due, state[c + NEXT_REFRESH])
    steady = True
    delta = clock - state[front + MARKED_CLOCK]
    for controller in range(state[T_CONTROLLERS]):
        c = HEADER + controller * CONTROLLER_FIELDS
        for field in (WAITING, WAITING_WRITES, WRITE_MODE, QUEUED, BUSY_BANKS):
            if state[c + field] != mark[c + field]:
                steady = False
        if state[c + COLUMN_CLOCK] - mark[c + COLUMN_CLOCK] != delta:
            steady = False
    for b in range(state[L_BANK], state[L_GROUP], BANK_FIELDS):
        for field in (LENGTH, BANK_WRITE_LENGTH, TO_COME, BANK_WRITES_TO_COME, HELD):
            if state[b + field] != mark[b + field]:
                steady = False
    follows = (
        steady
        and state[front + MARKED_RUN] == state[q + RUN]
        and state[front + MARKED_BURST] + period == burst
        and state[front + MARKED_EVENTS] == events
    )
    skipped = 0
    if follows and delta == state[front + MARKED_DELTA] and delta > 0:
        to_new_rows = (state[front + BLOCK] - burst) % state[front + BLOCK]
        bursts = min(to_new_rows, state[q + RUN_LEFT])
        skipped = min(bursts // period - 1, (due - clock) // delta - 2)
        if skipped > 0:
            _repeat(state, mark, latencies, latency_mark, front, skipped, delta)
            state[q + BURST] += skipped * period
            state[q + RUN_LEFT] -= skipped * period
            state[front + ORDER] += skipped * period
            state[s + ADMITTED] += skipped * period
            state[state[L_SERVED] + state[q + REQUEST_TAG] * SERVED_FIELDS + LEFT] -= skipped * period
            state[front + MARKED_RUN] = -1
            return
    state[front + MARKED_RUN] = state[q + RUN]
    state[front + MARKED_BURST] = burst
    state[front + MARKED_DELTA] = delta if follows else -1
    state[front + MARKED_CLOCK] = clock
    state[front + MARKED_EVENTS] = events
    for at in range(state[L_ENTRY]):  # what lies behind that is only moved in time
        mark[at] = state[at]
    for at in range(state[front + LATENCY_TOP]):
        latency_mark[at] = latencies[at]
