"""Tensors that anybody can rebuild, and their sizes under zero-value compression by the EBPC authors' reference code.

From x' = (1103515245·x + 12345) mod 2^31, value x' >> 16: series a from the seed, b from seed + 77. "iid" is zero where
a[i] % 100 < percent, "runs" and "smooth" where a[i // 16] % 100 < percent. Values: b[i] % 127 + 1, and of "smooth"
b[i // 16] % 63 + b[i] % 5 + 1 cut to 1..127.
"""

import numpy as np

ELEMENTS = 4096

# kind, percent of zeros asked for, seed, non-zeros, sum of the values, bits of zero-value compression at 8 bit
TENSORS = [
    ("iid", 0, 12345, 4096, 261199, 36864),
    ("iid", 40, 12385, 2439, 155673, 23608),
    ("iid", 75, 12420, 997, 64732, 12072),
    ("iid", 90, 12435, 423, 26607, 7480),
    ("runs", 0, 12345, 4096, 261199, 36864),
    ("runs", 40, 12385, 2560, 164083, 24576),
    ("runs", 75, 12420, 944, 61798, 11648),
    ("runs", 90, 12435, 416, 26059, 7424),
    ("smooth", 0, 12345, 4096, 146330, 36864),
    ("smooth", 40, 12385, 2560, 88290, 24576),
    ("smooth", 75, 12420, 944, 30684, 11648),
    ("smooth", 90, 12435, 416, 15531, 7424),
]


def rebuilt(kind: str, percent: int, seed: int) -> np.ndarray:
    """The values of one tensor."""
    a, b = _series(seed), _series(seed + 77)
    index = np.arange(ELEMENTS)
    block = index // 16
    zero = a[index if kind == "iid" else block] % 100 < percent
    values = b % 127 + 1
    if kind == "smooth":
        values = np.clip(b[block] % 63 + b % 5 + 1, 1, 127)
    return np.where(zero, 0, values)


def _series(seed: int) -> np.ndarray:
    state, values = seed, []
    for _ in range(ELEMENTS):
        state = (1103515245 * state + 12345) % 2**31
        values.append(state >> 16)
    return np.array(values)
