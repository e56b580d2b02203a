"""DI: how much a channel adds to what a layer's outputs say about the classes; see `discriminant` for the formulas.

Read where each convolution or linear layer writes, before batch norm and activation, as the author's code does; the φ
of all batches add up.
"""

import numpy as np
from torch import Tensor

from simulator.pruning.static.criteria.criterion import Criterion, Floats, Scores, Scoring, by_producer
from simulator.pruning.static.criteria.observe import run
from simulator.pruning.static.discriminant import discriminant_scores


def channel_scores(scoring: Scoring, layers: list[str]) -> dict[str, Floats]:
    """φ [K] of every output channel of `layers`, summed over the batches."""
    settings = scoring.settings
    images = scoring.images("di")
    scores: dict[str, Floats] = {}
    for batch, labels in images.drawn(settings.batch_size, settings.batches, settings.classes_per_batch, settings.seed):

        def see(layer: str, maps: Tensor, labels: Tensor = labels) -> None:
            _, phi = discriminant_scores(maps, labels, settings.rho)
            scores[layer] = scores.get(layer, np.zeros(len(phi))) + phi

        run(scoring.model, [batch], layers, see, inputs=False)
    return scores


def _score(scoring: Scoring) -> Scores:
    layers = list(dict.fromkeys(member.layer for group in scoring.prunable for member in group.producers))
    scores = channel_scores(scoring, layers)
    return by_producer(scoring, lambda name, _: scores[name])


CRITERION = Criterion(
    "di", "φ_j = 2ρ ‖X_jᵀ (G + ρI)⁻¹ Y_c‖²", "Hou and Kung, ICPR 2020 (arXiv 2005.13796)", _score, needs="labels"
)
