"""Simulates a SCALE-Sim topology and prints the compute cycles of each layer. Arguments: CSV file, accelerator."""

import json
import sys

import simulator


def main() -> None:
    report = simulator.simulate(simulator.trace_from_topology(sys.argv[1]), sys.argv[2])
    print(json.dumps(report.layers["compute_cycles"].tolist()))


if __name__ == "__main__":
    main()
