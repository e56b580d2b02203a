"""From tracks to trace events.

The format: "Trace Event Format" (Google, 2016), its JSON object form. Complete events ("X") are slices, counter events
("C") numbers; times are microseconds. Names of groups and tracks are metadata events ("M").
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from simulator.machine.recording import LayerRecord
from simulator.report.timeline.tracks import (
    BUFFERS,
    DRAIN,
    DRAM,
    OVERHEAD,
    STEPS,
    WAITS,
    Counter,
    Slices,
    Track,
    counters_of,
    slices_of,
)

LAYERS = Track("network", "layers")
GROUPS = ("network", "array", "DRAM", "DMA", "buffers")
TRACKS = (LAYERS, STEPS, *WAITS.values(), BUFFERS, OVERHEAD, DRAIN, *DRAM.values())

MOST_EVENTS = 120_000
"""A timeline has about as many events at most, some 20 MB; of long layers neighbouring tiles share one."""

Event = dict[str, Any]


def trace_events(records: Sequence[LayerRecord], about: Mapping[str, Any]) -> dict[str, Any]:
    """The JSON object of a trace: its events, and `about` as what else is known."""
    slices = [(record, of) for record in records for of in slices_of(record)]
    counters = [of for record in records for of in counters_of(record)]
    most = most_per_kind([of.count for _, of in slices] + [of.count for of in counters], MOST_EVENTS)
    events = list(_names())
    events += map(_layer_event, records)
    for record, of in slices:
        events += _slice_events(record.result.name, of.merged(most))
    for counter in counters:
        events += _counter_events(counter.merged(most))
    longest = max((of.count for _, of in slices), default=0)
    return {
        "displayTimeUnit": "ns",
        "otherData": {**about, "tiles_share_slices": longest > most},
        "traceEvents": events,
    }


def most_per_kind(counts: Sequence[int], most: int) -> int:
    """How many events each kind may have such that all of them together are no more than `most`, but for one each."""
    low, high = 1, max(counts, default=1)
    while low < high:
        middle = (low + high + 1) // 2
        if sum(min(count, middle) for count in counts) <= most:
            low = middle
        else:
            high = middle - 1
    return max(low, 1)


def _names() -> Iterator[Event]:
    for number, group in enumerate(GROUPS, 1):
        yield {"ph": "M", "name": "process_name", "pid": number, "args": {"name": group}}
        yield {"ph": "M", "name": "process_sort_index", "pid": number, "args": {"sort_index": number}}
    for number, track in enumerate(TRACKS, 1):
        place = {"pid": _pid(track), "tid": number}
        yield {"ph": "M", "name": "thread_name", **place, "args": {"name": track.name}}
        yield {"ph": "M", "name": "thread_sort_index", **place, "args": {"sort_index": number}}


def _pid(track: Track) -> int:
    return GROUPS.index(track.group) + 1


def _layer_event(record: LayerRecord) -> Event:
    result = record.result
    timing = result.timing
    moved: dict[str, int] = {}
    for row in result.traffic:
        if row.level == "dram":
            moved[f"{row.operand}_bytes"] = moved.get(f"{row.operand}_bytes", 0) + row.bytes
    args = {
        "operator": result.operator,
        "tiling": result.tiling,
        "tiles": result.tiles,
        "frames": result.frames,
        "cycles": result.cycles,
        "compute_cycles": result.compute_cycles,
        "buffer_stall_cycles": result.buffer_stall_cycles,
        "dram_bytes": result.dram_bytes,
        **moved,
        "energy_pj": sum(result.energy_pj.values()),
    }
    return _complete(LAYERS, result.name, timing.start_ps, timing.end_ps, args)


def _complete(track: Track, name: str, start_ps: int, end_ps: int, args: Mapping[str, Any]) -> Event:
    return {
        "ph": "X",
        "name": name,
        "pid": _pid(track),
        "tid": TRACKS.index(track) + 1,
        "ts": start_ps / 1e6,
        "dur": (end_ps - start_ps) / 1e6,
        "args": args,
    }


def _slice_events(layer: str, of: Slices) -> Iterator[Event]:
    names = list(of.args)
    values = zip(*(of.args[name].tolist() for name in names), strict=True) if names else [()] * of.count
    columns = (of.start_ps, of.end_ps, of.first, of.tiles, of.busy_ps)
    for (start, end, first, tiles, busy), extra in zip(
        zip(*(column.tolist() for column in columns), strict=True), values, strict=True
    ):
        args: dict[str, Any] = {"layer": layer, "tile": first, **dict(zip(names, extra, strict=True))}
        if tiles > 1:
            args |= {"slices": tiles, "busy_us": busy / 1e6}
        yield _complete(of.track, of.kind, start, end, args)


def _counter_events(counter: Counter) -> Iterator[Event]:
    track = counter.track
    for at, value in zip(counter.at_ps.tolist(), counter.values.tolist(), strict=True):
        yield {"ph": "C", "name": track.name, "pid": _pid(track), "ts": at / 1e6, "args": {"value": value}}
