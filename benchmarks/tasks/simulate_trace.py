"""Simulates the first image of a trace. Arguments: trace file, accelerator, pruning (none or dynamic)."""

import sys

import simulator


def main() -> None:
    path, accelerator, pruning = sys.argv[1:]
    trace = simulator.load_trace(path)
    report = simulator.simulate(trace, accelerator, images=[0], pruning=None if pruning == "none" else pruning)
    print(f"{len(trace.layers)} layers, {int(report.column('layers', 'tiles').sum())} tiles")


if __name__ == "__main__":
    main()
