"""Planned DRAM traffic against what no schedule can avoid (Chen, Han and Wang, HPCA 2020)."""

from collections.abc import Iterator
from dataclasses import dataclass

from simulator.hardware.accelerator import Accelerator
from simulator.hardware.load import load_accelerator
from simulator.mapping.loop_nest import loop_nest
from simulator.mapping.lower_bound import communication_lower_bound_bytes, compulsory_bytes
from simulator.mapping.plan import plan
from simulator.trace.trace import Trace, network_trace
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


@dataclass(frozen=True)
class Bytes:
    """DRAM bytes of a network: as planned, compulsory, and at least."""

    planned: float
    compulsory: float
    least: float


def direct_convolution(kib: int) -> Accelerator:
    """`nvdla-2048` with one buffer of so many KiB for all operands, every layer from DRAM to DRAM."""
    shared = {"shared_with": "ifm"}
    buffers = {"ifm": {"capacity": f"{kib} KiB"}, "kernel": shared, "ofm": shared}
    plain = {"array.winograd": False, "post_processing.fused": [], "fully_connected_batch": 1}
    return load_accelerator("nvdla-2048", {"buffers": buffers, "mapping.objective": "dram_bytes", **plain})


def network_bytes(trace: Trace, accelerator: Accelerator, capacity_bytes: int) -> Bytes:
    """What the plan of a network moves, and the two floors below it."""
    planned = compulsory = least = 0.0
    for layer, schedule in zip(trace.layers, plan(trace, accelerator).layers, strict=True):
        if schedule is None:
            continue
        nest = loop_nest(trace, layer)
        planned += schedule.dram_bytes
        compulsory += compulsory_bytes(nest, accelerator.precision)
        least += communication_lower_bound_bytes(nest, accelerator.precision, capacity_bytes)
    return Bytes(planned, compulsory, least)


def rows() -> Iterator[Row]:
    """Megabytes of each network and buffer size, over both floors."""
    for kib in CAPACITIES_KIB:
        accelerator = direct_convolution(kib)
        for network in NETWORKS:
            found = network_bytes(network_trace(network), accelerator, kib * 1024)
            where, planned = f"{network}, {kib} KiB", found.planned / 1e6
            for floor, size in (("compulsory traffic", found.compulsory), ("lower bound", found.least)):
                yield Row(REFERENCE.name, f"{where}: over the {floor}", size / 1e6, planned, "MB")
