"""Layers of several reports in one order, and their names short enough for an axis."""

from collections import Counter
from collections.abc import Iterable, Sequence

LONGEST = 22
"""Characters: as many as common names have (layer1.0.downsample.0), and what a page of figures has room for."""

HEAD_SHARES = (0.4, 0.25, 0.1)
"""Of what is left of a name, how much is its beginning: the end says what the layer is. Less where names get equal."""


def merged_order(orders: Iterable[Sequence[str]]) -> list[str]:
    """All names in one order: those that only a later sequence has stand behind what precedes them there."""
    merged: list[str] = []
    for order in orders:
        at = 0
        for name in order:
            if name in merged:
                at = merged.index(name) + 1
            else:
                merged.insert(at, name)
                at += 1
    return merged


def short_names(names: Sequence[str], longest: int = LONGEST) -> list[str]:
    """The names without the leading parts that all share, an ellipsis inside where one has more than `longest` letters.

    features.denseblock4.denselayer16.conv2 becomes features…layer16.conv2. No two names become equal: those that would
    keep less of their beginning, or stay as long as it takes to tell them apart.
    """
    shown = _without_common_parts(names)
    tries = dict.fromkeys(shown, 0)
    while True:
        cuts = {name: _cut_inside(name, longest, tried) for name, tried in tries.items()}
        counts = Counter(cuts.values())
        alike = [name for name, cut in cuts.items() if counts[cut] > 1]
        if not alike:
            return [cuts[name] for name in shown]
        for name in alike:
            tries[name] += 1


def _cut_inside(name: str, longest: int, tried: int) -> str:
    """The name with its middle replaced by an ellipsis where it is too long, in the way that comes after `tried`."""
    room = longest + tried // len(HEAD_SHARES)
    if len(name) <= room:
        return name
    head = round(HEAD_SHARES[tried % len(HEAD_SHARES)] * (room - 1))
    return f"{name[:head]}…{name[len(name) - (room - 1 - head) :]}"


def _without_common_parts(names: Sequence[str]) -> list[str]:
    parts = [name.split(".") for name in names]
    shared = 0
    if len(names) > 1:
        while all(len(part) > shared + 1 and part[shared] == parts[0][shared] for part in parts):
            shared += 1
    return [".".join(part[shared:]) for part in parts]
