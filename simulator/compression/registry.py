"""The codecs by name, and the size of a tensor under one of them."""

import difflib
from typing import Any

import numpy as np
import numpy.typing as npt

from simulator.compression.bitmap import Bitmap
from simulator.compression.codec import Codec, CountedCodec, Units
from simulator.compression.eyeriss_rlc import EyerissRlc
from simulator.compression.raw import Raw
from simulator.errors import InputError

_CODECS: dict[str, Codec] = {codec.name: codec for codec in (Raw(), Bitmap(), EyerissRlc())}


def codec_names() -> tuple[str, ...]:
    """All codecs."""
    return tuple(_CODECS)


def codec_of(name: str) -> Codec:
    """The codec of that name; raises InputError when there is none."""
    if name not in _CODECS:
        near = difflib.get_close_matches(name, _CODECS, n=1)
        hint = f"; did you mean '{near[0]}'?" if near else ""
        raise InputError(f"unknown codec '{name}' (known: {', '.join(_CODECS)}){hint}")
    return _CODECS[name]


def counted_codec_of(name: str) -> CountedCodec:
    """The codec of that name, one whose sizes follow from counts; raises InputError when it is none of these."""
    codec = codec_of(name)
    if not isinstance(codec, CountedCodec):
        raise InputError(f"codec '{name}' needs to know where zeros are, so it cannot be used here")
    return codec


def compressed_bits(codec: str, values_or_map: npt.NDArray[Any], word_bits: int = 16) -> int:
    """Bits of a tensor that is stored as one piece, in the order of its elements, index included.

    values_or_map: the values, or booleans that say which are not zero, of any shape. word_bits: bits of a value.
    Raises InputError for an unknown codec, an empty tensor, or words outside 1 to 64 bits.
    """
    coder = codec_of(codec)
    nonzero = np.asarray(values_or_map).reshape(1, 1, -1) != 0
    if not nonzero.size:
        raise InputError(f"codec '{codec}': the tensor has no elements")
    if not 1 <= word_bits <= 64:
        raise InputError(f"codec '{codec}': word_bits is {word_bits}, expected 1 to 64")
    counts = np.count_nonzero(nonzero, axis=2).astype(np.int64)
    data, index = coder.unit_bits(Units(nonzero.size, counts, lambda: nonzero), word_bits)
    return int(data.sum() + index.sum())
