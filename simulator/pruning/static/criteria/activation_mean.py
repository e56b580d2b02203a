"""Mean magnitude of a channel's activations: Molchanov et al., ICLR 2017, section 2.2, and earlier work."""

from simulator.pruning.static.criteria.criterion import Criterion, Scores, Scoring
from simulator.pruning.static.criteria.observe import mean_over_images


def _score(scoring: Scoring) -> Scores:
    return mean_over_images(scoring, "activation_mean", lambda maps: maps.abs().mean(dim=(2, 3, 4)))


CRITERION = Criterion(
    "activation_mean",
    "mean |x| of the map that the next layer reads",
    "Molchanov et al., ICLR 2017, section 2.2",
    _score,
    needs="images",
)
