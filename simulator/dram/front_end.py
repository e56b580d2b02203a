"""The front end: streams of requests take turns and send bursts, in order, into the controllers' queues. Compiled.

A burst whose queue is full holds up all that come after it, whatever their channel; that is what keeps many channels
from being busy at once on scattered requests. Controllers live in their own time: each is played forward just as far as
the next burst that is meant for it.
"""

from simulator.dram.bank_queues import banked_advance, banked_push
from simulator.dram.compiled import compiled, numbers
from simulator.dram.periods import skip_periods
from simulator.dram.shared_queue import shared_advance, shared_push
from simulator.dram.state import (
    ADMITTED,
    BANK_BITS,
    BANK_FIELDS,
    BURST,
    BY_PRIORITY,
    CLOCK,
    COLUMN_CLOCK,
    CONTROLLER_FIELDS,
    DONE,
    E_ROW,
    ENDING,
    ENTRY_BURSTS,
    ENTRY_FIELDS,
    FINISHED,
    FIRST_REQUEST,
    FREED,
    HEADER,
    HELD,
    IN_FLIGHT,
    L_BANK,
    L_ENTRIES,
    L_ENTRY,
    L_FRONT,
    L_SERVED,
    LEFT,
    LOW_BITS,
    OPEN_ROW,
    ORDER,
    OUTSTANDING,
    P_BANK_QUEUES,
    P_READ_QUEUE,
    P_WRITE_LOW,
    P_WRITE_QUEUE,
    PERIOD,
    PIECE,
    PIECE_LEFT,
    RATE_BURSTS,
    RATE_CLOCKS,
    READ,
    REQUEST_ARRIVAL,
    REQUEST_DIRECTION,
    REQUEST_FIELDS,
    REQUEST_LIST,
    REQUEST_TAG,
    REQUESTS,
    RING,
    ROW_CLOCK,
    RUN,
    RUN_LEFT,
    RUN_STOP,
    SEGMENT,
    SERVED_FIELDS,
    SERVED_STREAM,
    STREAM,
    STREAM_FIELDS,
    STREAM_LIST,
    STREAMS,
    T_BURST,
    T_CONTROLLERS,
    T_DUAL_BUS,
    TAIL,
    WAITING,
    WRITE,
    WRITE_MODE,
    Ints,
)


@compiled
def _next_stream(state: Ints, front: int) -> int:
    """The stream whose turn it is, −1 when none may send now; moves CLOCK on when all that wait come later."""
    streams = state[front + STREAMS]
    current = state[front + STREAM]
    soonest = -1
    for turn in range(streams + 1):
        if turn == 0:
            number = current
            if state[front + PIECE_LEFT] <= 0 or current < 0:
                continue
        elif state[front + BY_PRIORITY]:
            number = turn - 1
        else:
            number = current + turn if current + turn < streams else current + turn - streams
        s = front + STREAM_LIST + number * STREAM_FIELDS
        if state[s + REQUESTS] == 0:
            continue
        q = s + REQUEST_LIST + state[s + FIRST_REQUEST] * REQUEST_FIELDS
        if state[s + IN_FLIGHT] >= state[front + OUTSTANDING] and state[q + REQUEST_DIRECTION] == READ:
            continue
        arrival = state[q + REQUEST_ARRIVAL]
        if arrival <= state[front + CLOCK]:
            if turn > 0:
                state[front + STREAM] = number
                state[front + PIECE_LEFT] = state[front + PIECE]
            return number  # type: ignore[no-any-return]
        if soonest < 0 or arrival < soonest:
            soonest = arrival
    if soonest >= 0:
        state[front + CLOCK] = soonest
        return -2
    return -1


@compiled
def _advance(state: Ints, latencies: Ints, controller: int, until: int) -> None:
    """Plays a controller forward; see `shared_advance` and `banked_advance`."""
    if state[P_BANK_QUEUES]:
        banked_advance(state, latencies, controller, until, -1)
        return
    c = HEADER + controller * CONTROLLER_FIELDS
    if min(state[c + COLUMN_CLOCK], state[c + ROW_CLOCK]) < until:
        shared_advance(state, latencies, controller, until, -1, 0, 0)


