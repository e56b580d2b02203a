"""A controller with one read queue and one write queue for all banks: the oldest command that may be issued goes first.

The behaviour is Ramulator 2's (CMU-SAFARI/ramulator2, FR-FCFS that protects row hits, open page): a request whose row
has been opened for it leaves its queue and goes before all others, and its bank is not closed until it is served.
Otherwise the oldest request goes first whose next command (column, precharge or activate) is ready; a row is not closed
while an older request hits it. Writes wait until their queue is nearly full, or no read is left, and then go until it
is nearly empty. Compiled.
"""

from simulator.dram.candidates import (
    add_column,
    add_held,
    collect_columns,
    column_before,
    consider_row,
    entry_served,
    find_row,
    first_arrival,
    remove_column,
    remove_held,
)
from simulator.dram.commands import activate, column, column_ready, precharge, refresh, second_half
from simulator.dram.compiled import compiled
from simulator.dram.queues import append, find_hit, free_entry, new_entry, note_busy, note_idle, unlink
from simulator.dram.state import (
    BANK_FIELDS,
    BEFORE_HIT,
    BUSY_BANKS,
    COLUMN_CLOCK,
    COLUMN_HEAD,
    COLUMN_NEXT,
    COLUMN_ORDER,
    CONTROLLER_FIELDS,
    DEADLINE,
    E_ARRIVAL,
    E_COUNT,
    E_ORDER,
    E_ROW,
    E_TAG,
    E_USED,
    ENTRY_BURSTS,
    ENTRY_FIELDS,
    FINISHED,
    FREED,
    GROUP_AT,
    HEAD,
    HEADER,
    HELD,
    HELD_ARRIVAL,
    HELD_DIRECTION,
    HELD_HEAD,
    HELD_NEXT,
    HELD_ORDER,
    HELD_TAG,
    HIT,
    L_BANK,
    L_ENTRIES,
    L_ENTRY,
    L_FRONT,
    LENGTH,
    NEVER,
    NEXT_REFRESH,
    OPEN_ROW,
    P_READ_QUEUE,
    P_WRITE_HIGH,
    P_WRITE_LOW,
    P_WRITE_QUEUE,
    RANK_AT,
    READ,
    ROW_BANK,
    ROW_CLOCK,
    ROW_ORDER,
    ROW_READY,
    SECOND_HALVES,
    T_RANKS,
    TAIL,
    TRANSFER_CLOCK,
    WAITING,
    WAITING_WRITES,
    WRITE,
    WRITE_MODE,
    Ints,
)
from simulator.dram.trains import serve_train


@compiled
def shared_push(
    state: Ints, controller: int, bank: int, row: int, direction: int, order: int, tag: int, count: int
) -> None:
    """Takes up to ENTRY_BURSTS bursts that follow each other in a row into their queue, when FREED says."""
    c = HEADER + controller * CONTROLLER_FIELDS
    b = state[L_BANK] + bank * BANK_FIELDS
    entries = state[L_ENTRY] + controller * state[L_ENTRIES] * ENTRY_FIELDS
    state[b + LENGTH + direction] += count
    state[c + WAITING + direction] += count
    arrivals = c + FREED
    clock = state[arrivals + count - 1]
    if state[c + COLUMN_CLOCK] < clock:
        state[c + COLUMN_CLOCK] = clock
    if state[c + ROW_CLOCK] < clock:
        state[c + ROW_CLOCK] = clock
    number = state[b + TAIL + direction]
    if number >= 0:
        e = entries + number * ENTRY_FIELDS
        left = state[e + E_COUNT]
        if state[e + E_ORDER] + left == order and state[e + E_ROW] == row and state[e + E_TAG] == tag:
            used = state[e + E_USED]
            more = min(count, ENTRY_BURSTS - used)
            for slot in range(more):
                state[e + E_ARRIVAL + used + slot] = state[arrivals + slot]
            arrivals += more
            state[e + E_USED] = used + more
            state[e + E_COUNT] = left + more
            order += more
            count -= more
    if count > 0:
        number = new_entry(state, controller, c, bank, row, direction, order, tag, 0)
        e = entries + number * ENTRY_FIELDS
        for slot in range(count):
            state[e + E_ARRIVAL + slot] = state[arrivals + slot]
        state[e + E_COUNT] = state[e + E_USED] = count
        hits = state[b + HIT + direction] < 0 and state[b + OPEN_ROW] == row
        first = state[b + HEAD + direction] < 0
        if hits:
            state[b + HIT + direction] = number
            state[b + BEFORE_HIT + direction] = state[b + TAIL + direction]
        append(state, controller, b + HEAD + direction, b + TAIL + direction, number)
        if first:
            note_busy(state, c, bank)
        if direction == state[c + WRITE_MODE]:
            if hits:
                add_column(state, c, b, order)
                if state[c + ROW_BANK] == b:
                    state[c + ROW_BANK] = -1
            elif first:
                consider_row(state, entries, c, b, direction)


