"""The scale of the batch norm behind a channel: Liu et al., "Network Slimming", ICCV 2017."""

from torch import Tensor, nn

from simulator.pruning.static.criteria.criterion import Criterion, Floats, Scores, Scoring, merged, need_norms


def _scale(norm: nn.Module) -> Floats:
    weight = norm.weight
    assert isinstance(weight, Tensor)
    scale: Floats = weight.detach().abs().double().cpu().numpy()
    return scale


def _score(scoring: Scoring) -> Scores:
    scores = {}
    for group in scoring.prunable:
        need_norms(group, "bn_scale")
        scores[group.name] = merged([_scale(scoring.layer(m.layer))[m.channels].sum(axis=1) for m in group.norms])
    return scores


CRITERION = Criterion(
    "bn_scale", "|γ| of the batch norm behind", "Liu et al. (Network Slimming), ICCV 2017", _score, needs="batch norm"
)
