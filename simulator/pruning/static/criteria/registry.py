"""Criteria by name: every module of this package that holds a `CRITERION`."""

import difflib
import functools
import importlib
import pkgutil

from simulator.errors import InputError
from simulator.pruning.static.criteria.criterion import Criterion


@functools.cache
def criteria() -> dict[str, Criterion]:
    """All criteria by name, sorted."""
    package = importlib.import_module(__package__)
    found = {}
    for entry in pkgutil.iter_modules(package.__path__):
        module = importlib.import_module(f"{__package__}.{entry.name}")
        criterion = getattr(module, "CRITERION", None)
        if isinstance(criterion, Criterion):
            found[criterion.name] = criterion
    return dict(sorted(found.items()))


def criterion_named(name: str) -> Criterion:
    """The criterion called `name`. Raises InputError for an unknown one."""
    known = criteria()
    if name not in known:
        near = difflib.get_close_matches(name, known, n=1)
        hint = f"; did you mean '{near[0]}'?" if near else ""
        raise InputError(f"unknown criterion '{name}' (known: {', '.join(known)}){hint}")
    return known[name]
