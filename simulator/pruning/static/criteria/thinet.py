"""ThiNet: cut the channels whose sum the next layer misses least.

Luo et al., "ThiNet", ICCV 2017, algorithm 1: at random outputs of the next layer, each channel adds x_c; channels join
the set T to cut one by one, always the one that keeps Σ (Σ_{c in T} x_c)² smallest. A channel's score is the place at
which it joins. The weights that are left are not fitted again by least squares; fine-tuning does that.
"""

import numpy as np
import torch

from simulator.pruning.static.criteria.contributions import contributions, inputs_seen
from simulator.pruning.static.criteria.criterion import Criterion, Floats, Scores, Scoring


def removal_order(gram: Floats) -> Floats:
    """The place [C] at which greedy removal takes each channel; gram [C, C] = Σ over samples of x_c x_d."""
    count = len(gram)
    place = np.empty(count)
    crossed = np.zeros(count)  # Σ over T of gram[c, t]
    left = np.ones(count, np.bool_)
    for step in range(count):
        cost = np.where(left, 2 * crossed + np.diag(gram), np.inf)
        chosen = int(cost.argmin())
        place[chosen] = step
        left[chosen] = False
        crossed += gram[chosen]
    return place


def _score(scoring: Scoring) -> Scores:
    generator = torch.Generator().manual_seed(scoring.settings.seed)
    grams = {group.name: np.zeros((group.units, group.units)) for group in scoring.prunable}
    for group, member, layer, patch in inputs_seen(scoring, "thinet"):
        weight = layer.weight
        assert isinstance(weight, torch.Tensor)
        outputs = torch.randint(len(weight), (len(patch), 1), generator=generator)
        added = contributions(layer, patch, outputs, member)[:, 0].double().numpy()
        grams[group.name] += added.T @ added
    return {name: removal_order(gram) for name, gram in grams.items()}


CRITERION = Criterion(
    "thinet",
    "place in greedy removal by Σ (Σ_{c in T} x_c)² of the next layer's outputs",
    "Luo et al. (ThiNet), ICCV 2017",
    _score,
    needs="images",
)
