"""Row hits that follow each other without a choice, served in one go. Compiled.

While the oldest hit of a rank and the oldest one in another bank group take turns at the distance that the rank asks
for, no other hit can come before either: those of the first one's group are not ready in between, all others are
younger. So they go on until one of them ends, or until the first activate, precharge, refresh or held request is due.
Ranks that share a command bus do so side by side.
"""

from simulator.dram.candidates import column_before, entry_served, first_arrival
from simulator.dram.commands import account_gap, column_ready, note_latency, reads_done
from simulator.dram.compiled import compiled
from simulator.dram.state import (
    BANK_HITS,
    BANK_PRECHARGE,
    BANK_READ,
    BUSY_CLOCKS,
    COLUMN_CLOCK,
    COLUMN_HEAD,
    COLUMN_NEXT,
    COLUMN_ORDER,
    E_ARRIVAL,
    E_COUNT,
    E_ORDER,
    E_TAG,
    E_USED,
    ENTRY_FIELDS,
    GROUP_AT,
    GROUP_READ,
    HEAD,
    HELD_DIRECTION,
    HELD_HEAD,
    HELD_NEXT,
    HIT,
    HIT_COUNT,
    L_ENTRIES,
    L_ENTRY,
    L_SERVED,
    LAST_DIRECTION,
    LEFT,
    LENGTH,
    NEVER,
    PINS_FREE,
    RANK_AT,
    RANK_READ,
    RANK_WRITE,
    READ,
    READ_COUNT,
    ROW_BANK,
    ROW_CLOCK,
    SERVED_FIELDS,
    SYNC_END,
    T_BURST,
    T_CLOCK_SYNC,
    T_DUAL_BUS,
    T_OTHER_GROUP,
    T_RANKS,
    T_READ_LATENCY,
    T_READ_TO_PRECHARGE,
    T_READ_TO_WRITE,
    T_SAME_GROUP,
    T_WRITE_LATENCY,
    T_WRITE_TO_PRECHARGE,
    T_WRITE_TO_READ_GROUP,
    T_WRITE_TO_READ_OTHER,
    TRAIN_CLOCK,
    TRAIN_COUNT,
    TRANSFER_CLOCK,
    WAITING,
    WRITE_COUNT,
    Ints,
)


@compiled
def _undisturbed(state: Ints, entries: int, b: int, direction: int) -> bool:
    """Whether serving a bank's hits does not change what else it may do: it may be precharged by now, or not at all."""
    hit, head = state[b + HIT + direction], state[b + HEAD + direction]
    return hit == head or first_arrival(state, entries, hit) > first_arrival(state, entries, head)


@compiled
def _left(state: Ints, entries: int, b: int, direction: int) -> int:
    """Bursts that are left of the request to which a bank's hit belongs; NEVER for writes and without a bank."""
    if b < 0 or direction:
        return NEVER
    tag = state[entries + state[b + HIT + direction] * ENTRY_FIELDS + E_TAG]
    return state[state[L_SERVED] + tag * SERVED_FIELDS + LEFT]  # type: ignore[no-any-return]


