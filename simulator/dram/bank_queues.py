"""A controller with a queue per bank behind a read queue and a write buffer: banks take turns.

The behaviour is DRAMsim3's (umd-memsys/DRAMsim3, PER_BANK queues, open page): each clock one transaction moves from the
read queue, or the write buffer while that is drained, to its bank's queue. Commands go to the banks in turn; within a
bank to the first in the queue that is ready. Only the head of a queue may close a row, and only when nothing behind it
hits the row or enough hits have been served. The write buffer is drained once full, by as many writes as it held.
Compiled.
"""

from simulator.dram.commands import activate, activate_ready, column, column_ready, precharge, refresh
from simulator.dram.compiled import compiled
from simulator.dram.queues import append, find_hit, free_entry, new_entry, note_busy, note_idle, unlink
from simulator.dram.state import (
    BANK_FIELDS,
    BANK_HITS,
    BANK_PRECHARGE,
    BEFORE_HIT,
    BEST,
    BEST_BANK,
    BEST_BEFORE,
    BEST_ENTRY,
    BEST_KIND,
    BUSY_BANKS,
    COLUMN_CLOCK,
    CONTROLLER_FIELDS,
    E_ARRIVAL,
    E_BANK,
    E_DIRECTION,
    E_ROW,
    E_TAG,
    ENTRY_FIELDS,
    GROUP_AT,
    HEAD,
    HEADER,
    HEADS,
    HIT,
    L_BANK,
    L_BANKS,
    L_ENTRIES,
    L_ENTRY,
    LENGTH,
    LIST,
    NEVER,
    NEXT,
    NEXT_REFRESH,
    NOT_BEFORE,
    OPEN_ROW,
    P_BANK_QUEUE,
    P_HIT_LIMIT,
    P_READ_QUEUE,
    P_WRITE_HIGH,
    P_WRITE_LOW,
    P_WRITE_QUEUE,
    QUEUED,
    RANK_AT,
    READ,
    READY,
    READY_WRITES,
    ROW_CLOCK,
    TAIL,
    TAILS,
    TO_COME,
    TRANSFER_CLOCK,
    TURN,
    WAITING,
    WAITING_WRITES,
    WRITE,
    WRITE_MODE,
    Ints,
)


@compiled
def banked_push(
    state: Ints, controller: int, bank: int, row: int, direction: int, order: int, tag: int, clock: int
) -> None:
    """Takes a burst into the read queue or the write buffer."""
    c = HEADER + controller * CONTROLLER_FIELDS
    number = new_entry(state, controller, c, bank, row, direction, order, tag, clock)
    append(state, controller, c + HEADS + direction, c + TAILS + direction, number)
    state[c + WAITING + direction] += 1
    b = state[L_BANK] + bank * BANK_FIELDS
    state[b + TO_COME + direction] += 1
    if state[b + LENGTH] < state[P_BANK_QUEUE]:
        state[c + READY + direction] += 1
    if state[c + TRANSFER_CLOCK] < clock:
        state[c + TRANSFER_CLOCK] = clock


@compiled
def _set_direction(state: Ints, c: int) -> int:
    """Which way transactions move next: writes while the buffer is drained. Returns the direction."""
    if state[c + WRITE_MODE] == 0:
        writes = state[c + WAITING_WRITES]
        if writes >= state[P_WRITE_HIGH] or (writes > state[P_WRITE_LOW] and state[c + QUEUED] == 0):
            state[c + WRITE_MODE] = writes
    return WRITE if state[c + WRITE_MODE] > 0 else READ


@compiled
def _transfer(state: Ints, controller: int, c: int, direction: int) -> None:
    """Moves the first transaction whose bank has room; there is one."""
    entries = state[L_ENTRY] + controller * state[L_ENTRIES] * ENTRY_FIELDS
    number, before = state[c + HEADS + direction], -1
    while number >= 0:
        e = entries + number * ENTRY_FIELDS
        bank = state[e + E_BANK]
        b = state[L_BANK] + bank * BANK_FIELDS
        if state[b + LENGTH] < state[P_BANK_QUEUE]:
            unlink(state, controller, c + HEADS + direction, c + TAILS + direction, before, number)
            state[e + NEXT] = -1
            if state[b + HEAD] < 0:
                state[c + BEST] = -1
            if state[b + HIT + direction] < 0 and state[b + OPEN_ROW] == state[e + E_ROW]:
                state[c + BEST] = -1
                state[b + NOT_BEFORE] = 0
                state[b + HIT + direction] = number
                state[b + BEFORE_HIT + direction] = state[b + TAIL]
            append(state, controller, b + HEAD, b + TAIL, number)
            state[b + LENGTH] += 1
            state[b + TO_COME + direction] -= 1
            state[c + READY + direction] -= 1
            if state[b + LENGTH] == state[P_BANK_QUEUE]:
                state[c + READY] -= state[b + TO_COME]
                state[c + READY_WRITES] -= state[b + TO_COME + 1]
            state[c + QUEUED] += 1
            state[c + WAITING + direction] -= 1
            if direction:
                state[c + WRITE_MODE] -= 1
            if state[b + LENGTH] == 1:
                state[b + NOT_BEFORE] = 0
                note_busy(state, c, bank)
            return
        before = number
        number = state[e + NEXT]


