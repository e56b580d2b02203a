"""Runs of zeros in the order in which a feature map lies in memory."""

from collections.abc import Mapping

import numpy as np

from simulator.trace.zero_map import Bools, row_runs


def run_statistics(nonzero: Bools) -> Mapping[str, float]:
    """The maximal runs of zeros in a map of any shape, read in the order of its elements.

    runs: how many; mean_run, p95_run and longest_run: elements of one, 0 where there is no zero.
    """
    lengths = row_runs(~nonzero.reshape(1, -1)).length
    if not len(lengths):
        return {"runs": 0, "mean_run": 0.0, "p95_run": 0.0, "longest_run": 0}
    return {
        "runs": len(lengths),
        "mean_run": float(lengths.mean()),
        "p95_run": float(np.percentile(lengths, 95)),
        "longest_run": int(lengths.max()),
    }