@compiled
def _set_write_mode(state: Ints, controller: int, c: int) -> None:
    reads, writes, mode = state[c + WAITING], state[c + WAITING_WRITES], state[c + WRITE_MODE]
    drained = writes < state[P_WRITE_LOW] and reads > 0
    full = writes > state[P_WRITE_HIGH] or reads == 0
    if drained if mode else full:
        state[c + WRITE_MODE] = 1 - mode
        collect_columns(state, controller, c, 1 - mode)


@compiled
def _open(state: Ints, controller: int, c: int, b: int, direction: int, clock: int) -> None:
    """Activates the row of a bank's first request, which is held for it."""
    entries = state[L_ENTRY] + controller * state[L_ENTRIES] * ENTRY_FIELDS
    head = state[b + HEAD + direction]
    e = entries + head * ENTRY_FIELDS
    activate(state, c, b, state[b + GROUP_AT], state[b + RANK_AT], state[e + E_ROW], clock)
    state[b + HELD] = 1
    state[b + HELD_ORDER] = state[e + E_ORDER]
    state[b + HELD_TAG] = state[e + E_TAG]
    state[b + HELD_ARRIVAL] = first_arrival(state, entries, head)
    state[b + HELD_DIRECTION] = direction
    add_held(state, c, b)
    state[e + E_ORDER] += 1
    state[e + E_COUNT] -= 1
    state[b + LENGTH + direction] -= 1
    state[c + WAITING + direction] -= 1
    if state[e + E_COUNT] == 0:
        unlink(state, controller, b + HEAD + direction, b + TAIL + direction, -1, head)
        free_entry(state, controller, c, head)
    find_hit(state, controller, b, READ, True, -1, state[b + HEAD])
    find_hit(state, controller, b, WRITE, True, -1, state[b + HEAD + 1])
    hit = state[b + HIT + direction]
    if hit >= 0:
        add_column(state, c, b, state[entries + hit * ENTRY_FIELDS + E_ORDER])


@compiled
def _close(state: Ints, c: int, b: int, direction: int, clock: int) -> None:
    if state[b + HIT + direction] >= 0:
        remove_column(state, c, b, column_before(state, c, b))
    precharge(state, c, b, clock)


