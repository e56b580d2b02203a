"""How sure a difference in accuracy is that was measured on the same images."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Bools = npt.NDArray[np.bool_]

Z_95 = 1.959963984540054
"""The standard normal quantile of 97.5 %: 2.5 % are cut off on either side."""


@dataclass(frozen=True)
class Difference:
    """A paired difference of two fractions of the same images, with its 95 % interval; all in -1..1."""

    value: float
    low: float
    high: float


def paired_difference(before: Bools, after: Bools) -> Difference:
    """after - before of the share of images that are right, with the 95 % interval of Bonett and Price.

    before, after: [images], whether each is right. Only images that change sides say anything: of n images, b turn
    wrong and c right. The interval is Wald's with one image added to each, (c - b)/(n + 2) ± z·√((p + q - (q - p)²)/
    (n + 2)), p = (b + 1)/(n + 2), q = (c + 1)/(n + 2), which keeps its coverage where few change sides
    (D. G. Bonett, R. M. Price, Journal of Educational and Behavioral Statistics 37, 2012).
    """
    count = len(before)
    lost, won = int((before & ~after).sum()), int((after & ~before).sum())
    p, q = (lost + 1) / (count + 2), (won + 1) / (count + 2)
    half = Z_95 * float(np.sqrt((p + q - (q - p) ** 2) / (count + 2)))
    return Difference((won - lost) / count, max(q - p - half, -1.0), min(q - p + half, 1.0))
