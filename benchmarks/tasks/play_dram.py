"""Plays traffic on a DRAM and prints CPU milliseconds per MB. Arguments: preset, pattern, megabytes, turns.

Patterns: sequential and random 256 B in one request; tiled as a layer does it: two streams that read and one that
writes, each with tiles of 16 KiB in runs of 512 B that lie 3.5 KiB apart, two requests of each under way.
"""

import sys
import time

import numpy as np

from simulator.dram.memory import Memory
from simulator.dram.patterns import Kind, Pattern, runs_of
from simulator.hardware.dram_device import CONTROLLERS, load_device

FOREVER = 1 << 59
TILE, RUN, PITCH = 16 << 10, 512, 7 * 512
APART = (1 << 28) + (3 << 15)


def play_pattern(memory: Memory, kind: Kind, size: int) -> int:
    runs = runs_of(Pattern(kind), size, memory.burst_bytes)
    memory.submit(0, runs.first, runs.bursts, 0)
    memory.play(FOREVER)
    return size


def play_tiles(memory: Memory, size: int) -> int:
    burst = memory.burst_bytes
    steps = size // (3 * TILE)
    runs = np.arange(TILE // RUN, dtype=np.int64) * (PITCH // burst)
    stream_of: dict[int, int] = {}
    done = [0, 0, 0]

    def submit(stream: int) -> None:
        tile, done[stream] = done[stream], done[stream] + 1
        across = PITCH // RUN  # tiles that lie side by side
        start = (stream * APART + tile // across * (TILE // RUN * PITCH) + tile % across * RUN) // burst
        bursts = np.full(len(runs), RUN // burst if stream < 2 else -(RUN // burst), np.int64)
        stream_of[memory.submit(stream, runs + start, bursts, memory.clock)] = stream

    for stream in (0, 1, 2, 0, 1, 2):
        submit(stream)
    while stream_of:
        for tag, _ in memory.play(FOREVER):
            stream = stream_of.pop(tag)
            if done[stream] < steps:
                submit(stream)
    return sum(done) * TILE


def main() -> None:
    name, pattern, megabytes, turns = sys.argv[1:]
    device = load_device(name)
    best = 0.0
    for turn in range(int(turns) + 1):
        size = int(float(megabytes) * 1e6) if turn else 1 << 18  # the first turn loads or compiles
        memory = Memory(device, CONTROLLERS["ramulator2"], streams=3)
        start = time.process_time()
        moved = play_tiles(memory, size) if pattern == "tiled" else play_pattern(memory, _KINDS[pattern], size)
        spent = 1e9 * (time.process_time() - start) / moved
        best = min(best, spent) if turn > 1 else spent
    print(best, memory.clock * memory.clock_ps / 1e6)


_KINDS: dict[str, Kind] = {"sequential": "seq", "random": "random"}

if __name__ == "__main__":
    main()
