"""Weights at few bits: what a channel's weights become at a width."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from simulator.errors import InputError

Floats = npt.NDArray[np.float64]
Quantiser = Callable[[Floats, int], Floats]

_SCALES = np.linspace(1.0, 0.3, 15)
"""Shares of the largest magnitude that are tried as the largest level."""

_ROUNDS = 15


def uniform_symmetric(rows: Floats, bits: int) -> Floats:
    """Rows [K, n] rounded to the levels -L·s … L·s, L = 2^(bits-1) - 1, each row with its own step s.

    Of 15 steps, those whose largest level is 1.0 to 0.3 of the row's largest magnitude, the one of the least squared
    error. At one bit the levels are ±the row's mean magnitude (Rastegari et al., "XNOR-Net", ECCV 2016, eq. 6).
    """
    if bits == 1:
        return np.asarray(np.where(rows < 0, -1.0, 1.0) * np.abs(rows).mean(axis=1, keepdims=True), np.float64)
    levels = 2 ** (bits - 1) - 1
    largest = np.abs(rows).max(axis=1, keepdims=True)
    best, least = np.zeros_like(rows), np.full(len(rows), np.inf)
    for scale in _SCALES:
        step = np.where(largest > 0, largest * scale / levels, 1.0)
        found = np.clip(np.rint(rows / step), -levels, levels) * step
        error = ((found - rows) ** 2).sum(axis=1)
        better = error < least
        best[better], least[better] = found[better], error[better]
    return best


def k_means(rows: Floats, bits: int) -> Floats:
    """Rows [K, n] with each weight replaced by one of its row's 2^bits shared values.

    Lloyd's algorithm from values that lie evenly between the smallest and the largest (Han et al., "Deep Compression",
    ICLR 2016, section 3), at most 15 rounds. A row with no more different values than that keeps them.
    """
    return np.stack([_shared_values(row, 2**bits) for row in rows]) if len(rows) else rows.copy()


def _shared_values(row: Floats, count: int) -> Floats:
    different = np.unique(row)
    if len(different) <= count:
        return row.copy()
    values = np.linspace(different[0], different[-1], count)
    chosen = np.empty(0, np.int64)
    for _ in range(_ROUNDS):
        nearest = np.searchsorted((values[1:] + values[:-1]) / 2, row)
        if np.array_equal(nearest, chosen):
            break
        chosen = nearest
        members = np.bincount(chosen, minlength=count)
        sums = np.bincount(chosen, weights=row, minlength=count)
        values = np.sort(np.where(members > 0, sums / np.maximum(members, 1), values))
    nearest = np.searchsorted((values[1:] + values[:-1]) / 2, row)
    return np.asarray(values[nearest], np.float64)


QUANTISERS: dict[str, Quantiser] = {"uniform": uniform_symmetric, "kmeans": k_means}


def quantiser_named(name: str) -> Quantiser:
    """The quantiser of that name; raises InputError for another."""
    if name not in QUANTISERS:
        raise InputError(f"unknown quantiser '{name}' (known: {', '.join(QUANTISERS)})")
    return QUANTISERS[name]


def relative_errors(rows: Floats, bits: int, quantiser: Quantiser) -> Floats:
    """‖w - q(w)‖² / ‖w‖² of every row [K], 0 for a row of zeros: 1 is what cutting the channel would cost."""
    norms = (rows**2).sum(axis=1)
    errors = ((rows - quantiser(rows, bits)) ** 2).sum(axis=1)
    return np.asarray(np.where(norms > 0, errors / np.where(norms > 0, norms, 1.0), 0.0), np.float64)
