"""L1 norm of a channel's filter: Li et al., "Pruning Filters for Efficient ConvNets", ICLR 2017."""

import numpy as np

from simulator.pruning.static.criteria.criterion import Criterion, Scores, Scoring, by_producer, filters


def _score(scoring: Scoring) -> Scores:
    return by_producer(scoring, lambda _, layer: np.abs(filters(layer)).sum(axis=1))


CRITERION = Criterion("l1", "Σ|w| over the filter", "Li et al., ICLR 2017", _score)
