"""L2 norm of a channel's filter, the score of soft filter pruning: He et al., "SFP", IJCAI 2018."""

import numpy as np

from simulator.pruning.static.criteria.criterion import Criterion, Scores, Scoring, by_producer, filters


def _score(scoring: Scoring) -> Scores:
    return by_producer(scoring, lambda _, layer: np.sqrt((filters(layer) ** 2).sum(axis=1)))


CRITERION = Criterion("l2", "√Σw² over the filter", "He et al. (SFP), IJCAI 2018", _score)
