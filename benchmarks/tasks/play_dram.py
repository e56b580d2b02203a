"""Plays traffic on a DRAM and prints CPU milliseconds per MB. Arguments: preset, pattern, megabytes, turns.

Patterns: sequential and random 256 B in one request; tiled as a layer does it: two streams that read and one that
writes, each with tiles of 16 KiB in runs of 512 B that lie 3.5 KiB apart, two requests of each under way. Making up the
addresses is not counted, handing them over is.
"""

import sys
import time

import numpy as np
import numpy.typing as npt

from simulator.dram.memory import Memory
from simulator.dram.patterns import Kind, Pattern, runs_of
from simulator.dram.patterns import Runs as PatternRuns
from simulator.hardware.dram_device import CONTROLLERS, load_device

Runs = tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]
FOREVER = 1 << 59
TILE, RUN, PITCH = 16 << 10, 512, 7 * 512
APART = (1 << 28) + (3 << 15)


def play_pattern(memory: Memory, runs: PatternRuns) -> int:
    """Plays a pattern in one request; returns the bytes moved."""
    memory.submit(0, runs.first, runs.bursts, 0)
    memory.play(FOREVER)
    return runs.total * memory.burst_bytes


def tiles_of(burst: int, size: int) -> list[list[Runs]]:
    """For each stream, the runs of its tiles."""
    steps = size // (3 * TILE)
    runs = np.arange(TILE // RUN, dtype=np.int64) * (PITCH // burst)
    across = PITCH // RUN  # tiles that lie side by side
    tiles: list[list[Runs]] = []
    for stream in range(3):
        bursts = np.full(len(runs), RUN // burst if stream < 2 else -(RUN // burst), np.int64)
        starts = [
            (stream * APART + tile // across * (TILE // RUN * PITCH) + tile % across * RUN) // burst
            for tile in range(steps)
        ]
        tiles.append([(runs + start, bursts) for start in starts])
    return tiles


def play_tiles(memory: Memory, tiles: list[list[Runs]]) -> int:
    """Plays the tiles, two of each stream under way; returns the bytes moved."""
    waiting = [iter(stream) for stream in tiles]
    stream_of: dict[int, int] = {}

    def submit(stream: int) -> None:
        tile = next(waiting[stream], None)
        if tile is not None:
            stream_of[memory.submit(stream, *tile, memory.clock)] = stream

    for stream in (0, 1, 2, 0, 1, 2):
        submit(stream)
    while stream_of:
        for tag, _ in memory.play(FOREVER):
            submit(stream_of.pop(tag))
    return sum(map(len, tiles)) * TILE


def main() -> None:
    name, pattern, megabytes, turns = sys.argv[1:]
    device = load_device(name)
    best = 0.0
    for turn in range(int(turns) + 1):
        size = int(float(megabytes) * 1e6) if turn else 1 << 18  # the first turn loads or compiles
        memory = Memory(device, CONTROLLERS["ramulator2"], streams=3)
        if pattern == "tiled":
            tiles = tiles_of(memory.burst_bytes, size)
            start = time.process_time()
            moved = play_tiles(memory, tiles)
        else:
            runs = runs_of(Pattern(_KINDS[pattern]), size, memory.burst_bytes)
            start = time.process_time()
            moved = play_pattern(memory, runs)
        spent = 1e9 * (time.process_time() - start) / moved
        best = min(best, spent) if turn > 1 else spent
    print(best, memory.clock * memory.clock_ps / 1e6)


_KINDS: dict[str, Kind] = {"sequential": "seq", "random": "random"}

if __name__ == "__main__":
    main()
