"""The Eyeriss chip: AlexNet, layer by layer."""

from collections.abc import Iterator, Sequence

import pandas as pd

from simulator.api import simulate
from simulator.report.report import Report
from simulator.trace.trace import Trace, network_trace
from simulator.validation.row import Reference, Row

REFERENCE = Reference(
    name="Eyeriss",
    source="Chen et al., JSSC 52(1), 2017: the chip at 200 MHz, AlexNet's convolutions, batch 4, table of results; "
    "VGG-16, batch 3, from its abstract. Densities of AlexNet's OFMs from Sparseloop's published set-up (MICRO "
    "2022), zeros of "
    "VGG-16's IFMs recalled from the paper's table",
    setting="preset `eyeriss`; statistical zero-maps with the published zeros of the IFMs, which count zero padding "
    "(CONV2's are at 38.7 %, a real image's at 12 % without and 33 % with padding); mappings searched, not given",
    explanation="Processing time comes from passes: the longest of MACs, IFM delivery and psum traffic, and each "
    "pass's ramp-up. The chip's CONV5 is faster than its CONV4 by more than their equal passes explain, so the model "
    "is slow on the one and fast on the other. Total less processing time is the DRAM time of IFM and OFM, which the "
    "chip does not hide. Energies are ISCA 2016's ratios to a 16-bit MAC times 2.2 pJ; the clock network is an "
    "estimate from the number of flip-flops in the pads. VGG-16: the search finds mappings that are more than twice as "
    "fast as the chip ran. The published frame rate is that of passes with fewer channels on wide feature maps (one or "
    "two where four and more fit), bound by the psum bus; the traffic is the same",
)

LAYERS = ("conv1", "conv2", "conv3", "conv4", "conv5")
BATCH = 4
PADDING = (0, 2, 1, 1, 1)
IFM_ZEROS = (0.0001, 0.387, 0.725, 0.793, 0.776)
OFM_DENSITY = (0.378, 0.169, 0.303, 0.304, 0.100)
POWER_MW = (332, 288, 266, 235, 236)
TOTAL_MS = (20.9, 41.9, 23.6, 18.4, 10.5)
PROCESSING_MS = (16.5, 39.2, 21.8, 16.0, 10.0)
BUFFER_MB = (18.5, 77.6, 50.2, 37.4, 24.9)
DRAM_MB = (5.0, 4.0, 3.0, 2.1, 1.3)

VGG16_BATCH = 3
VGG16_IFM_ZEROS = (0.016, 0.477, 0.248, 0.387, 0.397, 0.581, 0.587, 0.643, 0.747, 0.854, 0.794, 0.874, 0.885)


def alexnet() -> Trace:
    """AlexNet with the chip's densities, those of the IFMs turned from padded to stored maps."""
    trace = network_trace("bvlc_alexnet")
    densities = {}
    for name, padding, zeros, ofm in zip(LAYERS, PADDING, IFM_ZEROS, OFM_DENSITY, strict=True):
        _, height, width = trace.layer(name).ifm
        padded = (height + 2 * padding) * (width + 2 * padding)
        densities[name] = (min(1.0, (1 - zeros) * padded / (height * width)), ofm)
    return trace.with_densities(densities)


def rows() -> Iterator[Row]:
    """Time, traffic and power of every convolution and of all together."""
    report = simulate(alexnet(), "eyeriss", batch=BATCH)
    found = measured(report)
    published = pd.DataFrame(
        {
            "processing_ms": PROCESSING_MS,
            "total_ms": TOTAL_MS,
            "dram_mb": DRAM_MB,
            "buffer_mb": BUFFER_MB,
            "power_mw": POWER_MW,
        },
        index=list(LAYERS),
    )
    names = {
        "dram_mb": ("DRAM accesses", "MB", 0.08, 0.03),
        "processing_ms": ("processing time", "ms", 0.10, 0.05),
        "total_ms": ("total time", "ms", None, None),
        "buffer_mb": ("global buffer accesses", "MB", None, None),
    }
    for column, (what, unit, each, all_together) in names.items():
        for layer in LAYERS:
            pair = float(published[column][layer]), float(found[column][layer])
            yield Row(REFERENCE.name, f"AlexNet {layer}: {what}", *pair, unit, each)
        pair = float(published[column].sum()), float(found[column].sum())
        yield Row(REFERENCE.name, f"AlexNet: {what}", *pair, unit, all_together)
    hidden = [float((table["total_ms"] - table["processing_ms"]).sum()) for table in (published, found)]
    yield Row(REFERENCE.name, "AlexNet: total less processing time", hidden[0], hidden[1], "ms", 0.25)
    for layer in LAYERS:
        pair = float(published["power_mw"][layer]), float(found["power_mw"][layer])
        yield Row(REFERENCE.name, f"AlexNet {layer}: power", *pair, "mW")
    yield Row(REFERENCE.name, "AlexNet: power", 278, _mean_power(found), "mW", 0.20)
    yield from _vgg16()


def _vgg16() -> Iterator[Row]:
    trace = network_trace("vgg16")
    convolutions = [layer for layer in trace.layers if layer.operator == "conv"]
    zeros = {layer.name: (1 - share, None) for layer, share in zip(convolutions, VGG16_IFM_ZEROS, strict=True)}
    report = simulate(trace.with_densities(zeros), "eyeriss", batch=VGG16_BATCH)
    found = measured(report, [layer.name for layer in convolutions])
    macs = VGG16_BATCH * sum(layer.macs for layer in convolutions)
    frames = VGG16_BATCH / float(found["total_ms"].sum()) * 1e3
    words = float(found["dram_mb"].sum()) * 1e6 / 2
    yield Row(REFERENCE.name, "VGG-16: DRAM accesses of 16 bit per MAC", 0.0035, words / macs, "per MAC")
    yield Row(REFERENCE.name, "VGG-16: frame rate", 0.7, frames, "frames/s")
    yield Row(REFERENCE.name, "VGG-16: power", 236, _mean_power(found), "mW")


def _mean_power(found: pd.DataFrame) -> float:
    return float((found["power_mw"] * found["total_ms"]).sum() / found["total_ms"].sum())


def measured(report: Report, layers: Sequence[str] = LAYERS) -> pd.DataFrame:
    """What the chip's table lists, per convolution.

    Accesses of the global buffer are what the array reads of the IFM and reads and writes of psums. The chip's power is
    all but the DRAM's.
    """
    milliseconds = 1e3 / float(report.meta["clock_hz"])
    table = report.layers.set_index("layer").loc[list(layers)]
    buffer = report.traffic[report.traffic["level"] == "buffer"]
    array = buffer[(buffer["operand"] == "psum") | ((buffer["operand"] == "ifm") & (buffer["direction"] == "read"))]
    chip = report.energy[~report.energy["component"].isin(["dram", "dram_background"])]
    total_ms = table["cycles"] * milliseconds
    return pd.DataFrame(
        {
            "processing_ms": table["compute_cycles"] * milliseconds,
            "total_ms": total_ms,
            "dram_mb": table["dram_bytes"] / 1e6,
            "buffer_mb": array.groupby("layer")["bytes"].sum().loc[list(layers)] / 1e6,
            "power_mw": chip.groupby("layer")["energy_pj"].sum().loc[list(layers)] / total_ms * 1e-6,
        }
    )