@compiled
def _serve_held(state: Ints, latencies: Ints, controller: int, c: int, b: int, direction: int, clock: int) -> None:
    """Serves the request for which a bank was opened."""
    entries = state[L_ENTRY] + controller * state[L_ENTRIES] * ENTRY_FIELDS
    tag, arrival = state[b + HELD_TAG], state[b + HELD_ARRIVAL]
    column(
        state, latencies, c, b, state[b + GROUP_AT], state[b + RANK_AT], state[b + HELD_DIRECTION], clock, tag, arrival
    )
    state[b + HELD] = 0
    remove_held(state, c, b)
    consider_row(state, entries, c, b, direction)
    if state[b + HEAD] < 0 and state[b + HEAD + 1] < 0:
        note_idle(state, c, (b - state[L_BANK]) // BANK_FIELDS)


@compiled
def _serve_hit(
    state: Ints, latencies: Ints, controller: int, c: int, b: int, before: int, direction: int, clock: int
) -> None:
    """Serves the first hit of a bank; `before`: the bank before it on the list of hits."""
    entries = state[L_ENTRY] + controller * state[L_ENTRIES] * ENTRY_FIELDS
    number = state[b + HIT + direction]
    e = entries + number * ENTRY_FIELDS
    arrival = state[e + E_ARRIVAL + state[e + E_USED] - state[e + E_COUNT]]
    column(state, latencies, c, b, state[b + GROUP_AT], state[b + RANK_AT], direction, clock, state[e + E_TAG], arrival)
    if state[c + ROW_BANK] == b:
        state[c + ROW_BANK] = -1
    state[e + E_ORDER] += 1
    state[e + E_COUNT] -= 1
    state[b + LENGTH + direction] -= 1
    state[c + WAITING + direction] -= 1
    if state[e + E_COUNT] == 0:
        entry_served(state, controller, c, b, before, direction)
        return
    state[b + COLUMN_ORDER] += 1
    if state[b + BEFORE_HIT + direction] >= 0:
        consider_row(state, entries, c, b, direction)


@compiled
def shared_advance(
    state: Ints, latencies: Ints, controller: int, until: int, wanted: int, needed: int, tail: int
) -> int:
    """Issues the controller's commands before clock `until`, or until the full queue of direction `wanted` has room.

    wanted −1: only `until` counts. needed: bursts for which there shall be room; fewer when a request has been served
    or the entry `tail`, behind which they belong, is about to end; −1: they are hits of a bank without others. FREED
    says when there was room for each. Returns the clock that has been reached: everything before it has happened.
    """
    front = state[L_FRONT]
    entries = state[L_ENTRY] + controller * state[L_ENTRIES] * ENTRY_FIELDS
    c = HEADER + controller * CONTROLLER_FIELDS
    room = state[P_WRITE_QUEUE] if wanted else state[P_READ_QUEUE]
    while True:
        freed = 0
        if wanted >= 0:
            freed = room - state[c + WAITING + wanted]
            if freed > 0 and (
                freed >= needed
                or state[front + FINISHED]
                or tail < 0
                or state[entries + tail * ENTRY_FIELDS + E_COUNT] <= 1
            ):
                return state[c + TRANSFER_CLOCK]  # type: ignore[no-any-return]
        column_clock, row_clock = state[c + COLUMN_CLOCK], state[c + ROW_CLOCK]
        clock = min(column_clock, row_clock)
        if clock >= until:
            return until
        due = state[c + NEXT_REFRESH]
        if state[c + BUSY_BANKS] == 0:
            if due < until:
                refresh(state, controller, c, max(due, clock))
                collect_columns(state, controller, c, state[c + WRITE_MODE])
                continue
            state[c + COLUMN_CLOCK] = max(column_clock, until)
            state[c + ROW_CLOCK] = max(row_clock, until)
            return until
        _set_write_mode(state, controller, c)
        direction = state[c + WRITE_MODE]
        pending = clock >= due
        if tail < 0 and (pending or direction != wanted):
            needed = 1  # rows may be closed
        if state[c + COLUMN_HEAD] >= 0 and not pending and state[c + SECOND_HALVES] == 0 and state[T_RANKS] < 3:
            if state[c + ROW_BANK] < 0 or state[c + ROW_READY] < row_clock:
                find_row(state, controller, c, direction)
            limit, most = min(min(until, due), state[c + ROW_READY]), NEVER
            if wanted == direction:
                most = 1 if state[front + FINISHED] else needed - freed
            if direction and state[c + WAITING] > 0:
                most = min(most, state[c + WAITING_WRITES] - state[P_WRITE_LOW] + 1)
            if wanted == direction:
                served = serve_train(
                    state, latencies, controller, c, direction, limit, most, tail, c + FREED + freed, tail < 0
                )
            else:
                served = serve_train(state, latencies, controller, c, direction, limit, most, -1, -1, False)
            if served > 0:
                continue
        best, best_order, best_bank, best_before, best_kind = NEVER, NEVER, -1, -1, -1
        b = state[c + HELD_HEAD]
        while b >= 0:
            ready = column_ready(state, b, state[b + GROUP_AT], state[b + RANK_AT], state[b + HELD_DIRECTION])
            when = max(ready, column_clock)
            order = state[b + HELD_ORDER] - NEVER
            if when < best or (when == best and order < best_order):
                best, best_order, best_bank, best_kind = when, order, b, 0
            b = state[b + HELD_NEXT]
        if not pending:
            before, b = -1, state[c + COLUMN_HEAD]
            while b >= 0:
                when = max(column_ready(state, b, state[b + GROUP_AT], state[b + RANK_AT], direction), column_clock)
                if when < best:
                    best, best_order, best_bank, best_before = when, state[b + COLUMN_ORDER], b, before
                    best_kind = 1
                if best == column_clock:
                    break
                before, b = b, state[b + COLUMN_NEXT]
            if row_clock <= best:
                if state[c + ROW_BANK] < 0 or state[c + ROW_READY] < row_clock:
                    find_row(state, controller, c, direction)
                when = state[c + ROW_READY]
                if when < best or (when == best and state[c + ROW_ORDER] < best_order):
                    best, best_bank, best_kind = when, state[c + ROW_BANK], 2
        if state[c + SECOND_HALVES] and (best > clock or state[c + DEADLINE] <= clock or state[c + SECOND_HALVES] == 4):
            second_half(state, c, clock)
            continue
        if pending and best_bank < 0:
            refresh(state, controller, c, clock)
            collect_columns(state, controller, c, direction)
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
        b = best_bank
        if best_kind == 1:
            _serve_hit(state, latencies, controller, c, b, best_before, direction, best)
        elif best_kind == 0:
            _serve_held(state, latencies, controller, c, b, direction, best)
        else:
            if state[b + OPEN_ROW] < 0:
                _open(state, controller, c, b, direction, best)
            else:
                _close(state, c, b, direction, best)
            state[c + ROW_BANK] = -1
        if wanted >= 0 and room - state[c + WAITING + wanted] > freed:
            state[c + FREED + freed] = best + 1
