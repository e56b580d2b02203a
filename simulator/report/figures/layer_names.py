"""Layers of several reports in one order, and their names short enough for an axis."""

import re
from collections import Counter
from collections.abc import Iterable, Sequence

LONGEST = 17
STEMS = (4, 3)
"""Letters that are left of a word: first four, then three where that is not enough."""


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
    """The names without the leading parts that all share, words cut where one has more than `longest` characters.

    A word is cut alike in all names: features.10.expand3x3 and features.2.squeeze become feat.10.expand3x3 and
    feat.2.squeeze. No two names become equal; where nothing is left to cut a name stays longer.
    """
    shown = _without_common_parts(names)
    counts = Counter(word for name in shown for word in set(_words(name)))
    stems = {word: word for word in counts}
    for length in STEMS:
        tried: set[str] = set()
        while True:
            long = [name for name in shown if len(_cut(name, stems)) > longest]
            words = {word for name in long for word in _words(name) if len(stems[word]) > length} - tried
            if not words:
                break
            word = max(words, key=lambda word: (len(stems[word]) + (2 if 2 * counts[word] > len(shown) else 0), word))
            tried.add(word)
            shorter = {**stems, word: word[:length]}
            if len({_cut(name, shorter) for name in shown}) == len(set(shown)):
                stems = shorter
    return [_cut(name, stems) for name in shown]


def _words(name: str) -> list[str]:
    return re.findall(r"[^\W\d_]+", name)


def _cut(name: str, stems: dict[str, str]) -> str:
    return re.sub(r"[^\W\d_]+", lambda match: stems[match[0]], name)


def _without_common_parts(names: Sequence[str]) -> list[str]:
    parts = [name.split(".") for name in names]
    shared = 0
    if len(names) > 1:
        while all(len(part) > shared + 1 and part[shared] == parts[0][shared] for part in parts):
            shared += 1
    return [".".join(part[shared:]) for part in parts]
