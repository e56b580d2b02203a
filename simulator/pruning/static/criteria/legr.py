"""LeGR: one global ranking by an affine function of each layer's filter norms.

Chin et al., "Towards Efficient Model Compression via Learned Global Ranking", CVPR 2020: α_l‖w‖² + κ_l, where α and κ
of each layer are found by regularised evolution. `Settings.affine` holds them; `search` finds them.
"""

from collections import deque
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from simulator.pruning.static.criteria.criterion import Criterion, Floats, Scores, Scoring, by_producer, filters

Affine = Mapping[str, tuple[float, float]]


def _score(scoring: Scoring) -> Scores:
    norms = by_producer(scoring, lambda _, layer: (filters(layer) ** 2).sum(axis=1))
    affine = scoring.settings.affine
    return {name: _line(affine.get(name, (1.0, 0.0)), values) for name, values in norms.items()}


def _line(line: tuple[float, float], values: Floats) -> Floats:
    return np.asarray(line[0] * values + line[1], np.float64)


def search(
    groups: Sequence[str],
    fitness: Callable[[Affine], float],
    *,
    spread: float = 1.0,
    population: int = 16,
    sample: int = 4,
    steps: int = 64,
    mutated: float = 0.1,
    seed: int = 0,
) -> Affine:
    """The (α, κ) by group of the highest `fitness` (say, accuracy after pruning to the budget) seen in a search.

    Regularised evolution (Real et al., AAAI 2019) as LeGR runs it: of `sample` members the fittest is mutated and the
    oldest leaves. A mutation redraws a share `mutated` of the groups: α times a log-normal factor, κ plus a normal
    step, both of `spread`.
    """
    generator = np.random.default_rng(seed)

    def changed(parent: Affine, share: float) -> Affine:
        child = dict(parent)
        count = max(1, round(share * len(groups)))
        for number in generator.choice(len(groups), count, replace=False):
            alpha, kappa = child[groups[number]]
            factor, step = np.exp(generator.normal(0, spread)), generator.normal(0, spread)
            child[groups[number]] = (float(alpha * factor), float(kappa + step))
        return child

    first: Affine = dict.fromkeys(groups, (1.0, 0.0))
    best = (fitness(first), first)
    alive: deque[tuple[float, Affine]] = deque([best])
    for _ in range(steps):
        if len(alive) < population:
            child = changed(first, 1.0)
        else:
            rivals = [alive[number] for number in generator.choice(len(alive), min(sample, len(alive)), replace=False)]
            child = changed(max(rivals, key=lambda member: member[0])[1], mutated)
            alive.popleft()
        member = (fitness(child), child)
        alive.append(member)
        best = max(best, member, key=lambda entry: entry[0])
    return best[1]


CRITERION = Criterion(
    "legr", "α_l Σw² + κ_l, (α, κ) per layer", "Chin et al. (LeGR), CVPR 2020", _score, comparable=True
)
