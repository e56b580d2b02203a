"""`fmapsim criteria`: how channels can be scored."""

from typing import Annotated

import typer

from simulator.commands.arguments import need_torch
from simulator.commands.pruning import NEEDED
from simulator.commands.terminal import console, print_json, print_table, table


def criteria(as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> None:
    """List pruning criteria: formula, what they look at, source (needs PyTorch).

    \b
    Example:
      fmapsim criteria
    """
    need_torch("pruning", NEEDED)
    from simulator.pruning.static.criteria.registry import criteria as known

    if as_json:
        keys = ("name", "formula", "source", "needs", "comparable")
        print_json({"criteria": [{key: getattr(found, key) for key in keys} for found in known().values()]})
        return
    rows = table(["criterion", "needs", "score of a channel", "source"], [])
    for found in known().values():
        rows.add_row(found.name, found.needs, found.formula, found.source)
    print_table(console(), rows)
