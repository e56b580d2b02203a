"""Times the plain forward pass and the recording of a network with random parameters, in turns.

Argument: JSON with network, batches, images, turns and threads. Prints JSON: wall and CPU seconds of all batches for
`plain`, `memory` (the trace is kept) and `file` (it is written), and the peak resident set after the first plain pass
and after the first recording into a file.

A turn is cut at each batch, and the least time of each piece counts: another process's busy seconds then spoil a piece,
not the turn. The pieces of a recording reach from its start to its end, with the pass that finds the graph.
"""

import json
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import torch

import simulator
from simulator.extract.networks.registry import network_spec


class Pieces:
    """Batches that note the time whenever the next one is asked for."""

    def __init__(self, batches: list[torch.Tensor]) -> None:
        self._batches = batches
        self._stamps: list[tuple[float, float]] = []

    def __iter__(self) -> Iterator[torch.Tensor]:
        for batch in self._batches:
            self._stamp()
            yield batch

    def times(self, work: Callable[[], object]) -> list[tuple[float, float]]:
        """Wall and CPU seconds of each piece of `work`."""
        self._stamps = []
        self._stamp()
        work()
        self._stamp()
        pairs = zip(self._stamps[:-1], self._stamps[1:], strict=True)
        return [(after[0] - before[0], after[1] - before[1]) for before, after in pairs]

    def _stamp(self) -> None:
        self._stamps.append((time.perf_counter(), time.process_time()))


def least(turns: list[list[tuple[float, float]]]) -> tuple[float, float]:
    """Each piece's least wall and least CPU seconds over the turns, added up."""
    pieces = list(zip(*turns, strict=True))
    return sum(min(wall for wall, _ in piece) for piece in pieces), sum(
        min(cpu for _, cpu in piece) for piece in pieces
    )


def peak_bytes() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def main() -> None:
    settings = json.loads(sys.argv[1])
    torch.set_num_threads(settings["threads"])
    torch.manual_seed(0)
    spec = network_spec(settings["network"])
    model = spec.build().eval()
    batches = Pieces([torch.randn(settings["images"], *spec.input_shape) for _ in range(settings["batches"])])

    def plain() -> None:
        with torch.inference_mode():
            for batch in batches:
                model(batch)

    plain()  # the first pass warms up PyTorch's own caches
    peaks = [peak_bytes()]
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / spec.name
        work: dict[str, Callable[[], object]] = {
            "file": lambda: simulator.extract(model, batches, name=spec.name, out=out),
            "plain": plain,
            "memory": lambda: simulator.extract(model, batches, name=spec.name),
        }
        turns: dict[str, list[list[tuple[float, float]]]] = {name: [] for name in work}
        for _ in range(settings["turns"]):
            for name, run in work.items():
                turns[name].append(batches.times(run))
                peaks.append(peak_bytes())
    print(json.dumps({**{name: least(found) for name, found in turns.items()}, "peak_bytes": peaks[:2]}))


if __name__ == "__main__":
    main()
