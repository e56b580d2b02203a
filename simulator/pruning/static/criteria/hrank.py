"""HRank: the mean rank of a channel's feature maps. Lin et al., "HRank", CVPR 2020, eq. 4."""

import torch
from torch import Tensor

from simulator.pruning.static.criteria.criterion import Criterion, Scores, Scoring
from simulator.pruning.static.criteria.observe import mean_over_images


def _rank(maps: Tensor) -> Tensor:
    ranks: Tensor = torch.linalg.matrix_rank(maps.float()).double().mean(dim=2)
    return ranks


def _score(scoring: Scoring) -> Scores:
    return mean_over_images(scoring, "hrank", _rank)


CRITERION = Criterion(
    "hrank", "mean rank of the map that the next layer reads", "Lin et al. (HRank), CVPR 2020", _score, needs="images"
)
