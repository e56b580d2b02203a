"""What a controller with shared queues may do next, kept up to date from command to command. Compiled.

Looking at all banks for every command is what such a model would spend its time on. So the banks whose open row is hit
stand in a list, oldest hit first: the first one that can be served as soon as the bus and the pins allow is the one. A
held request stands in a list of its own. Of activates and precharges the first is remembered, until something happens
that may change it.
"""

from simulator.dram.commands import activate_ready
from simulator.dram.compiled import compiled
from simulator.dram.queues import find_hit, free_entry, note_idle, unlink
from simulator.dram.state import (
    BANK_FIELDS,
    BANK_PRECHARGE,
    BEFORE_HIT,
    BUSY_BANKS,
    COLUMN_HEAD,
    COLUMN_NEXT,
    COLUMN_ORDER,
    COLUMN_TAIL,
    E_ARRIVAL,
    E_COUNT,
    E_ORDER,
    E_USED,
    ENTRY_FIELDS,
    GROUP_AT,
    HEAD,
    HELD,
    HELD_HEAD,
    HELD_NEXT,
    HIT,
    L_BANK,
    L_ENTRIES,
    L_ENTRY,
    LIST,
    NEVER,
    NEXT,
    OPEN_ROW,
    RANK_AT,
    ROW_BANK,
    ROW_CLOCK,
    ROW_ORDER,
    ROW_READY,
    TAIL,
    Ints,
)


@compiled
def add_column(state: Ints, c: int, b: int, order: int) -> None:
    """Puts a bank with a hit of this order on the list."""
    state[b + COLUMN_ORDER] = order
    tail = state[c + COLUMN_TAIL]
    if tail < 0:
        state[c + COLUMN_HEAD] = state[c + COLUMN_TAIL] = b
        state[b + COLUMN_NEXT] = -1
        return
    if state[tail + COLUMN_ORDER] < order:
        state[tail + COLUMN_NEXT] = b
        state[c + COLUMN_TAIL] = b
        state[b + COLUMN_NEXT] = -1
        return
    before, following = -1, state[c + COLUMN_HEAD]
    while state[following + COLUMN_ORDER] < order:
        before, following = following, state[following + COLUMN_NEXT]
    state[b + COLUMN_NEXT] = following
    if before < 0:
        state[c + COLUMN_HEAD] = b
    else:
        state[before + COLUMN_NEXT] = b


@compiled
def remove_column(state: Ints, c: int, b: int, before: int) -> None:
    """Takes a bank off the list; `before` is the bank before it, −1 at the head."""
    following = state[b + COLUMN_NEXT]
    if before < 0:
        state[c + COLUMN_HEAD] = following
    else:
        state[before + COLUMN_NEXT] = following
    if following < 0:
        state[c + COLUMN_TAIL] = before


@compiled
def column_before(state: Ints, c: int, b: int) -> int:
    """The bank before a bank that is on the list, −1 at the head."""
    before, at = -1, state[c + COLUMN_HEAD]
    while at != b:
        before, at = at, state[at + COLUMN_NEXT]
    return before


@compiled
def add_held(state: Ints, c: int, b: int) -> None:
    """Puts a bank on the list of those with a held request."""
    state[b + HELD_NEXT] = state[c + HELD_HEAD]
    state[c + HELD_HEAD] = b


@compiled
def remove_held(state: Ints, c: int, b: int) -> None:
    """Takes a bank off that list."""
    if state[c + HELD_HEAD] == b:
        state[c + HELD_HEAD] = state[b + HELD_NEXT]
        return
    at = state[c + HELD_HEAD]
    while state[at + HELD_NEXT] != b:
        at = state[at + HELD_NEXT]
    state[at + HELD_NEXT] = state[b + HELD_NEXT]


@compiled
def collect_columns(state: Ints, controller: int, c: int, direction: int) -> None:
    """Makes the list of hits of a direction anew, and forgets the row command."""
    entries = state[L_ENTRY] + controller * state[L_ENTRIES] * ENTRY_FIELDS
    state[c + COLUMN_HEAD] = state[c + COLUMN_TAIL] = state[c + ROW_BANK] = -1
    for place in range(state[c + BUSY_BANKS]):
        b = state[L_BANK] + state[c + LIST + place] * BANK_FIELDS
        hit = state[b + HIT + direction]
        if hit >= 0:
            add_column(state, c, b, state[entries + hit * ENTRY_FIELDS + E_ORDER])


