"""Widths that are given: structure distillation, when they come from a greedy run (DI-SD)."""

import fnmatch
from collections.abc import Mapping

from simulator.errors import InputError
from simulator.pruning.static.groups import Prunable


def given(prunable: Prunable, widths: Mapping[str, float]) -> dict[str, int]:
    """Units kept by group, from `widths` by layer name or shell pattern; later entries win.

    A width is an integer number of channels, or a float share of them (0.5; 1.0 keeps all), to the nearest. Raises
    InputError for a layer that cannot be pruned, with the reason, and for a width that is not there.
    """
    found: dict[str, int] = {}
    for pattern, width in widths.items():
        groups = [
            group for group in prunable if any(fnmatch.fnmatchcase(m.layer, pattern) for m in group.producers)
        ] or [prunable.group_of(pattern)]
        for group in groups:
            per_unit = group.producers[0].channels.shape[1]
            channels = group.units * per_unit
            share = isinstance(width, float) and width <= 1
            kept = max(per_unit, int(channels * width + 0.5)) if share else int(width)
            if kept != width and not share:
                raise InputError(f"width of '{pattern}' is {width:g}, expected whole channels or a share up to 1.0")
            if not per_unit <= kept <= channels:
                raise InputError(f"width of '{pattern}' is {width:g}, expected {per_unit}..{channels} channels")
            found[group.name] = kept // per_unit
    return found
