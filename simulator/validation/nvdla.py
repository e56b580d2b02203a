"""NVDLA: published estimates of ResNet-50's frames per second."""

from collections.abc import Iterator

from simulator.api import simulate
from simulator.trace.trace import network_trace
from simulator.validation.row import Reference, Row

REFERENCE = Reference(
    name="NVDLA",
    source="NVDLA primer and its open performance spreadsheet: an estimator (per layer the longer of DRAM and MAC "
    "cycles), not silicon; int8, 1 GHz",
    setting="presets `nvdla-2048`, `nvdla-512`, `nvdla-64`; ResNet-50 from its shapes, one image",
    explanation="Winograd is used by the large configuration alone, and there where its larger kernels do not cost "
    "more than its fewer products save; the estimator uses it everywhere. Fully connected layers run "
    "for 16 frames together, as the estimator has it. The 64-MAC figure has no counterpart in the "
    "estimator's own rules: with them (channels to 16, kernels to 128, the smaller operand read again "
    "where it does not fit) it would give 10 to 11 frames per second, near what is simulated, and not "
    "7.3",
)

FRAMES_PER_SECOND = {"nvdla-2048": 269.0, "nvdla-512": 93.0, "nvdla-64": 7.3}


def rows() -> Iterator[Row]:
    """Frames per second of each configuration."""
    trace = network_trace("resnet50")
    for preset, published in FRAMES_PER_SECOND.items():
        found = float(simulate(trace, preset).totals["frames_per_second"])
        yield Row(REFERENCE.name, f"{preset}: ResNet-50", published, found, "frames/s", 0.10)
