"""What the planner expects of compressed feature maps."""

from simulator.compression import codec_of, falls_back, stored_ratio
from simulator.hardware.accelerator import Accelerator
from simulator.mapping.burst_waste import Stored
from simulator.trace.records import Shape

RATIO_STEPS = 64
"""Expected ratios are whole 64ths, so that layers of the same shape mostly share one search."""


def compressed_storage(accelerator: Accelerator, lanes: int, shape: Shape, density: float) -> Stored:
    """How a compressed feature map (C, H, W) lies in memory, with that share of non-zeros, anywhere in it.

    Units at home round up to whole bursts, on average by half of one, and are never longer than raw.
    """
    how, bits, burst = accelerator.compression.feature_map, accelerator.precision.ifm, accelerator.dram.burst
    codec = codec_of(how.codec)
    raw_fallback = falls_back(codec, how.raw_fallback, on_its_own=how.at_home)
    ratio = stored_ratio(codec, density, bits, raw_fallback=raw_fallback)
    if not how.at_home:
        return Stored(lanes, compressed=True, ratio=_rounded(ratio))
    rows, columns = (1, shape[2]) if how.tile is None else how.tile
    rows, columns = min(rows, shape[1]), min(columns, shape[2])
    raw = how.line_bytes if how.unit == "line" else rows * columns * lanes * bits / 8
    stored = raw * ratio + burst / 2
    ratio = _rounded(min(stored, -(-raw // burst) * burst) / raw if raw_fallback else stored / raw)
    if how.unit == "line":
        return Stored(lanes, ratio=ratio, line_bytes=how.line_bytes)
    return Stored(lanes, ratio=ratio, tile=(rows, columns))


def _rounded(ratio: float) -> float:
    return max(1, round(ratio * RATIO_STEPS)) / RATIO_STEPS