@compiled
def _finish(state: Ints, controller: int, c: int, b: int, before: int, direction: int) -> None:
    """Draws up what a train has done to one of its banks; `before`: the bank before it on the list of hits."""
    entries = state[L_ENTRY] + controller * state[L_ENTRIES] * ENTRY_FIELDS
    served, clock = state[b + TRAIN_COUNT], state[b + TRAIN_CLOCK]
    number = state[b + HIT + direction]
    e = entries + number * ENTRY_FIELDS
    g, r = state[b + GROUP_AT], state[b + RANK_AT]
    state[b + TRAIN_COUNT] = 0
    state[c + HIT_COUNT] += served if state[b + BANK_HITS] > 0 else served - 1
    state[b + BANK_HITS] += served
    state[b + LENGTH + direction] -= served
    state[c + WAITING + direction] -= served
    state[r + BUSY_CLOCKS] += served * state[T_BURST]
    if direction == READ:
        state[c + READ_COUNT] += served
        state[r + RANK_WRITE] = max(state[r + RANK_WRITE], clock + state[T_READ_TO_WRITE])
        state[b + BANK_PRECHARGE] = max(state[b + BANK_PRECHARGE], clock + state[T_READ_TO_PRECHARGE])
        reads_done(state, state[e + E_TAG], served, clock + state[T_READ_LATENCY] + state[T_BURST])
    else:
        state[c + WRITE_COUNT] += served
        state[r + RANK_READ] = max(state[r + RANK_READ], clock + state[T_WRITE_TO_READ_OTHER])
        state[g + GROUP_READ] = max(state[g + GROUP_READ], clock + state[T_WRITE_TO_READ_GROUP])
        state[b + BANK_PRECHARGE] = max(state[b + BANK_PRECHARGE], clock + state[T_WRITE_TO_PRECHARGE])
    if state[c + ROW_BANK] == b:
        state[c + ROW_BANK] = -1
    if state[e + E_COUNT] == 0:
        entry_served(state, controller, c, b, before, direction)