@compiled
def _make_room(
    state: Ints,
    latencies: Ints,
    controller: int,
    bank: int,
    row: int,
    direction: int,
    clock: int,
    most: int,
    until: int,
) -> int:
    """Plays a controller forward until a full queue takes at most `most` bursts, and notes when. Returns how many.

    Bursts that lengthen the last entry of their bank change nothing for the controller as long as it is there, nor do
    hits that join others that take turns, so there may be several. There are none when clock `until` comes first.
    """
    c = HEADER + controller * CONTROLLER_FIELDS
    room = state[P_WRITE_QUEUE] if direction else state[P_READ_QUEUE]
    if state[P_BANK_QUEUES]:
        state[c + FREED] = max(clock, banked_advance(state, latencies, controller, until, direction))
        return 1 if state[c + WAITING + direction] < room else 0
    b = state[L_BANK] + bank * BANK_FIELDS
    tail, needed = state[b + TAIL + direction], 1
    if tail < 0:
        alike = state[b + OPEN_ROW] == row and not state[b + HELD] and state[c + WRITE_MODE] == direction
    else:
        alike = state[state[L_ENTRY] + (controller * state[L_ENTRIES] + tail) * ENTRY_FIELDS + E_ROW] == row
    if alike:
        needed = max(1, min(most, room - max(1, state[P_WRITE_LOW] if direction else 1)))
    shared_advance(state, latencies, controller, until, direction, needed, tail)
    freed = room - state[c + WAITING + direction]
    for slot in range(freed):
        clock = max(clock, state[c + FREED + slot])
        state[c + FREED + slot] = clock
    return freed  # type: ignore[no-any-return]


@compiled
def _admit(
    state: Ints,
    latencies: Ints,
    front: int,
    s: int,
    bank: int,
    row: int,
    direction: int,
    tag: int,
    count: int,
    clock: int,
    until: int,
) -> int:
    """Sends up to `count` bursts of a row from `clock` on, as their queue takes them. Returns how many were sent.

    Fewer are when clock `until` comes, a request has been served or the stream may not have more under way.
    """
    controller = bank >> state[front + BANK_BITS]
    c = HEADER + controller * CONTROLLER_FIELDS
    room = state[P_WRITE_QUEUE] if direction else state[P_READ_QUEUE]
    served = state[L_SERVED] + tag * SERVED_FIELDS
    sent = 0
    _advance(state, latencies, controller, clock)
    while True:
        part = min(count - sent, ENTRY_BURSTS)
        if state[front + ENDING]:
            part = min(part, 8 - (state[front + ORDER] & 7))
        if direction == READ:
            part = max(1, min(part, state[front + OUTSTANDING] - state[s + IN_FLIGHT]))
        freed = 0
        if state[c + WAITING + direction] >= room:
            freed = _make_room(state, latencies, controller, bank, row, direction, clock, part, until)
            if freed == 0:
                state[front + CLOCK] = until
                return sent
            clock = state[c + FREED + freed - 1]
            if state[T_DUAL_BUS] or state[P_BANK_QUEUES]:
                _advance(state, latencies, controller, clock)
        part = min(part, room - state[c + WAITING + direction])
        if state[front + FINISHED]:
            part = min(part, max(1, freed))
        for slot in range(freed, part):
            state[c + FREED + slot] = clock
        if state[P_BANK_QUEUES]:
            for order in range(state[front + ORDER], state[front + ORDER] + part):
                banked_push(state, controller, bank, row, direction, order, tag, clock)
        else:
            shared_push(state, controller, bank, row, direction, state[front + ORDER], tag, part)
        sent += part
        state[front + CLOCK] = clock
        state[front + ORDER] += part
        if state[front + ENDING] > 0 and state[front + ORDER] & 7 == 0:
            for other in range(state[T_CONTROLLERS]):
                _advance(state, latencies, other, clock)
        if direction == READ:
            state[s + IN_FLIGHT] += part
        else:
            state[served + LEFT] -= part
            state[served + DONE] = max(state[served + DONE], clock + 1)
        if sent == count or clock >= until or state[front + FINISHED]:
            return sent  # type: ignore[no-any-return]
        if direction == READ and state[s + IN_FLIGHT] >= state[front + OUTSTANDING]:
            return sent  # type: ignore[no-any-return]


