"""NVIDIA P100: published latencies of three networks and of their pruned structures, at batch 64."""

from collections.abc import Iterator

from simulator.api import simulate
from simulator.trace.published import published_trace
from simulator.validation.row import Reference, Row

REFERENCE = Reference(
    name="P100",
    source="latency on an NVIDIA P100 under PyTorch, batch 64, unpruned and pruned by DI-unif (Hou and Kung, arXiv "
    "2005.13796)",
    setting="preset `nvidia-p100`, nothing fitted; structures `budget/NAME`; times at FP32, PyTorch's default, and at "
    "FP16, whose rate the chip doubles",
    explanation="Simulated at FP32 the ResNets take 1.5 to 1.7 times as long as published, at FP16 0.77 to 0.85 times: "
    "the published times lie between, as they would at FP16 or with better Winograd than F(2×2, 3×3). Reductions "
    "hardly depend on that. MobileNetV2 is published to gain 45 %, more than it can here: its structure keeps 65 to 70 "
    "% of the elements of feature maps, and a device that these bind saves 30 to 35 %. Its published time is longer, "
    "and falls further, than the bytes that it moves explain; the depthwise kernels of that time, or another structure "
    "with the same MACs and parameters (several have them), may be why. This structure saves 29 % on an H200 at FP32 "
    "(see there), measured",
)

MILLISECONDS = {
    "resnet18": (14.41, 10.52),
    "resnet50": (49.97, 30.98),
    "mobilenet_v2": (30.50, 16.86),
}
"""Unpruned and pruned."""

BATCH = 64
_HALF = {f"precision.{operand}": "16 bit" for operand in ("ifm", "kernel", "ofm")}


def milliseconds(name: str, *, half: bool = False) -> float:
    """The simulated time of `budget/name` at batch 64, at FP32 or FP16."""
    report = simulate(published_trace(f"budget/{name}"), "nvidia-p100", batch=BATCH, overrides=_HALF if half else {})
    return 1000 * float(report.totals["seconds"])


def rows() -> Iterator[Row]:
    """Reductions in percent, within 8 points; then absolute times."""
    for name, (whole, pruned) in MILLISECONDS.items():
        simulated = milliseconds(name), milliseconds(f"{name}-di-unif")
        published = 100 * (1 - pruned / whole)
        found = 100 * (1 - simulated[1] / simulated[0])
        yield Row(REFERENCE.name, f"{name}: reduction by DI-unif", published, found, "%", 8.0 / published)
        yield Row(REFERENCE.name, f"{name}: FP32", whole, simulated[0], "ms")
        yield Row(REFERENCE.name, f"{name}-di-unif: FP32", pruned, simulated[1], "ms")
        yield Row(REFERENCE.name, f"{name}: FP16", whole, milliseconds(name, half=True), "ms")
