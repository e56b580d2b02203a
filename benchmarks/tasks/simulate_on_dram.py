"""Simulates the first image of a trace on `eyeriss` with its plain bandwidth and with a DRAM standard, in turns.

Arguments: trace file, standard, turns. Prints the least CPU seconds of both, and the megabytes that moved. The first
turn, which compiles and plans, is not counted.
"""

import sys
import time

import simulator

ACCELERATOR = "eyeriss"


def main() -> None:
    path, standard, turns = sys.argv[1:]
    trace = simulator.load_trace(path)
    least = {"plain": float("inf"), "standard": float("inf")}
    moved = 0.0
    for turn in range(int(turns) + 1):
        for name, overrides in (("plain", {}), ("standard", {"dram.standard": standard})):
            start = time.process_time()
            report = simulator.simulate(trace, ACCELERATOR, images=[0], overrides=overrides)
            spent = time.process_time() - start
            least[name] = min(least[name], spent) if turn else least[name]
            moved = report.totals["dram_bytes"] / 1e6
    print(least["plain"], least["standard"], moved)


if __name__ == "__main__":
    main()
