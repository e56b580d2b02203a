"""A controller with one read queue and one write queue for all banks: the oldest command that may be issued goes first.

The behaviour is Ramulator 2's (CMU-SAFARI/ramulator2, FR-FCFS that protects row hits, open page): a request whose row
has been opened for it leaves its queue and goes before all others, and its bank is not closed until it is served.
Otherwise the oldest request goes first whose next command (column, precharge or activate) is ready; a row is not closed
while an older request hits it. Writes wait until their queue is nearly full, or no read is left, and then go until it
is nearly empty. Compiled.
"""

from simulator.dram.commands import activate, activate_ready, column, column_ready, precharge, refresh, second_half
from simulator.dram.compiled import compiled
from simulator.dram.queues import append, find_hit, free_entry, new_entry, note_busy, note_idle, unlink
from simulator.dram.state import (
    BANK_FIELDS,
    BANK_PRECHARGE,
    BEFORE_HIT,
    BUSY_BANKS,
    COLUMN_CLOCK,
    CONTROLLER_FIELDS,
    DEADLINE,
    E_ARRIVAL,
    E_ORDER,
    E_ROW,
    E_TAG,
    ENTRY_FIELDS,
    GROUP_AT,
    HEAD,
    HEADER,
    HELD,
    HELD_ARRIVAL,
    HELD_DIRECTION,
    HELD_ORDER,
    HELD_TAG,
    HIT,
    L_BANK,
    L_ENTRIES,
    L_ENTRY,
    LENGTH,
    LIST,
    NEVER,
    NEXT,
    NEXT_REFRESH,
    NOT_BEFORE,
    OPEN_ROW,
    P_READ_QUEUE,
    P_WRITE_HIGH,
    P_WRITE_LOW,
    P_WRITE_QUEUE,
    RANK_AT,
    READ,
    ROW_CLOCK,
    SECOND_HALVES,
    TAIL,
    TRANSFER_CLOCK,
    WAITING,
    WAITING_WRITES,
    WRITE,
    WRITE_MODE,
    Ints,
)


@compiled
def shared_push(
    state: Ints, controller: int, bank: int, row: int, direction: int, order: int, tag: int, clock: int
) -> None:
    """Takes a burst into its queue."""
    c = HEADER + controller * CONTROLLER_FIELDS
    b = state[L_BANK] + bank * BANK_FIELDS
    number = new_entry(state, controller, c, bank, row, direction, order, tag, clock)
    if state[b + HIT + direction] < 0 and state[b + OPEN_ROW] == row:
        state[b + HIT + direction] = number
        state[b + BEFORE_HIT + direction] = state[b + TAIL + direction]
    append(state, controller, b + HEAD + direction, b + TAIL + direction, number)
    state[b + LENGTH + direction] += 1
    state[b + NOT_BEFORE] = 0
    state[c + WAITING + direction] += 1
    note_busy(state, c, bank)
    if state[c + COLUMN_CLOCK] < clock:
        state[c + COLUMN_CLOCK] = clock
    if state[c + ROW_CLOCK] < clock:
        state[c + ROW_CLOCK] = clock


@compiled
def _set_write_mode(state: Ints, c: int) -> None:
    reads, writes, mode = state[c + WAITING], state[c + WAITING_WRITES], state[c + WRITE_MODE]
    drained = writes < state[P_WRITE_LOW] and reads > 0
    full = writes > state[P_WRITE_HIGH] or reads == 0
    if drained if mode else full:
        state[c + WRITE_MODE] = 1 - mode
        for place in range(state[c + BUSY_BANKS]):
            state[state[L_BANK] + state[c + LIST + place] * BANK_FIELDS + NOT_BEFORE] = 0


