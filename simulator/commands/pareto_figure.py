"""The figure of `fmapsim study pareto`."""

from pathlib import Path
from typing import TYPE_CHECKING

from simulator.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

    from simulator.study.folder import About


def draw_pareto(
    path: Path,
    study: "About",
    done: "pd.DataFrame",
    objectives: list[str],
    colour: str | None,
    *,
    asked: list[str] | None,
    titles: bool,
) -> None:
    """Draws the first two objectives into a file.

    asked: those that were given on the command line. Raises InputError for another kind of file, a single objective or
    an unknown column.
    """
    from simulator.report.figures.save import FORMATS, save_figure
    from simulator.study.figures import pareto_figure

    if path.suffix.removeprefix(".") not in FORMATS:
        raise InputError(f"--figure {path}: expected a file that ends in {', '.join(f'.{name}' for name in FORMATS)}")
    if len(objectives) < 2:
        raise InputError("--figure draws two objectives, found one")
    if colour is not None and colour not in done.columns:
        raise InputError(f"--colour {colour}: no such column in the results")
    drawn = pareto_figure(study, done, objectives[0], objectives[1], colour, asked=asked, titles=titles)
    save_figure(drawn, path.with_suffix(""), [path.suffix.removeprefix(".")])
