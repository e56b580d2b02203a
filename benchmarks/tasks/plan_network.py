"""Plans a built-in network on `nvdla-2048` with one buffer for everything. Arguments: network, its KiB, turns.

Prints JSON: the least CPU seconds over the turns of each distinct layer, planned by itself with cold caches; and the
network's DRAM bytes, planned, compulsory and at least (`simulator.mapping.lower_bound`).
"""

import dataclasses
import json
import sys
import time

import simulator
from simulator.hardware.load import load_accelerator
from simulator.mapping.loop_nest import loop_nest
from simulator.mapping.lower_bound import communication_lower_bound_bytes, compulsory_bytes
from simulator.mapping.plan import plan
from simulator.mapping.tiling import best_schedule
from simulator.trace.records import Layer
from simulator.trace.trace import Trace

ACCELERATOR = "nvdla-2048"


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
    unified = {
        "ifm": {"capacity": f"{kib} KiB"},
        "kernel": {"shared_with": "ifm"},
        "ofm": {"shared_with": "ifm"},
    }
    # Direct convolution, every layer from DRAM to DRAM: that is what the floors are about.
    plain = {"array.winograd": False, "post_processing.fused": [], "fully_connected_batch": 1}
    accelerator = load_accelerator(ACCELERATOR, {"buffers": unified, **plain})
    trace = simulator.network_trace(network)
    seconds: dict[str, float] = {}
    for _ in range(turns):
        for alone in distinct_layers(trace):
            best_schedule.cache_clear()
            start = time.process_time()
            plan(alone, accelerator)
            spent = time.process_time() - start
            seconds[alone.name] = min(spent, seconds.get(alone.name, spent))
    planned = compulsory = least = 0.0
    for layer, schedule in zip(trace.layers, plan(trace, accelerator).layers, strict=True):
        if schedule is None:
            continue
        nest = loop_nest(trace, layer)
        planned += schedule.dram_bytes
        compulsory += compulsory_bytes(nest, accelerator.precision)
        least += communication_lower_bound_bytes(nest, accelerator.precision, kib * 1024)
    print(json.dumps({"seconds": seconds, "planned": planned, "compulsory": compulsory, "least": least}))


if __name__ == "__main__":
    main()
