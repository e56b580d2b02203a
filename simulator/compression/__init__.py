"""Codecs for feature maps and kernels: sizes from zero-maps.

    from simulator.compression import compressed_bits

    compressed_bits("eyeriss_rlc", ~trace.zeros("conv2", image=0))

Each codec is a module of its own; `registry` lists them.
"""

from simulator.compression.codec import Codec, CountedCodec, Units
from simulator.compression.registry import codec_names, codec_of, compressed_bits, counted_codec_of

__all__ = ["Codec", "CountedCodec", "Units", "codec_names", "codec_of", "compressed_bits", "counted_codec_of"]
