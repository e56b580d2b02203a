"""The bus that streams share evenly, against one that is played picosecond by picosecond."""

from collections import deque
from collections.abc import Sequence
from fractions import Fraction

import numpy as np
import simpy
from hypothesis import example, given, settings
from hypothesis import strategies as st

from simulator.machine.dram_port import STREAMS, Bus
from simulator.machine.task import Alarm

Asked = list[tuple[int, str, int]]
"""Requests: picosecond of the request, stream, duration."""


def played(asked: Asked) -> tuple[list[int], dict[str, Fraction], Fraction]:
    """When each request ends, what each stream has been served by then, and how long the bus moved data."""
    ends = [0] * len(asked)
    queues: dict[str, deque[tuple[int, Fraction]]] = {name: deque() for name in STREAMS}
    served = dict.fromkeys(STREAMS, Fraction(0))
    now = 0
    while True:
        for number, (at, stream, duration) in enumerate(asked):
            if at == now:
                queues[stream].append((number, Fraction(duration)))
        active = [name for name in STREAMS if queues[name]]
        if not active and all(at <= now for at, _, _ in asked):
            return ends, served, sum(served.values(), Fraction(0))
        now += 1
        for name in active:
            number, left = queues[name].popleft()
            served[name] += min(left, Fraction(1, len(active)))
            left -= Fraction(1, len(active))
            if left > 0:
                queues[name].appendleft((number, left))
            else:
                ends[number] = now


def served_since(bus: Bus, mark: Sequence[int]) -> list[int]:
    served: list[int] = bus.served_ps(np.array(mark), np.array(bus.mark())).tolist()
    return served


def simulated(asked: Asked) -> tuple[list[int], list[int], int]:
    env = simpy.Environment()
    bus = Bus(env)
    ends = [0] * len(asked)
    before = bus.mark()

    def ask(number: int) -> None:
        _, stream, duration = asked[number]
        assert bus.start(stream, duration, None, lambda _: ends.__setitem__(number, int(env.now)))

    for number, (at, _, _) in enumerate(asked):
        Alarm(env, at, lambda _, number=number: ask(number))
    env.run()
    return ends, served_since(bus, before), bus.busy_ps


requests = st.lists(
    st.tuples(st.integers(0, 40), st.sampled_from(STREAMS), st.integers(1, 30)), min_size=1, max_size=12
)


@settings(deadline=None)
@given(requests)
@example([(0, "ifm", 1), (0, "ifm", 1), (0, "kernel", 1), (1, "psum", 2), (6, "ifm", 1)])  # asks as another one ends
def test_requests_end_when_they_do_picosecond_by_picosecond(asked: Asked) -> None:
    asked = sorted(asked, key=lambda request: request[0])
    ends, served, busy = played(asked)
    found, since, busy_ps = simulated(asked)
    assert found == ends
    assert since == [served[name] for name in STREAMS]
    assert busy_ps == busy == sum(duration for _, _, duration in asked)


def test_a_request_that_moves_nothing_is_over_at_once() -> None:
    bus = Bus(simpy.Environment())
    assert not bus.start("ifm", 0, None, lambda _: None)
    assert bus.busy_ps == 0


def test_what_has_been_served_is_known_while_requests_are_under_way() -> None:
    env = simpy.Environment()
    bus = Bus(env)
    for stream, duration in (("ifm", 100), ("kernel", 10), ("ofm", 100)):
        bus.start(stream, duration, None, lambda _: None)
    env.run(until=30)  # three share until the kernel's 10 ps are through
    assert served_since(bus, [0] * len(STREAMS)) == [10, 10, 0, 10]
    env.run(until=50)
    assert served_since(bus, [0] * len(STREAMS)) == [20, 10, 0, 20]
    assert bus.busy_ps == 50
