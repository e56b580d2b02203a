"""The strongest pruning that stays within a loss of accuracy: a search over one number."""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Step:
    """One level that was tried on the calibration images: losses as fractions, and the share of maps flagged.

    loss: of top-1. expected_loss: of the mean of σ(margin of the right class), which counts images near the border in
    part and so varies less from one set of images to another. saved: what the flagged maps of an image are worth.
    """

    level: float
    loss: float
    expected_loss: float
    flagged: float
    saved: float

    def within(self, most: float) -> bool:
        """Whether both losses are at most that; a difference of shares such as 0.61 - 0.60 is not exactly 0.01."""
        return max(self.loss, self.expected_loss) <= most + 1e-9


def strongest(
    try_level: Callable[[float], Step], start: float, most: float, *, factor: float = 2.0, refinements: int = 2
) -> Step | None:
    """The step that saves most among the levels tried that stay within the loss; None when none does.

    From `start` the level is doubled (`factor`) while it stays within the loss, or halved until it does, eight times at
    most; what lies between the last two is halved in log scale `refinements` times.
    """
    tried = [try_level(start)]
    inside = tried[0].within(most)
    for _ in range(8):
        level = tried[-1].level * (factor if inside else 1 / factor)
        tried.append(try_level(level))
        if tried[-1].within(most) != inside:
            break
    else:
        return _best(tried, most)
    low, high = sorted(step.level for step in tried[-2:])
    for _ in range(refinements):
        middle = (low * high) ** 0.5
        tried.append(try_level(middle))
        low, high = (middle, high) if tried[-1].within(most) else (low, middle)
    return _best(tried, most)


def _best(tried: list[Step], most: float) -> Step | None:
    return max((step for step in tried if step.within(most)), key=lambda step: (step.saved, step.flagged), default=None)
