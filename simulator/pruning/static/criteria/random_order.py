"""Random: the yardstick that every criterion has to beat."""

import numpy as np

from simulator.pruning.static.criteria.criterion import Criterion, Scores, Scoring


def _score(scoring: Scoring) -> Scores:
    generator = np.random.default_rng(scoring.settings.seed)
    return {group.name: generator.random(group.units) for group in scoring.prunable}


CRITERION = Criterion("random", "uniform in 0..1, from --seed", "the control of any comparison", _score)
