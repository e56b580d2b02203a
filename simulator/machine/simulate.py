"""A network on an accelerator, batch by batch."""

import functools
from collections.abc import Callable, Iterable, Sequence

import simpy

from simulator.errors import InputError
from simulator.hardware.accelerator import Accelerator
from simulator.machine.batch import Batch
from simulator.machine.codec_needs import check_codecs
from simulator.machine.on_chip import residence
from simulator.machine.pruning import DynamicPruning, check_pruning
from simulator.machine.results import LayerResult, RunResult
from simulator.machine.sequence import LayerSequence
from simulator.mapping.plan import Schedule, plan
from simulator.trace.trace import Trace


def run_all(
    trace: Trace,
    accelerator: Accelerator,
    *,
    images: Sequence[int] | None = None,
    pruning: DynamicPruning | None = None,
    batch: int = 1,
    workers: int = 1,
    record: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> list[RunResult]:
    """Every batch of images through the network; `progress` is called with (batches done, batches).

    workers: processes that share the batches; the results are the same. record: whether to note what happens when in
    the first batch. Raises InputError when an image is missing, a
    layer fits into no buffer, or the trace cannot answer for the pruning or for what a codec looks at.
    """
    if workers < 1:
        raise InputError(f"workers: found {workers}, expected 1 or more")
    check_codecs(trace, accelerator)
    if pruning is not None:
        check_pruning(trace, pruning, accelerator.pruning)
    batches = image_batches(trace, images, batch)
    schedule = plan(trace, accelerator, batch)
    recorded = batches[0] if record else None
    play = functools.partial(run, trace, accelerator, schedule, pruned=pruning is not None, recorded=recorded)
    results = []
    if min(workers, len(batches)) == 1:
        played: Iterable[RunResult] = map(play, batches)
    else:
        from simulator.machine.workers import in_processes

        played = in_processes(play, batches, workers)
    for done, result in enumerate(played):
        results.append(result)
        if progress is not None:
            progress(done + 1, len(batches))
    return results


def image_batches(trace: Trace, images: Sequence[int] | None, batch: int) -> list[list[int]]:
    """The images to simulate, in batches; [[]] for a trace of shapes only.

    None means all, or the first batch of a statistical trace, which has no last image. Raises InputError for an image
    that the trace does not hold, or when the number of images is no multiple of the batch.
    """
    if batch < 1:
        raise InputError(f"batch: found {batch}, expected 1 or more")
    if not trace.has_maps:
        if images is not None and len(images) > 0:
            raise InputError(f"trace '{trace.name}' holds shapes only, so there are no images to select")
        return [[]]
    count = batch if trace.statistical else trace.image_count
    chosen = list(range(count)) if images is None else [int(image) for image in images]
    if not chosen:
        raise InputError(f"no image selected; trace '{trace.name}' holds {trace.image_count}")
    for image in chosen:
        trace.check_image(image)
    if len(chosen) % batch:
        raise InputError(f"{len(chosen)} images do not divide into batches of {batch}")
    return [chosen[start : start + batch] for start in range(0, len(chosen), batch)]


def run(
    trace: Trace,
    accelerator: Accelerator,
    schedule: Schedule,
    images: Sequence[int],
    *,
    pruned: bool,
    recorded: Sequence[int] | None = None,
) -> RunResult:
    """One batch of images through the whole network; where it is the batch `recorded`, with what happened when."""
    batch = Batch(trace, accelerator, images, schedule.batch, pruned=pruned)
    batch.residence = residence(batch, schedule)
    results: list[LayerResult] = []
    env = simpy.Environment()
    sequence = LayerSequence(env, batch, schedule, record=images == recorded)
    env.run(env.process(sequence.run(results)))
    return RunResult(tuple(images), results, tuple(sequence.records))
