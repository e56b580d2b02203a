"""Queues as linked lists of entries in the flat state. Compiled."""

from simulator.dram.compiled import compiled
from simulator.dram.state import (
    BANK_FIELDS,
    BEFORE_HIT,
    BUSY_BANKS,
    E_ARRIVAL,
    E_BANK,
    E_COUNT,
    E_DIRECTION,
    E_ORDER,
    E_ROW,
    E_TAG,
    E_USED,
    ENTRY_FIELDS,
    FREE,
    HIT,
    L_BANK,
    L_ENTRIES,
    L_ENTRY,
    LIST,
    NEXT,
    OPEN_ROW,
    PLACE,
    Ints,
)


@compiled
def new_entry(
    state: Ints, controller: int, c: int, bank: int, row: int, direction: int, order: int, tag: int, clock: int
) -> int:
    """A filled-in entry of one burst from the controller's free ones: its number."""
    number = state[c + FREE]
    e = state[L_ENTRY] + (controller * state[L_ENTRIES] + number) * ENTRY_FIELDS
    state[c + FREE] = state[e + NEXT]
    state[e + NEXT] = -1
    state[e + E_ROW] = row
    state[e + E_ORDER] = order
    state[e + E_TAG] = tag
    state[e + E_ARRIVAL] = clock
    state[e + E_DIRECTION] = direction
    state[e + E_BANK] = bank
    state[e + E_COUNT] = state[e + E_USED] = 1
    return number  # type: ignore[no-any-return]


@compiled
def append(state: Ints, controller: int, head: int, tail: int, number: int) -> None:
    """Puts an entry at the end of the list whose head and tail are kept at these places of the state."""
    if state[tail] < 0:
        state[head] = number
    else:
        state[state[L_ENTRY] + (controller * state[L_ENTRIES] + state[tail]) * ENTRY_FIELDS + NEXT] = number
    state[tail] = number


@compiled
def unlink(state: Ints, controller: int, head: int, tail: int, before: int, number: int) -> None:
    """Takes an entry out of its list; `before` is the entry before it, −1 at the head."""
    entries = state[L_ENTRY] + controller * state[L_ENTRIES] * ENTRY_FIELDS
    following = state[entries + number * ENTRY_FIELDS + NEXT]
    if before < 0:
        state[head] = following
    else:
        state[entries + before * ENTRY_FIELDS + NEXT] = following
    if state[tail] == number:
        state[tail] = before


@compiled
def find_hit(
    state: Ints, controller: int, b: int, direction: int, any_direction: bool, before: int, number: int
) -> None:
    """Looks for the first entry of `direction` that hits the open row, from `number` (behind `before`) on."""
    entries = state[L_ENTRY] + controller * state[L_ENTRIES] * ENTRY_FIELDS
    row = state[b + OPEN_ROW]
    while number >= 0:
        e = entries + number * ENTRY_FIELDS
        if state[e + E_ROW] == row and (any_direction or state[e + E_DIRECTION] == direction):
            break
        before = number
        number = state[e + NEXT]
    state[b + HIT + direction] = number
    state[b + BEFORE_HIT + direction] = before


@compiled
def free_entry(state: Ints, controller: int, c: int, number: int) -> None:
    """Gives an entry back."""
    state[state[L_ENTRY] + (controller * state[L_ENTRIES] + number) * ENTRY_FIELDS + NEXT] = state[c + FREE]
    state[c + FREE] = number


@compiled
def note_busy(state: Ints, c: int, bank: int) -> None:
    """Puts a bank on its controller's list of banks that have something to do, once."""
    b = state[L_BANK] + bank * BANK_FIELDS
    if state[b + PLACE] < 0:
        place = state[c + BUSY_BANKS]
        state[c + LIST + place] = bank
        state[b + PLACE] = place
        state[c + BUSY_BANKS] = place + 1


@compiled
def note_idle(state: Ints, c: int, bank: int) -> None:
    """Takes a bank off that list."""
    b = state[L_BANK] + bank * BANK_FIELDS
    place, last = state[b + PLACE], state[c + BUSY_BANKS] - 1
    moved = state[c + LIST + last]
    state[c + LIST + place] = moved
    state[state[L_BANK] + moved * BANK_FIELDS + PLACE] = place
    state[b + PLACE] = -1
    state[c + BUSY_BANKS] = last
