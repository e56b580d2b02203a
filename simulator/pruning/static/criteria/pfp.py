"""PFP: the largest share that a channel has in any output of the next layer.

Liebenwein et al., "Provable Filter Pruning", ICLR 2020, eq. 2 ("Sampling" in tables): the maximum over images and
outputs of |x_c| / Σ_d |x_d|, where x_c is what channel c adds to the output. Magnitudes stand for the paper's separate
treatment of positive and negative parts, and channels are ranked, not sampled.
"""

import numpy as np
import torch

from simulator.pruning.static.criteria.contributions import every_contribution, inputs_seen
from simulator.pruning.static.criteria.criterion import Criterion, Scores, Scoring

_ELEMENTS_AT_A_TIME = 1 << 24


def _score(scoring: Scoring) -> Scores:
    largest = {group.name: np.zeros(group.units) for group in scoring.prunable}
    for group, member, layer, patch in inputs_seen(scoring, "pfp"):
        weight = layer.weight
        assert isinstance(weight, torch.Tensor)
        at_once = max(1, _ELEMENTS_AT_A_TIME // (len(weight) * patch.shape[1]))
        for part in torch.split(patch, at_once):
            added = every_contribution(layer, part, member).abs()
            share = added / added.sum(dim=-1, keepdim=True).clamp_min(torch.finfo(added.dtype).tiny)
            found = share.amax(dim=(0, 1)).double().numpy()
            largest[group.name] = np.maximum(largest[group.name], found)
    return largest


CRITERION = Criterion(
    "pfp",
    "max over images and outputs of |x_c| / Σ|x_d| in the next layer",
    "Liebenwein et al. (PFP), ICLR 2020",
    _score,
    needs="images",
    comparable=True,
)
