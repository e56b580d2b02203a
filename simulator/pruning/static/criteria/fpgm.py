"""FPGM: filters near the geometric median of their layer can be replaced by the others.

He et al., "Filter Pruning via Geometric Median", CVPR 2019, eq. 4: the sum of a filter's distances to all others. Signs
are kept: a filter and its negative are far apart.
"""

import numpy as np

from simulator.pruning.static.criteria.criterion import Criterion, Floats, Scores, Scoring, by_producer, filters


def distances(rows: Floats) -> Floats:
    """Sum of each row's Euclidean distances to all rows: [K]."""
    sums = np.empty(len(rows))
    for number, row in enumerate(rows):  # differences, not a Gram matrix, which loses the small distances
        sums[number] = np.sqrt(((rows - row) ** 2).sum(axis=1)).sum()
    return sums


def _score(scoring: Scoring) -> Scores:
    return by_producer(scoring, lambda _, layer: distances(filters(layer)))


CRITERION = Criterion("fpgm", "Σ_k ‖w - w_k‖₂ over the layer's filters", "He et al. (FPGM), CVPR 2019", _score)
