"""Values of feature maps in a trace: unsigned codes of 2 to 16 bits, each in as many whole bytes as it needs."""

import numpy as np
import numpy.typing as npt

MOST_BITS = 16

Ints = npt.NDArray[np.int64]
Bytes = npt.NDArray[np.uint8]


def value_bytes(bits: int) -> int:
    """Bytes that hold a value of so many bits."""
    return -(-bits // 8)


def pack_values(codes: Ints, bits: int) -> Bytes:
    """Codes [..., elements] of so many bits as bytes [..., elements · bytes], the low byte of each first."""
    return np.ascontiguousarray(codes.astype("<u2" if value_bytes(bits) == 2 else np.uint8)).view(np.uint8)


def unpack_values(packed: Bytes, bits: int) -> Ints:
    """The codes of packed bytes."""
    codes: Ints = np.ascontiguousarray(packed).view("<u2" if value_bytes(bits) == 2 else np.uint8).astype(np.int64)
    return codes
