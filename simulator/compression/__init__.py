"""Codecs for feature maps and kernels: sizes from zero-maps, and from values where a codec looks at them.

    from simulator.compression import compressed_bits

    compressed_bits("eyeriss_rlc", ~trace.zeros("conv2", image=0))

Each codec is a module of its own; `registry` lists them.
"""

from simulator.compression.codec import Codec, CountedCodec, Units, true_counts
from simulator.compression.registry import codec_names, codec_of, compressed_bits, counted_codec_of
from simulator.compression.unit_sizes import UnitSizes, falls_back, stored_ratio, unit_sizes

__all__ = [
    "Codec",
    "CountedCodec",
    "UnitSizes",
    "Units",
    "codec_names",
    "codec_of",
    "compressed_bits",
    "counted_codec_of",
    "falls_back",
    "stored_ratio",
    "true_counts",
    "unit_sizes",
]
