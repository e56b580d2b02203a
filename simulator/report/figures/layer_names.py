"""Layers of several reports in one order, and their names short enough for an axis."""

from collections.abc import Iterable, Sequence

LONGEST = 18


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
    """The names without the leading parts that all share, long ones shortened in the middle; no two become equal."""
    bare = _without_common_parts(names)
    short = [_shortened(name, longest) for name in bare]
    return [name if short.count(shortened) > 1 else shortened for name, shortened in zip(bare, short, strict=True)]


def _without_common_parts(names: Sequence[str]) -> list[str]:
    parts = [name.split(".") for name in names]
    shared = 0
    if len(names) > 1:
        while all(len(part) > shared + 1 and part[shared] == parts[0][shared] for part in parts):
            shared += 1
    return [".".join(part[shared:]) for part in parts]


def _shortened(name: str, longest: int) -> str:
    if len(name) <= longest:
        return name
    tail = (longest - 1) * 3 // 5
    return f"{name[: longest - 1 - tail]}…{name[-tail:]}"
