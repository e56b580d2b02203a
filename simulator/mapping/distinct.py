"""The different values of an array."""

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]


def distinct(values: Ints) -> Ints:
    """The different values, in order.

    Asked for nothing but them, `np.unique` imports numpy's masked arrays to see whether it was given one, which takes a
    good part of what a small network does.
    """
    return np.unique(values, return_counts=True)[0]
