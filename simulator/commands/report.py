"""`fmapsim report`: a report as one page for the browser."""

from pathlib import Path
from typing import Annotated

import typer

from simulator.commands.arguments import output_folder
from simulator.commands.terminal import console

PAGE = "report.html"


def report(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A folder that `fmapsim simulate` wrote.")],
    baseline: Annotated[
        Path | None,
        typer.Option("--baseline", metavar="DIR", help="What to hold it against; DIR/baseline where there is one."),
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", metavar="FILE.html", help=f"By default DIR/{PAGE}.")] = None,
) -> None:
    """Write a report as one HTML page that works offline.

    The page has a summary, figures to hover over and zoom into, the tile schedule and the bound of every layer, a table
    that sorts, and what it takes to make the run again. It is a single file that loads nothing else.

    \b
    Examples:
      fmapsim report report
      fmapsim report eyeriss --baseline edge-npu --out comparison.html
    """
    from simulator.commands.compare import run_names
    from simulator.commands.simulate import ACCELERATOR_FILE, BASELINE
    from simulator.report.page import save_page
    from simulator.report.save import load_report

    if baseline is None and (folder / BASELINE / "report.json").is_file():
        baseline = folder / BASELINE
    folders = [folder] if baseline is None else [baseline, folder]
    reports = {name: load_report(of) for name, of in zip(run_names(folders), folders, strict=True)}
    described = folder / ACCELERATOR_FILE
    text = described.read_text(encoding="utf-8") if described.is_file() else None
    path = folder / PAGE if out is None else out
    with output_folder(path.parent):
        save_page(reports, path, text)
    console().print(f"Written to {path}: open it in a browser", soft_wrap=True)