@compiled
def shared_advance(state: Ints, latencies: Ints, controller: int, until: int, wanted: int) -> int:
    """Issues the controller's commands before clock `until`, or until the queue of direction `wanted` takes a burst.

    wanted −1: only `until` counts. Returns the clock that has been reached: everything before it has happened.
    """
    c = HEADER + controller * CONTROLLER_FIELDS
    entries = state[L_ENTRY] + controller * state[L_ENTRIES] * ENTRY_FIELDS
    room = state[P_WRITE_QUEUE] if wanted else state[P_READ_QUEUE]
    while True:
        if wanted >= 0 and state[c + WAITING + wanted] < room:
            return state[c + TRANSFER_CLOCK]  # type: ignore[no-any-return]
        column_clock, row_clock = state[c + COLUMN_CLOCK], state[c + ROW_CLOCK]
        clock = min(column_clock, row_clock)
        if clock >= until:
            return until
        due = state[c + NEXT_REFRESH]
        busy = state[c + BUSY_BANKS]
        if busy == 0:
            if due < until:
                refresh(state, controller, c, max(due, clock))
                continue
            state[c + COLUMN_CLOCK] = max(column_clock, until)
            state[c + ROW_CLOCK] = max(row_clock, until)
            return until
        _set_write_mode(state, c)
        direction = state[c + WRITE_MODE]
        pending = clock >= due
        best, best_order, best_bank, best_kind, best_entry, best_before = NEVER, NEVER, -1, -1, -1, -1
        for place in range(busy):
            bank = state[c + LIST + place]
            b = state[L_BANK] + bank * BANK_FIELDS
            if state[b + NOT_BEFORE] > best:
                continue
            g, r = state[b + GROUP_AT], state[b + RANK_AT]
            soonest = NEVER
            held = state[b + HELD]
            if held:
                when = max(column_ready(state, b, g, r, state[b + HELD_DIRECTION]), column_clock)
                order = state[b + HELD_ORDER] - NEVER
                soonest = when
                if when < best or (when == best and order < best_order):
                    best, best_order, best_bank, best_kind = when, order, bank, 0
            head = state[b + HEAD + direction]
            if head < 0 or pending:
                state[b + NOT_BEFORE] = soonest if held and head < 0 else 0
                continue
            opened = state[b + OPEN_ROW]
            e = entries + head * ENTRY_FIELDS
            if opened < 0:
                when = max(activate_ready(state, b, g, r), row_clock)
                order = state[e + E_ORDER]
                if when < best or (when == best and order < best_order):
                    best, best_order, best_bank, best_kind = when, order, bank, 1
                    best_entry, best_before = head, -1
                state[b + NOT_BEFORE] = min(when, soonest)
                continue
            hit = state[b + HIT + direction]
            if hit != head and not held:
                protected = hit >= 0 and state[entries + hit * ENTRY_FIELDS + E_ARRIVAL] <= state[e + E_ARRIVAL]
                if not protected:
                    when = max(state[b + BANK_PRECHARGE], row_clock)
                    soonest = when
                    order = state[e + E_ORDER]
                    if when < best or (when == best and order < best_order):
                        best, best_order, best_bank, best_kind = when, order, bank, 3
            if hit >= 0:
                when = max(column_ready(state, b, g, r, direction), column_clock)
                soonest = min(soonest, when)
                order = state[entries + hit * ENTRY_FIELDS + E_ORDER]
                if when < best or (when == best and order < best_order):
                    best, best_order, best_bank, best_kind = when, order, bank, 2
                    best_entry, best_before = hit, state[b + BEFORE_HIT + direction]
            state[b + NOT_BEFORE] = 0 if soonest == NEVER else soonest
        if state[c + SECOND_HALVES] and (best > clock or state[c + DEADLINE] <= clock or state[c + SECOND_HALVES] == 4):
            second_half(state, c, clock)
            continue
        if pending and best_bank < 0:
            refresh(state, controller, c, clock)
            continue
        if not pending and due <= best and due < until:
            state[c + COLUMN_CLOCK] = max(column_clock, due)
            state[c + ROW_CLOCK] = max(row_clock, due)
            continue
        if best >= until:
            state[c + COLUMN_CLOCK] = max(column_clock, until)
            state[c + ROW_CLOCK] = max(row_clock, until)
            return until
        state[c + TRANSFER_CLOCK] = best + 1
        b = state[L_BANK] + best_bank * BANK_FIELDS
        g, r = state[b + GROUP_AT], state[b + RANK_AT]
        state[b + NOT_BEFORE] = 0
        if best_kind == 3:
            precharge(state, c, b, best)
            continue
        if best_kind == 0:
            tag, arrival = state[b + HELD_TAG], state[b + HELD_ARRIVAL]
            column(state, latencies, c, b, g, r, state[b + HELD_DIRECTION], best, tag, arrival)
            state[b + HELD] = 0
        else:
            e = entries + best_entry * ENTRY_FIELDS
            tag, arrival = state[e + E_TAG], state[e + E_ARRIVAL]
            if best_kind == 2:
                column(state, latencies, c, b, g, r, direction, best, tag, arrival)
            else:
                activate(state, c, b, g, r, state[e + E_ROW], best)
                state[b + HELD] = 1
                state[b + HELD_ORDER] = state[e + E_ORDER]
                state[b + HELD_TAG] = tag
                state[b + HELD_ARRIVAL] = arrival
                state[b + HELD_DIRECTION] = direction
            following = state[e + NEXT]
            unlink(state, controller, b + HEAD + direction, b + TAIL + direction, best_before, best_entry)
            if best_kind == 2:
                find_hit(state, controller, b, direction, True, best_before, following)
            else:
                find_hit(state, controller, b, READ, True, -1, state[b + HEAD])
                find_hit(state, controller, b, WRITE, True, -1, state[b + HEAD + 1])
            free_entry(state, controller, c, best_entry)
            state[b + LENGTH + direction] -= 1
            state[c + WAITING + direction] -= 1
        if not state[b + HELD] and state[b + HEAD] < 0 and state[b + HEAD + 1] < 0:
            note_idle(state, c, best_bank)
