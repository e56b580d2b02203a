"""What happened in a layer, as slices and counters on tracks."""

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from simulator.machine.recording import LayerRecord, Requested

Ints = npt.NDArray[np.int64]

STREAMS = ("ifm", "kernel", "psum", "ofm")


@dataclass(frozen=True)
class Track:
    """A line of the timeline: the group that it belongs to, and its name in it."""

    group: str
    name: str


STEPS, BUFFERS = Track("array", "tile steps"), Track("array", "held up by buffers")
DRAIN, OVERHEAD = Track("array", "drain"), Track("array", "before the layer")
WAITS = {stream: Track("array", f"waits for {stream}") for stream in STREAMS}
DRAM = {stream: Track("DRAM", stream) for stream in STREAMS}


@dataclass(frozen=True, eq=False)
class Slices:
    """Slices of one kind on a track, in order. first and tiles: the tiles that each is about, busy_ps: how much of
    start_ps to end_ps it stands for; args: more whole numbers that add up over slices."""

    track: Track
    kind: str
    start_ps: Ints
    end_ps: Ints
    first: Ints
    tiles: Ints
    busy_ps: Ints
    args: dict[str, Ints] = field(default_factory=dict)

    @property
    def count(self) -> int:
        """How many slices."""
        return len(self.start_ps)

    @staticmethod
    def of(track: Track, kind: str, start_ps: Ints, duration_ps: Ints, first: Ints, **args: Ints) -> "Slices":
        """Slices of a tile each that stand for all of their time."""
        ones = np.ones(len(start_ps), np.int64)
        return Slices(track, kind, start_ps, start_ps + duration_ps, first, ones, duration_ps, args)

    def merged(self, most: int) -> "Slices":
        """At most `most` slices: neighbours as one, from the first's start to the last's end; sums stay."""
        if self.count <= most:
            return self
        starts = np.arange(0, self.count, -(-self.count // most))
        return Slices(
            self.track,
            self.kind,
            self.start_ps[starts],
            np.maximum.reduceat(self.end_ps, starts),
            self.first[starts],
            np.add.reduceat(self.tiles, starts),
            np.add.reduceat(self.busy_ps, starts),
            {name: np.add.reduceat(values, starts) for name, values in self.args.items()},
        )


@dataclass(frozen=True, eq=False)
class Counter:
    """A number that changes with time: picoseconds, and its value from then on."""

    track: Track
    at_ps: Ints
    values: Ints

    @property
    def count(self) -> int:
        """How many changes."""
        return len(self.at_ps)

    def merged(self, most: int) -> "Counter":
        """At most `most` changes: of neighbours the largest value, so that peaks stay, but the very last as it is."""
        if self.count <= most:
            return self
        starts = np.arange(0, self.count, -(-self.count // max(1, most - 1)))
        return Counter(
            self.track,
            np.append(self.at_ps[starts], self.at_ps[-1]),
            np.append(np.maximum.reduceat(self.values, starts), self.values[-1]),
        )


def slices_of(record: LayerRecord) -> Iterator[Slices]:
    """What the array does and waits for, and what each stream moves over DRAM while it does."""
    timing, steps = record.result.timing, np.arange(len(record.step_ps))
    yield Slices.of(STEPS, "tile", record.step_start_ps, record.step_ps, steps)
    held = np.flatnonzero(record.held_ps)
    ends = (record.step_start_ps + record.step_ps)[held]
    yield Slices.of(BUFFERS, "held up", ends - record.held_ps[held], record.held_ps[held], held)
    for cause, (starts, durations) in record.waits.items():
        before = np.searchsorted(record.step_start_ps, starts + durations)
        yield Slices.of(WAITS[cause], f"wait: {cause}", starts, durations, before)
    for track, kind, start, duration in (
        (OVERHEAD, "overhead", timing.start_ps, timing.overhead_ps),
        (DRAIN, "drain", timing.end_ps - timing.drain_ps, timing.drain_ps),
    ):
        if duration:
            yield Slices.of(track, kind, np.array([start]), np.array([duration]), np.zeros(1, np.int64))
    for stream, track in DRAM.items():
        yield from _served(track, [requests for requests in record.requests if requests.stream == stream])


def _served(track: Track, requests: list[Requested]) -> Iterator[Slices]:
    """One slice per request that moves something, from when its stream could begin with it: those of a stream follow
    each other."""
    requests = [of for of in requests if of.moves.any()]
    if not requests:
        return
    asked, served = (np.concatenate([getattr(of, name) for of in requests]) for name in ("asked_ps", "served_ps"))
    moves = np.concatenate([of.moves for of in requests])
    order = np.lexsort((served, asked))
    order = order[moves[order]]
    done = np.maximum.accumulate(np.append(0, served[order]))[:-1]
    start = np.zeros(len(asked), np.int64)
    start[order] = np.minimum(np.maximum(asked[order], done), served[order])
    begin = 0
    for of in requests:
        end = begin + len(of.asked_ps)
        which = np.flatnonzero(of.moves)
        first = start[begin:end][which]
        bytes_ = {"value_bytes": of.moved.values[which], "metadata_bytes": of.moved.metadata[which]}
        yield Slices.of(track, of.kind, first, of.served_ps[which] - first, of.tile[which], **bytes_)
        begin = end


def counters_of(record: LayerRecord) -> Iterator[Counter]:
    """Bytes in every buffer, and how many requests of every stream are under way."""
    for home, (at, held) in record.in_buffers.items():
        last = np.append(at[1:] != at[:-1], True)  # what lasts no time is not shown, unless it is the most of all
        last |= held == held.max(initial=0)
        yield Counter(Track("buffers", f"{home} buffer, bytes"), at[last], held[last])
    for stream in STREAMS:
        of = [requests for requests in record.requests if requests.stream == stream and requests.moves.any()]
        if not of:
            continue
        asked = np.concatenate([requests.asked_ps[requests.moves] for requests in of])
        served = np.concatenate([requests.served_ps[requests.moves] for requests in of])
        at, place = np.unique(np.concatenate([asked, served]), return_inverse=True)
        change = np.bincount(place, weights=np.repeat([1, -1], [len(asked), len(served)]), minlength=len(at))
        yield Counter(Track("DMA", f"{stream} requests under way"), at, np.cumsum(change).astype(np.int64))
