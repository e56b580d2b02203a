"""The front end: streams of requests take turns and send bursts, in order, into the controllers' queues. Compiled.

A burst whose queue is full holds up all that come after it, whatever their channel; that is what keeps many channels
from being busy at once on scattered requests. Controllers live in their own time: each is played forward just as far as
the next burst that is meant for it.

A long run of bursts by a single stream soon repeats itself: after each period of the address map the same has happened,
so many clocks later. Such periods are skipped in one step, up to the next row change, refresh or event.
"""

from simulator.dram.bank_queues import banked_advance, banked_push
from simulator.dram.compiled import compiled
from simulator.dram.shared_queue import shared_advance, shared_push
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
    BY_PRIORITY,
    CLOCK,
    COLUMN_CLOCK,
    CONTROLLER_FIELDS,
    DONE,
    E_ARRIVAL,
    ENDING,
    ENTRY_FIELDS,
    FAW_0,
    FINISHED,
    FIRST_REQUEST,
    GROUP_FIELDS,
    HEADER,
    HELD,
    HIT_COUNT,
    IDLE_CLOCKS,
    IN_FLIGHT,
    L_BANK,
    L_BANKS,
    L_ENTRY,
    L_FRONT,
    L_GROUP,
    L_RANK,
    L_SERVED,
    LATENCY_TOP,
    LEFT,
    LENGTH,
    LOW_BITS,
    MARKED_BURST,
    MARKED_CLOCK,
    MARKED_DELTA,
    MARKED_EVENTS,
    MARKED_RUN,
    NEXT_REFRESH,
    NOT_BEFORE,
    ORDER,
    OUTSTANDING,
    P_BANK_QUEUES,
    P_READ_QUEUE,
    P_WRITE_QUEUE,
    PERIOD,
    PIECE,
    PIECE_LEFT,
    PINS_FREE,
    PRECHARGE_COUNT,
    QUEUED,
    RANK_FIELDS,
    RANK_READ,
    RATE_BURSTS,
    RATE_CLOCKS,
    READ,
    READ_COUNT,
    REFRESH_COUNT,
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
    SERVED_FIELDS,
    SERVED_STREAM,
    STREAM,
    STREAM_FIELDS,
    STREAM_LIST,
    STREAMS,
    SYNC_END,
    T_BURST,
    T_CONTROLLERS,
    TO_COME,
    TRANSFER_CLOCK,
    WAITING,
    WAITING_WRITES,
    WRITE,
    WRITE_COUNT,
    WRITE_MODE,
    Ints,
)


@compiled
def advance(state: Ints, latencies: Ints, controller: int, until: int, wanted: int) -> int:
    """Plays a controller forward; see `shared_advance` and `banked_advance`."""
    if state[P_BANK_QUEUES]:
        return banked_advance(state, latencies, controller, until, wanted)
    return shared_advance(state, latencies, controller, until, wanted)


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
            number = (current + turn) % streams
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
def _skip_periods(
    state: Ints, mark: Ints, latencies: Ints, latency_mark: Ints, front: int, periods: int, delta: int
) -> None:
    """Lets what happened since `mark` happen `periods` times more, each time `delta` clocks later."""
    shift = periods * delta
    state[front + CLOCK] += shift
    for controller in range(state[T_CONTROLLERS]):
        c = HEADER + controller * CONTROLLER_FIELDS
        for field in (COLUMN_CLOCK, ROW_CLOCK, TRANSFER_CLOCK, SYNC_END, HIT_COUNT, READ_COUNT, WRITE_COUNT):
            state[c + field] += periods * (state[c + field] - mark[c + field])
        if state[c + BEST] >= 0:
            state[c + BEST] += shift
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
        state[e + E_ARRIVAL] += shift
    for latency in range(state[front + LATENCY_TOP]):
        latencies[latency] += periods * (latencies[latency] - latency_mark[latency])


@compiled
def _skip(state: Ints, mark: Ints, latencies: Ints, latency_mark: Ints, front: int, s: int, q: int, until: int) -> None:
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
            _skip_periods(state, mark, latencies, latency_mark, front, skipped, delta)
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


@compiled
def play(
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
    """Plays the memory system until clock `until`, or until a request has been served.

    run_first, run_bursts: the runs to which the requests refer, by number of their first burst and count; writes have
    their count negative. bank_of, row_of: bank number and low row bits for the low bits of a burst's number. mark,
    latency_mark: room for a second state.
    """
    front = state[L_FRONT]
    low_bits = state[front + LOW_BITS]
    low = (1 << low_bits) - 1
    banks = state[L_BANKS]
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
                advance(state, latencies, controller, clock, -1)
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
        if period and state[q + BURST] % period == 0 and state[q + RUN_LEFT] > 2 * period:
            lone = True
            for other in range(state[front + STREAMS]):
                if other != number and state[front + STREAM_LIST + other * STREAM_FIELDS + REQUESTS] > 0:
                    lone = False
            if lone:
                _skip(state, mark, latencies, latency_mark, front, s, q, until)
                clock = state[front + CLOCK]
        burst, direction, tag = state[q + BURST], state[q + REQUEST_DIRECTION], state[q + REQUEST_TAG]
        bank = bank_of[burst & low]
        row = (burst >> low_bits << 20) + row_of[burst & low]
        controller = bank // banks
        c = HEADER + controller * CONTROLLER_FIELDS
        advance(state, latencies, controller, clock, -1)
        if state[c + WAITING + direction] >= (state[P_WRITE_QUEUE] if direction else state[P_READ_QUEUE]):
            reached = advance(state, latencies, controller, until, direction)
            if reached > clock:
                clock = reached
                advance(state, latencies, controller, clock, -1)
            if state[c + WAITING + direction] >= (state[P_WRITE_QUEUE] if direction else state[P_READ_QUEUE]):
                state[front + CLOCK] = until
                break
        if state[P_BANK_QUEUES]:
            banked_push(state, controller, bank, row, direction, state[front + ORDER], tag, clock)
        else:
            shared_push(state, controller, bank, row, direction, state[front + ORDER], tag, clock)
        state[front + CLOCK] = clock
        state[front + ORDER] += 1
        if state[front + ENDING] > 0 and state[front + ORDER] % 8 == 0:
            for other in range(state[T_CONTROLLERS]):
                advance(state, latencies, other, clock, -1)
        state[front + PIECE_LEFT] -= 1
        state[s + ADMITTED] += 1
        if direction == READ:
            state[s + IN_FLIGHT] += 1
        state[q + BURST] = burst + 1
        state[q + RUN_LEFT] -= 1
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
        if direction == WRITE:
            served = state[L_SERVED] + tag * SERVED_FIELDS
            state[served + LEFT] -= 1
            state[served + DONE] = max(state[served + DONE], clock + 1)
            if state[served + LEFT] == 0:
                state[front + FINISHED] += 1
                state[front + ENDING] -= 1
    return state[front + CLOCK]  # type: ignore[no-any-return]


@compiled
def enqueue(
    state: Ints, run_first: Ints, run_bursts: Ints, stream: int, start: int, stop: int, tag: int, clock: int
) -> None:
    """Hands a request, the runs `start` to `stop`, to its stream at `clock`."""
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
