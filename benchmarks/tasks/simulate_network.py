"""Simulates one image of a built-in network from its shapes. Arguments: network, accelerator, layers (all if left out).

Prints JSON: how many layers multiply and accumulate, their cycles and energy in pJ, those of all layers, and the CPU
seconds that followed the imports.
"""

import json
import sys
import time

import simulator


def main() -> None:
    network_trace, simulate = simulator.network_trace, simulator.simulate  # imports what they need
    start = time.process_time()
    network, accelerator = sys.argv[1:3]
    trace = network_trace(network)
    if len(sys.argv) > 3:
        trace = simulator.trace_from_layers(network, trace.layers[: int(sys.argv[3])])
    report = simulate(trace, accelerator)
    macs, cycles, energy = (report.column("layers", name) for name in ("macs_dense", "cycles", "energy_pj"))
    found = {
        "layers": int((macs > 0).sum()),
        "cycles": int(cycles[macs > 0].sum()),
        "energy_pj": float(energy[macs > 0].sum()),
        "all_layers": len(macs),
        "all_cycles": int(report.totals["cycles"]),
        "all_energy_pj": float(report.totals["energy_pj"]),
        "work_s": time.process_time() - start,
    }
    print(json.dumps(found))


if __name__ == "__main__":
    main()