@compiled
def serve_train(
    state: Ints,
    latencies: Ints,
    controller: int,
    c: int,
    direction: int,
    limit: int,
    most: int,
    tail: int,
    freed: int,
    joined: bool,
) -> int:
    """Serves up to `most` hits before clock `limit`; returns how many, 0 where there is no train.

    tail: an entry that must not end but by the first of them, −1 for none. freed: where to note when queue entries have
    become free, −1 for nowhere. joined: the bursts that take the places of those served are hits of a bank without
    others; they do not come in between where hits take turns, but may where there is only one.
    """
    entries = state[L_ENTRY] + controller * state[L_ENTRIES] * ENTRY_FIELDS
    bus, distance = state[c + COLUMN_CLOCK], state[T_OTHER_GROUP]
    at = state[c + HELD_HEAD]
    while at >= 0:
        ready = column_ready(state, at, state[at + GROUP_AT], state[at + RANK_AT], state[at + HELD_DIRECTION])
        limit = min(limit, max(ready, bus))
        at = state[at + HELD_NEXT]
    if state[T_CLOCK_SYNC]:  # not where the data clock has to be started first
        limit = min(limit, state[c + SYNC_END])
    if limit <= bus:
        return 0
    # of both ranks: the oldest hit, the one that takes turns with it, and whose turn it is
    first, partner, turn, other_first, other_partner, other_turn = -1, -1, -1, -1, -1, -1
    at = state[c + COLUMN_HEAD]
    rank, paired = state[at + RANK_AT], 2 * state[T_RANKS]
    while at >= 0 and paired > 0:
        r, g = state[at + RANK_AT], state[at + GROUP_AT]
        oldest, second = (first, partner) if r == rank else (other_first, other_partner)
        if second < 0 and (oldest < 0 or g != state[oldest + GROUP_AT]):
            begin = max(state[r + direction], bus)
            if state[at + BANK_READ + direction] > begin:
                limit = min(limit, state[at + BANK_READ + direction])
            elif not _undisturbed(state, entries, at, direction):
                limit = min(limit, begin)
            else:
                paired -= 1
                most = min(most, _left(state, entries, at, direction) - 1)
                if r == rank:
                    first, partner = (at, -1) if oldest < 0 else (oldest, at)
                else:
                    other_first, other_partner = (at, -1) if oldest < 0 else (oldest, at)
            if limit <= bus:
                return 0
        at = state[at + COLUMN_NEXT]
    if first >= 0:
        turn = _first_turn(state, first, partner, direction, bus)
    if other_first >= 0:
        other_turn = _first_turn(state, other_first, other_partner, direction, bus)
    if joined:
        grouped = distance < state[T_SAME_GROUP]
        last, other_last = (partner, other_partner) if grouped else (first, other_first)
        if last < 0 or (other_last < 0 and state[T_RANKS] > 1):
            most = 1
    count, ended, clock = 0, -1, 0
    while count < most and ended < 0:
        when = other_when = NEVER
        if turn >= 0:
            when = _when(state, first, partner, turn, direction, bus)
        if other_turn >= 0:
            other_when = _when(state, other_first, other_partner, other_turn, direction, bus)
        if when < 0 or other_when < 0:
            break
        b = turn
        if other_when < when or (
            other_when == when and when < NEVER and state[other_turn + COLUMN_ORDER] < state[turn + COLUMN_ORDER]
        ):
            when, b = other_when, other_turn
        if when >= limit:
            break
        number = state[b + HIT + direction]
        e = entries + number * ENTRY_FIELDS
        left = state[e + E_COUNT]
        if number == tail and left == 1 and count > 0:
            break
        g, r = state[b + GROUP_AT], state[b + RANK_AT]
        arrival = state[e + E_ARRIVAL + state[e + E_USED] - left]
        if when > state[r + PINS_FREE]:
            account_gap(state, g, r, direction, when, arrival)
        state[r + PINS_FREE] = when + state[T_BURST]
        state[r + LAST_DIRECTION] = direction
        state[r + direction] = when + distance
        state[g + direction] = when + state[T_SAME_GROUP]
        if direction == READ:
            note_latency(state, latencies, when + state[T_READ_LATENCY] + state[T_BURST] - arrival)
        state[e + E_COUNT] = left - 1
        state[e + E_ORDER] += 1
        state[b + COLUMN_ORDER] += 1
        state[b + TRAIN_COUNT] += 1
        state[b + TRAIN_CLOCK] = when
        if left == 1:
            ended = b
        if freed >= 0:
            state[freed + count] = when + 1
        bus, clock = when + 1, when
        count += 1
        if b == turn:
            if partner >= 0 and distance < state[T_SAME_GROUP]:
                turn = first if b == partner else partner
        elif other_partner >= 0 and distance < state[T_SAME_GROUP]:
            other_turn = other_first if b == other_partner else other_partner
    if count == 0:
        return 0
    state[c + COLUMN_CLOCK] = state[c + TRANSFER_CLOCK] = clock + 1
    if not state[T_DUAL_BUS]:
        state[c + ROW_CLOCK] = clock + 1
    if state[T_CLOCK_SYNC]:
        latency = state[T_READ_LATENCY] if direction == READ else state[T_WRITE_LATENCY]
        end = clock + latency + state[T_BURST] + state[T_CLOCK_SYNC]
        state[c + SYNC_END] = max(state[c + SYNC_END], end)
    for number in range(4):
        b = first if number == 0 else partner if number == 1 else other_first if number == 2 else other_partner
        if b >= 0 and state[b + TRAIN_COUNT] > 0 and b != ended:
            _finish(state, controller, c, b, -1, direction)
    if ended >= 0:
        _finish(state, controller, c, ended, column_before(state, c, ended), direction)
    return count


@compiled
def _first_turn(state: Ints, first: int, partner: int, direction: int, bus: int) -> int:
    """Whose turn it is of a rank's oldest hit and its partner."""
    begin = max(state[state[first + RANK_AT] + direction], bus)
    return first if partner < 0 or state[state[first + GROUP_AT] + direction] <= begin else partner


@compiled
def _when(state: Ints, first: int, partner: int, turn: int, direction: int, bus: int) -> int:
    """When the next hit of a rank goes, −1 when another one may come before it."""
    when = max(state[state[turn + RANK_AT] + direction], bus)
    ready = state[state[turn + GROUP_AT] + direction]
    if ready > when:
        return -1 if partner >= 0 else ready
    if turn != first and state[state[first + GROUP_AT] + direction] <= when:
        return -1
    return when  # type: ignore[no-any-return]
