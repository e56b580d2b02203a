"""Codecs for feature maps and kernels: sizes from zero-maps."""

from simulator.compression.codec import Codec, codec_of

__all__ = ["Codec", "codec_of"]
