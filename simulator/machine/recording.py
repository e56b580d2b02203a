"""What happened when in a layer, as arrays: tile steps, waits, DRAM requests, and what the buffers held."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from simulator.hardware.section import Operand
from simulator.machine.loader import Moved
from simulator.machine.pipeline import LayerWork, OutputStream
from simulator.machine.results import LayerResult
from simulator.machine.watch import LayerWatch, Times

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Requested:
    """DRAM requests of one kind, in order: when each was asked for and had been served, which tile it was for, and what
    it moved. kind: "load ifm", "load kernel", "fetch psum", "spill psum", "store ofm" or "way out" (what layers that
    are done on the way out read)."""

    kind: str
    stream: str
    asked_ps: Ints
    served_ps: Ints
    tile: Ints
    moved: Moved

    @property
    def moves(self) -> npt.NDArray[np.bool_]:
        """Which of them move anything."""
        return np.asarray(self.moved.values + self.moved.metadata > 0)


@dataclass(frozen=True, eq=False)
class LayerRecord:
    """One layer. step_start_ps and step_ps: when each tile step began and how long it took, held_ps of which its
    buffers held it up; waits: by cause, when each began and how long it took; in_buffers: picoseconds, and the bytes
    that each physical buffer held from then on."""

    result: LayerResult
    step_start_ps: Ints
    step_ps: Ints
    held_ps: Ints
    waits: Mapping[str, tuple[Ints, Ints]]
    requests: tuple[Requested, ...]
    in_buffers: Mapping[Operand, tuple[Ints, Ints]]


def layer_record(result: LayerResult, work: LayerWork, compute_cycles: Ints, watch: LayerWatch) -> LayerRecord:
    """What `watch` has noted of a layer, put together with what was known before it ran.

    compute_cycles: of each step, without those in which the buffers hold it up.
    """
    waits: dict[str, tuple[list[int], list[int]]] = {}
    spent: dict[int, int] = {}
    for cause, since, duration in watch.waits:
        starts, durations = waits.setdefault(cause, ([], []))
        starts.append(since + spent.get(since, 0))  # what one wait is put down to is shown one after the other
        durations.append(duration)
        spent[since] = spent.get(since, 0) + duration
    computing = np.rint(compute_cycles * result.cycle_ps).astype(np.int64)
    return LayerRecord(
        result=result,
        step_start_ps=_step_starts(result.timing.start_ps + work.overhead_ps, work.step_ps, spent),
        step_ps=work.step_ps,
        held_ps=np.maximum(work.step_ps - computing, 0) if result.buffer_stall_cycles else np.zeros_like(work.step_ps),
        waits={cause: (np.array(starts), np.array(lengths)) for cause, (starts, lengths) in waits.items()},
        requests=tuple(_requests(work, watch)),
        in_buffers=watch.in_buffers,
    )


def _step_starts(begin_ps: int, step_ps: Ints, waited: Mapping[int, int]) -> Ints:
    """When each step began: the array does nothing but steps and waits. waited: how long a wait took, by its start."""
    since = np.array(sorted(waited), np.int64)
    lengths = np.array([waited[start] for start in since.tolist()], np.int64)
    before = np.cumsum(lengths) - lengths
    worked = since - begin_ps - before  # array time at which each wait began
    ends = np.cumsum(step_ps)
    starts = ends - step_ps
    # A step that begins where a wait does comes after it.
    waits = np.searchsorted(worked, starts, side="right")
    return np.asarray(begin_ps + starts + np.append(0, np.cumsum(lengths))[waits], np.int64)


def _requests(work: LayerWork, watch: LayerWatch) -> list[Requested]:
    output = work.output
    found = [
        _of(f"load {operand}", operand, watch.loading.times[operand], np.arange(len(stream.duration_ps)), stream.moved)
        for operand, stream in work.inputs.items()
    ]
    spills = output.spills
    visits = np.arange(len(spills))
    for kind, stream, which in (("store ofm", "ofm", ~spills), ("spill psum", "psum", spills)):
        moved = Moved(output.stored.values[which], output.stored.metadata[which])
        found.append(_of(kind, stream, watch.leaving.times[stream], visits[which], moved))
    asked = _asked(output, output.fetch_ps, bool(output.fetch_runs))
    found.append(_of("way out", "ifm", watch.leaving.times["ifm"], asked, _some(output.fetched, asked)))
    asked = _asked(output, output.restore_ps, bool(output.restore_runs))
    found.append(_of("fetch psum", "psum", watch.restoring.times["psum"], asked, _some(output.restored, asked)))
    return found


def _asked(output: OutputStream, duration_ps: Ints, of_memory: bool) -> Ints:
    """The visits that made a request: of a memory system each, of a plain bus those that take time."""
    return np.arange(len(output.spills)) if of_memory else np.flatnonzero(duration_ps)


def _some(moved: Moved, which: Ints) -> Moved:
    return Moved(moved.values[which], moved.metadata[which])


def _of(kind: str, stream: str, times: Times, tile: Ints, moved: Moved) -> Requested:
    return Requested(kind, stream, np.array(times.asked, np.int64), np.array(times.served, np.int64), tile, moved)
