"""What bounds a layer: the resource that was busy longest, read off the counters of the report."""

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    import pandas as pd

Values = npt.NDArray[np.float64]

STREAMS = ("ifm", "kernel", "ofm", "psum")
LATENCY_SHARE = 0.5
"""A layer is bound by latency when no resource is busy for more than this part of its time."""


def bounds(layers: "pd.DataFrame") -> list[str]:
    """What bounds each layer of a report's table of layers.

    "array", "vector unit", "buffers" (their ports and banks), "DRAM: ifm" (or kernel, ofm, psum: the stream that the
    array waited for most), "overhead" (before the layer), "latency" (nothing is busy for more than half of the time:
    tiles wait for each other), or "" for a layer that takes no time. DRAM counts with what turnarounds, rows and
    refresh cost it.
    """
    cycles, array, dram = _column(layers, "cycles"), _array_cycles(layers), _dram_cycles(layers)
    overhead, held_up = _column(layers, "overhead_cycles"), _column(layers, "buffer_stall_cycles")
    waits = np.stack([_column(layers, f"stall_{stream}_cycles") for stream in STREAMS])
    busiest = np.argmax(np.stack([array, dram, overhead]), axis=0)
    longest = np.maximum(np.maximum(array, dram), overhead)
    on_array = np.where(_column(layers, "vector_cycles") > array / 2, "vector unit", "array")
    on_array = np.where(2 * held_up > array, "buffers", on_array)
    by_dram = np.array([f"DRAM: {stream}" for stream in STREAMS])[waits.argmax(axis=0)]
    found = np.choose(busiest, [on_array, by_dram, np.full(len(cycles), "overhead")])
    found = np.where(longest < LATENCY_SHARE * cycles, "latency", found)
    return [str(bound) for bound in np.where(cycles > 0, found, "")]


def bound_shares(layers: "pd.DataFrame") -> dict[str, float]:
    """What part of a report's cycles is in layers bound by what, largest first; the streams of DRAM as one "DRAM".

    The shares add up to 1; empty where nothing takes time.
    """
    cycles = _column(layers, "cycles")
    shares: dict[str, float] = {}
    for bound, share in zip(bounds(layers), cycles / (cycles.sum() or 1), strict=True):
        resource = bound.partition(":")[0]
        shares[resource] = shares.get(resource, 0.0) + float(share)
    shares.pop("", None)
    return dict(sorted(shares.items(), key=lambda pair: -pair[1]))


def _array_cycles(layers: "pd.DataFrame") -> Values:
    """Cycles of all tile steps, those in which the buffers hold the array up included."""
    return _column(layers, "compute_cycles") + _column(layers, "buffer_stall_cycles")


def _dram_cycles(layers: "pd.DataFrame") -> Values:
    """Cycles in which DRAM moves data or cannot, because of what it moved before."""
    lost = ("busy", "turnaround", "group", "row", "refresh")
    return np.asarray(sum(_column(layers, f"dram_{name}_cycles") for name in lost), np.float64)


def _column(layers: "pd.DataFrame", name: str) -> Values:
    return layers[name].to_numpy(np.float64) if name in layers else np.zeros(len(layers))
