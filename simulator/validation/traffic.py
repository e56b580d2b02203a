"""Planned DRAM traffic against what no schedule can avoid (Chen, Han and Wang, HPCA 2020)."""

from collections.abc import Iterator

from simulator.hardware.load import load_accelerator
from simulator.mapping.loop_nest import loop_nest
from simulator.mapping.lower_bound import communication_lower_bound_bytes, compulsory_bytes
from simulator.mapping.plan import plan
from simulator.trace.trace import network_trace
from simulator.validation.row import Reference, Row

REFERENCE = Reference(
    name="Lower bound",
    source="Chen, Han and Wang, “Communication Lower Bound in Convolution Accelerators”, HPCA 2020, with the constants "
    "that `simulator/mapping/lower_bound.py` derives; compulsory: each operand once",
    setting="`nvdla-2048` with one buffer for all operands, direct convolution, `mapping.objective: dram_bytes`; every "
    "layer from DRAM to DRAM",
    explanation="“Published” is the bound, so a positive error is what a plan moves beyond it: double buffering halves "
    "the room, tiles are rectangles, bursts are whole. At 512 KiB and more the bound is the compulsory traffic",
)

NETWORKS = ("vgg16", "resnet50", "mobilenet_v2")
CAPACITIES_KIB = (108, 512, 4096)


def rows() -> Iterator[Row]:
    """Megabytes of each network and buffer size, over both floors."""
    for kib in CAPACITIES_KIB:
        shared = {"shared_with": "ifm"}
        buffers = {"ifm": {"capacity": f"{kib} KiB"}, "kernel": shared, "ofm": shared}
        overrides = {"buffers": buffers, "array.winograd": False, "mapping.objective": "dram_bytes"}
        overrides |= {"post_processing.fused": [], "fully_connected_batch": 1}
        accelerator = load_accelerator("nvdla-2048", overrides)
        for network in NETWORKS:
            trace = network_trace(network)
            planned = compulsory = bound = 0.0
            for layer, schedule in zip(trace.layers, plan(trace, accelerator).layers, strict=True):
                if schedule is None:
                    continue
                nest = loop_nest(trace, layer)
                planned += schedule.dram_bytes
                compulsory += compulsory_bytes(nest, accelerator.precision)
                bound += communication_lower_bound_bytes(nest, accelerator.precision, kib * 1024)
            where = f"{network}, {kib} KiB"
            yield Row(REFERENCE.name, f"{where}: over the compulsory traffic", compulsory / 1e6, planned / 1e6, "MB")
            yield Row(REFERENCE.name, f"{where}: over the lower bound", bound / 1e6, planned / 1e6, "MB")
