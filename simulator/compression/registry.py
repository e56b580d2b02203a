"""The codecs by name, and the size of a tensor under one of them."""

import difflib
from typing import Any

import numpy as np
import numpy.typing as npt

from simulator.compression.bitmap import Bitmap
from simulator.compression.bpc import Bpc
from simulator.compression.codec import Codec, CountedCodec, Ints, Units
from simulator.compression.csc import Csc
from simulator.compression.ebpc import Ebpc
from simulator.compression.entropy import Entropy
from simulator.compression.eyeriss_rlc import EyerissRlc
from simulator.compression.huffman import Huffman
from simulator.compression.n_of_m import NOfM
from simulator.compression.raw import Raw
from simulator.compression.zero_run_length import ZeroRunLength
from simulator.errors import InputError

_CODECS: dict[str, Codec] = {
    codec.name: codec
    for codec in (Raw(), Bitmap(), EyerissRlc(), ZeroRunLength(), Csc(), NOfM(), Bpc(), Ebpc(), Huffman(), Entropy())
}


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
    """Bits of a tensor that is coded as one piece, in the order of its elements, index and code table included.

    The size of the format itself: what it enlarges is larger than raw here. values_or_map: the values, or booleans that
    say which are not zero, of any shape. word_bits: bits of a value. Codecs that look at values (`ebpc`, `huffman`, and
    `entropy` where it is given any) take whole numbers that fit into words, signed or not; floating-point values are
    to be quantised first.

    Raises InputError for an unknown codec, an empty tensor, words outside 1 to 64 bits, and values that are missing,
    not whole numbers or too wide.
    """
    coder, tensor = codec_of(codec), np.asarray(values_or_map)
    if not tensor.size:
        raise InputError(f"codec '{codec}': the tensor has no elements")
    if not 1 <= word_bits <= 64:
        raise InputError(f"codec '{codec}': word_bits is {word_bits}, expected 1 to 64")
    nonzero = tensor.reshape(1, 1, -1) != 0
    values = None
    if coder.needs_values or (coder.takes_values and tensor.dtype != np.bool_):
        values = _whole_numbers(codec, tensor, word_bits).reshape(1, 1, -1)
    units = Units.of(nonzero, values)
    data, index = coder.unit_bits(units, word_bits)
    return int(data.sum() + index.sum()) + coder.shared_bits(units, word_bits)


def _whole_numbers(codec: str, tensor: npt.NDArray[Any], word_bits: int) -> Ints:
    """The values as whole numbers of so many bits; of unsigned ones beyond 63 bits those with the same bits."""
    if tensor.dtype == np.bool_:
        raise InputError(f"codec '{codec}' codes values, found a map of booleans that only says which are not zero")
    if tensor.dtype.kind not in "iu":
        raise InputError(
            f"codec '{codec}' codes whole numbers of {word_bits} bits, "
            f"found values of type {tensor.dtype}; quantise them first"
        )
    least, most = int(tensor.min()), int(tensor.max())
    low, high = (-(1 << word_bits - 1), (1 << word_bits - 1) - 1) if least < 0 else (0, (1 << word_bits) - 1)
    if least < low or most > high:
        raise InputError(
            f"codec '{codec}': values from {least} to {most} do not fit into {word_bits} bits, expected {low} to {high}"
        )
    return tensor.astype(np.int64)