@compiled
def row_ready(state: Ints, entries: int, b: int, direction: int) -> int:
    """When the bank may be activated or precharged for its first request, NEVER when it needs neither.

    A row is not closed while a request is held for it, nor while one that came no later than the first hits it.
    """
    head = state[b + HEAD + direction]
    if head < 0:
        return NEVER
    if state[b + OPEN_ROW] < 0:
        return activate_ready(state, b, state[b + GROUP_AT], state[b + RANK_AT])
    hit = state[b + HIT + direction]
    if hit == head or state[b + HELD]:
        return NEVER
    if hit >= 0 and first_arrival(state, entries, hit) <= first_arrival(state, entries, head):
        return NEVER
    return state[b + BANK_PRECHARGE]  # type: ignore[no-any-return]


@compiled
def first_arrival(state: Ints, entries: int, number: int) -> int:
    """When the first of an entry's bursts came."""
    e = entries + number * ENTRY_FIELDS
    return state[e + E_ARRIVAL + state[e + E_USED] - state[e + E_COUNT]]  # type: ignore[no-any-return]


@compiled
def consider_row(state: Ints, entries: int, c: int, b: int, direction: int) -> None:
    """Remembers the row command of a bank that has changed, where it comes before the one remembered."""
    if state[c + ROW_BANK] < 0:
        return
    ready = row_ready(state, entries, b, direction)
    if ready > state[c + ROW_READY]:
        return
    order = state[entries + state[b + HEAD + direction] * ENTRY_FIELDS + E_ORDER] if ready < NEVER else NEVER
    if ready < state[c + ROW_READY] or order < state[c + ROW_ORDER]:
        state[c + ROW_READY], state[c + ROW_ORDER], state[c + ROW_BANK] = ready, order, b


@compiled
def find_row(state: Ints, controller: int, c: int, direction: int) -> None:
    """Looks through all banks for the first row command; ROW_BANK is 0 where there is none."""
    entries = state[L_ENTRY] + controller * state[L_ENTRIES] * ENTRY_FIELDS
    now = state[c + ROW_CLOCK]
    best, best_order, best_bank = NEVER, NEVER, 0
    for place in range(state[c + BUSY_BANKS]):
        b = state[L_BANK] + state[c + LIST + place] * BANK_FIELDS
        ready = row_ready(state, entries, b, direction)
        if ready > best:
            continue
        if ready < NEVER:
            ready = max(ready, now)
            order = state[entries + state[b + HEAD + direction] * ENTRY_FIELDS + E_ORDER]
            if ready < best or order < best_order:
                best, best_order, best_bank = ready, order, b
    state[c + ROW_READY], state[c + ROW_ORDER], state[c + ROW_BANK] = best, best_order, best_bank


@compiled
def entry_served(state: Ints, controller: int, c: int, b: int, before: int, direction: int) -> None:
    """Takes an entry with no bursts left, a bank's hit, off its queue; `before`: the bank before it on the list."""
    entries = state[L_ENTRY] + controller * state[L_ENTRIES] * ENTRY_FIELDS
    number, number_before = state[b + HIT + direction], state[b + BEFORE_HIT + direction]
    following = state[entries + number * ENTRY_FIELDS + NEXT]
    unlink(state, controller, b + HEAD + direction, b + TAIL + direction, number_before, number)
    free_entry(state, controller, c, number)
    remove_column(state, c, b, before)
    find_hit(state, controller, b, direction, True, number_before, following)
    hit = state[b + HIT + direction]
    if hit >= 0:
        add_column(state, c, b, state[entries + hit * ENTRY_FIELDS + E_ORDER])
    consider_row(state, entries, c, b, direction)
    if not state[b + HELD] and state[b + HEAD] < 0 and state[b + HEAD + 1] < 0:
        note_idle(state, c, (b - state[L_BANK]) // BANK_FIELDS)