@compiled
def _play(
    state: Ints,
    latencies: Ints,
    mark: Ints,
    latency_mark: Ints,
    run_first: Ints,
    run_bursts: Ints,
    bank_of: Ints,
    row_of: Ints,
    until: int,
) -> int:
    front = state[L_FRONT]
    low_bits = state[front + LOW_BITS]
    low = (1 << low_bits) - 1
    while state[front + FINISHED] == 0:
        number = _next_stream(state, front)
        if number == -2:
            if state[front + CLOCK] >= until:
                state[front + CLOCK] = until
                break
            continue
        if number < 0:
            clock = until
            for other in range(state[front + STREAMS]):
                if state[front + STREAM_LIST + other * STREAM_FIELDS + IN_FLIGHT] > 0:
                    clock = min(until, state[front + CLOCK] + 4 * state[T_BURST])
            for controller in range(state[T_CONTROLLERS]):
                _advance(state, latencies, controller, clock)
            state[front + CLOCK] = clock
            if clock >= until:
                break
            continue
        s = front + STREAM_LIST + number * STREAM_FIELDS
        q = s + REQUEST_LIST + state[s + FIRST_REQUEST] * REQUEST_FIELDS
        clock = state[front + CLOCK]
        if state[front + RATE_BURSTS]:
            clock = max(clock, -(-state[front + ORDER] * state[front + RATE_CLOCKS] // state[front + RATE_BURSTS]))
        if clock >= until:
            state[front + CLOCK] = until
            break
        period = state[front + PERIOD]
        if period and state[q + BURST] & period - 1 == 0 and state[q + RUN_LEFT] > 2 * period:
            lone = True
            for other in range(state[front + STREAMS]):
                if other != number and state[front + STREAM_LIST + other * STREAM_FIELDS + REQUESTS] > 0:
                    lone = False
            if lone:
                skip_periods(state, mark, latencies, latency_mark, front, s, q, until)
                clock = state[front + CLOCK]
        burst, direction, tag = state[q + BURST], state[q + REQUEST_DIRECTION], state[q + REQUEST_TAG]
        bank = bank_of[burst & low]
        row = (burst >> low_bits << 20) + row_of[burst & low]
        segment = state[front + SEGMENT]
        count = min(segment - (burst & segment - 1), state[q + RUN_LEFT], state[front + PIECE_LEFT])
        if state[front + RATE_BURSTS]:
            count = 1
        sent = _admit(state, latencies, front, s, bank, row, direction, tag, count, clock, until)
        if sent == 0:
            break
        state[front + PIECE_LEFT] -= sent
        state[s + ADMITTED] += sent
        state[q + BURST] = burst + sent
        state[q + RUN_LEFT] -= sent
        if state[q + RUN_LEFT] == 0:
            run = state[q + RUN] + 1
            state[q + RUN] = run
            if run < state[q + RUN_STOP]:
                state[q + BURST] = run_first[run]
                state[q + RUN_LEFT] = abs(run_bursts[run])
                state[q + REQUEST_DIRECTION] = WRITE if run_bursts[run] < 0 else READ
            else:
                state[s + FIRST_REQUEST] = (state[s + FIRST_REQUEST] + 1) % RING
                state[s + REQUESTS] -= 1
                state[front + PIECE_LEFT] = 0
                state[front + ENDING] += 1
        if direction == WRITE and state[state[L_SERVED] + tag * SERVED_FIELDS + LEFT] == 0:
            state[front + FINISHED] += 1
            state[front + ENDING] -= 1
    return state[front + CLOCK]  # type: ignore[no-any-return]


@compiled
def play(
    state: int,
    latencies: int,
    mark: int,
    latency_mark: int,
    run_first: int,
    run_bursts: int,
    bank_of: int,
    row_of: int,
    until: int,
) -> int:
    """Plays the memory system until clock `until`, or until a request has been served. Arrays are addresses.

    run_first, run_bursts: the runs to which the requests refer, by number of their first burst and count; writes have
    their count negative. bank_of, row_of: bank number and low row bits for the low bits of a burst's number. mark,
    latency_mark: room for a second state.
    """
    return _play(
        numbers(state),
        numbers(latencies),
        numbers(mark),
        numbers(latency_mark),
        numbers(run_first),
        numbers(run_bursts),
        numbers(bank_of),
        numbers(row_of),
        until,
    )


@compiled
def enqueue(
    state_at: int, run_first_at: int, run_bursts_at: int, stream: int, start: int, stop: int, tag: int, clock: int
) -> None:
    """Hands a request, the runs `start` to `stop`, to its stream at `clock`. Arrays are addresses."""
    state, run_first, run_bursts = numbers(state_at), numbers(run_first_at), numbers(run_bursts_at)
    front = state[L_FRONT]
    s = front + STREAM_LIST + stream * STREAM_FIELDS
    place = (state[s + FIRST_REQUEST] + state[s + REQUESTS]) % RING
    q = s + REQUEST_LIST + place * REQUEST_FIELDS
    state[s + REQUESTS] += 1
    state[q + RUN] = start
    state[q + RUN_STOP] = stop
    state[q + BURST] = run_first[start]
    state[q + RUN_LEFT] = abs(run_bursts[start])
    state[q + REQUEST_DIRECTION] = WRITE if run_bursts[start] < 0 else READ
    state[q + REQUEST_ARRIVAL] = clock
    state[q + REQUEST_TAG] = tag
    served = state[L_SERVED] + tag * SERVED_FIELDS
    bursts = 0
    for run in range(start, stop):
        bursts += abs(run_bursts[run])
    state[served + LEFT] = bursts
    state[served + DONE] = clock
    state[served + SERVED_STREAM] = stream
