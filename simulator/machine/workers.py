"""Independent pieces of work side by side in worker processes."""

import multiprocessing
import signal
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import Any, TypeVar

from simulator.errors import InputError

Piece = TypeVar("Piece")
Result = TypeVar("Result")

_work: Callable[[Any], Any] | None = None
"""In a worker process: what it does."""


def in_processes(work: Callable[[Piece], Result], pieces: Sequence[Piece], workers: int) -> Iterator[Result]:
    """The results of `work` on every piece, in order, each as soon as it and those before it are there.

    `work` and what it returns travel between processes, so a script that asks for workers guards its main part with
    `if __name__ == "__main__"`. What a worker raises is raised here; the others then stop after the piece that they are
    at. Raises InputError when a worker dies.
    """
    workers = min(workers, len(pieces))
    # Not forked: threads of numerical libraries do not survive that.
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(workers, context, initializer=_begin, initargs=(work,))
    try:
        yield from _collected([pool.submit(_do, piece) for piece in pieces])
    finally:
        pool.shutdown(cancel_futures=True)


def _collected(futures: Iterable[Future[Result]]) -> Iterator[Result]:
    try:
        for future in futures:
            yield future.result()
    except BrokenProcessPool:
        raise InputError("a worker process ended before its work: out of memory? use fewer workers") from None


def _begin(work: Callable[[Any], Any]) -> None:
    global _work
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the process that collects the results decides
    _work = work


def _do(piece: Any) -> Any:
    assert _work is not None
    return _work(piece)
