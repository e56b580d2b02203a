"""The Eyeriss chip: AlexNet, layer by layer."""

from collections.abc import Iterator

import pandas as pd

from simulator.api import simulate
from simulator.report.report import Report
from simulator.trace.trace import Trace, network_trace
from simulator.validation.row import Reference, Row

REFERENCE = Reference(
    name="Eyeriss",
    source="Chen et al., JSSC 52(1), 2017: the chip at 200 MHz, AlexNet's convolutions, batch 4; densities of OFMs from "
    "Sparseloop's published set-up (MICRO 2022)",
    setting="preset `eyeriss`; statistical zero-maps with the published zeros of the IFMs, which count zero padding "
    "(that is why CONV2's are at 38.7 %, while a real image's are at 12 % without and 33 % with padding); mappings "
    "searched, not given",
    explanation="Processing time comes from passes: the longest of MACs, IFM delivery and psum traffic, and each pass's "
    "ramp-up. The chip's CONV5 is faster than its CONV4 by more than their equal passes explain, so the model is slow "
    "on the one and fast on the other. Total time less processing time is the DRAM time of IFM and OFM, which the chip "
    "does not hide. Energies are ISCA 2016's ratios to a 16-bit MAC times 2.2 pJ; the clock network is an estimate from "
    "the number of flip-flops in the pads.",
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
    energy = (found["power_mw"] * found["total_ms"]).sum() / found["total_ms"].sum()
    yield Row(REFERENCE.name, "AlexNet: power", 278, float(energy), "mW", 0.20)


def measured(report: Report) -> pd.DataFrame:
    """What the chip's table lists, per convolution.

    Accesses of the global buffer are what the array reads of the IFM and reads and writes of psums. The chip's power is
    all but the DRAM's.
    """
    milliseconds = 1e3 / float(report.meta["clock_hz"])
    table = report.layers.set_index("layer").loc[list(LAYERS)]
    buffer = report.traffic[report.traffic["level"] == "buffer"]
    array = buffer[(buffer["operand"] == "psum") | ((buffer["operand"] == "ifm") & (buffer["direction"] == "read"))]
    chip = report.energy[~report.energy["component"].isin(["dram", "dram_background"])]
    total_ms = table["cycles"] * milliseconds
    return pd.DataFrame(
        {
            "processing_ms": table["compute_cycles"] * milliseconds,
            "total_ms": total_ms,
            "dram_mb": table["dram_bytes"] / 1e6,
            "buffer_mb": array.groupby("layer")["bytes"].sum().loc[list(LAYERS)] / 1e6,
            "power_mw": chip.groupby("layer")["energy_pj"].sum().loc[list(LAYERS)] / total_ms * 1e-6,
        }
    )
