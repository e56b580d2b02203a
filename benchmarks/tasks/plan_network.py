"""Plans a built-in network on `nvdla-2048` with one buffer for everything. Arguments: network, its KiB, turns.

Prints JSON: the least CPU seconds over the turns of each distinct layer, planned by itself with cold caches; and the
network's DRAM bytes, planned, compulsory and at least (`simulator.mapping.lower_bound`).
"""

import dataclasses
import json
import sys
import time

import simulator
from simulator.mapping.plan import plan
from simulator.mapping.tiling import best_schedule
from simulator.trace.records import Layer
from simulator.trace.trace import Trace
from simulator.validation.traffic import direct_convolution, network_bytes


def distinct_layers(trace: Trace) -> list[Trace]:
    """A trace for each layer that differs from those before it in more than its name and its tensors."""
    found: dict[Layer, Trace] = {}
    for layer in trace.layers:
        shape = dataclasses.replace(layer, name="", inputs=(0,) * len(layer.inputs), output=-1, fused=())
        alone = dataclasses.replace(shape, name=layer.name)
        if shape not in found:
            found[shape] = simulator.trace_from_layers(layer.name, [alone])
    return list(found.values())


def main() -> None:
    network, kib, turns = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    accelerator = direct_convolution(kib)
    trace = simulator.network_trace(network)
    seconds: dict[str, float] = {}
    for _ in range(turns):
        for alone in distinct_layers(trace):
            best_schedule.cache_clear()
            start = time.process_time()
            plan(alone, accelerator)
            spent = time.process_time() - start
            seconds[alone.name] = min(spent, seconds.get(alone.name, spent))
    print(json.dumps({"seconds": seconds, **dataclasses.asdict(network_bytes(trace, accelerator, kib * 1024))}))


if __name__ == "__main__":
    main()