@compiled
def banked_advance(state: Ints, latencies: Ints, controller: int, until: int, wanted: int) -> int:
    """Issues the controller's commands before clock `until`, or until the queue of direction `wanted` takes a burst.

    wanted −1: only `until` counts. Returns the clock that has been reached: everything before it has happened.
    """
    c = HEADER + controller * CONTROLLER_FIELDS
    entries = state[L_ENTRY] + controller * state[L_ENTRIES] * ENTRY_FIELDS
    first = controller * state[L_BANKS]
    room = state[P_WRITE_QUEUE] if wanted else state[P_READ_QUEUE]
    while True:
        if wanted >= 0 and state[c + WAITING + wanted] < room:
            return state[c + TRANSFER_CLOCK]  # type: ignore[no-any-return]
        column_clock, row_clock = state[c + COLUMN_CLOCK], state[c + ROW_CLOCK]
        if column_clock >= until and row_clock >= until and state[c + TRANSFER_CLOCK] >= until:
            return until
        if state[c + BEST] < 0:
            best, best_turn, best_bank, best_kind, best_entry, best_before = NEVER, NEVER, -1, -1, -1, -1
            for place in range(state[c + BUSY_BANKS]):
                bank = state[c + LIST + place]
                b = state[L_BANK] + bank * BANK_FIELDS
                if state[b + NOT_BEFORE] > best:
                    continue
                g, r = state[b + GROUP_AT], state[b + RANK_AT]
                opened = state[b + OPEN_ROW]
                entry, entry_before = state[b + HEAD], -1
                if opened < 0:
                    when, kind = max(activate_ready(state, b, g, r), row_clock), 1
                else:
                    when, kind = NEVER, -1
                    head = entry
                    read, write = state[b + HIT], state[b + HIT + 1]
                    if read >= 0:
                        when, kind = max(column_ready(state, b, g, r, READ), column_clock), 2
                        entry, entry_before = read, state[b + BEFORE_HIT]
                    if write >= 0:
                        ready = max(column_ready(state, b, g, r, WRITE), column_clock)
                        if ready < when or (ready == when and write == head):
                            when, kind, entry, entry_before = ready, 2, write, state[b + BEFORE_HIT + 1]
                    if head != read and head != write and (kind < 0 or state[b + BANK_HITS] >= state[P_HIT_LIMIT]):
                        ready = max(state[b + BANK_PRECHARGE], row_clock)
                        if ready <= when:
                            when, kind = ready, 3
                state[b + NOT_BEFORE] = when
                turn = bank - first - state[c + TURN] - 1
                if turn < 0:
                    turn += state[L_BANKS]
                if when < best or (when == best and turn < best_turn):
                    best, best_turn, best_bank, best_kind = when, turn, bank, kind
                    best_entry, best_before = entry, entry_before
            state[c + BEST] = best
            state[c + BEST_BANK] = best_bank
            state[c + BEST_KIND] = best_kind
            state[c + BEST_ENTRY] = best_entry
            state[c + BEST_BEFORE] = best_before
        best = state[c + BEST]
        clock = state[c + TRANSFER_CLOCK]
        if clock < best and clock < until:
            direction = _set_direction(state, c)
            if state[c + READY + direction] > 0:
                _transfer(state, controller, c, direction)
                state[c + TRANSFER_CLOCK] = clock + 1
                state[c + COLUMN_CLOCK] = max(column_clock, clock + 1)
                state[c + ROW_CLOCK] = max(row_clock, clock + 1)
                continue
            state[c + TRANSFER_CLOCK] = min(best, until)
        due = state[c + NEXT_REFRESH]
        if due <= best and due < until:
            refresh(state, controller, c, due)
            state[c + BEST] = -1
            state[c + COLUMN_CLOCK] = max(column_clock, due)
            state[c + ROW_CLOCK] = max(row_clock, due)
            continue
        if best >= until:
            state[c + COLUMN_CLOCK] = max(column_clock, until)
            state[c + ROW_CLOCK] = max(row_clock, until)
            return until
        best_bank, best_entry = state[c + BEST_BANK], state[c + BEST_ENTRY]
        best_kind, best_before = state[c + BEST_KIND], state[c + BEST_BEFORE]
        state[c + BEST] = -1
        b = state[L_BANK] + best_bank * BANK_FIELDS
        g, r = state[b + GROUP_AT], state[b + RANK_AT]
        e = entries + best_entry * ENTRY_FIELDS
        state[b + NOT_BEFORE] = 0
        if best_kind == 1:
            activate(state, c, b, g, r, state[e + E_ROW], best)
            find_hit(state, controller, b, READ, False, -1, state[b + HEAD])
            find_hit(state, controller, b, WRITE, False, -1, state[b + HEAD])
        elif best_kind == 3:
            precharge(state, c, b, best)
        else:
            tag, arrival, direction = state[e + E_TAG], state[e + E_ARRIVAL], state[e + E_DIRECTION]
            column(state, latencies, c, b, g, r, direction, best, tag, arrival)
            following = state[e + NEXT]
            unlink(state, controller, b + HEAD, b + TAIL, best_before, best_entry)
            find_hit(state, controller, b, direction, False, best_before, following)
            if state[b + BEFORE_HIT + 1 - direction] == best_entry:
                state[b + BEFORE_HIT + 1 - direction] = best_before
            free_entry(state, controller, c, best_entry)
            state[b + LENGTH] -= 1
            state[c + QUEUED] -= 1
            if state[b + LENGTH] == state[P_BANK_QUEUE] - 1:
                state[c + READY] += state[b + TO_COME]
                state[c + READY_WRITES] += state[b + TO_COME + 1]
            if state[b + HEAD] < 0:
                note_idle(state, c, best_bank)
        state[c + TURN] = best_bank - first
