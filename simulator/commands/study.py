"""`fmapsim study`: many simulations described in one file, and what they say together."""

import contextlib
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from simulator.commands.arguments import available_cores
from simulator.commands.terminal import complain, console, help_if_alone, print_json, printable, progress
from simulator.errors import InputError

app = typer.Typer(
    help="""Try many designs: networks, accelerators, parameters, pruning.

    \b
    Examples:
      fmapsim study points study.yaml
      fmapsim study run study.yaml --out study
      fmapsim study pareto study
    """,
    short_help="Try many designs: networks, accelerators, parameters, pruning.",
    invoke_without_command=True,
    callback=help_if_alone,
)

FileArgument = Annotated[Path, typer.Argument(metavar="FILE", help="A study file (docs/study.md).")]
FolderArgument = Annotated[Path, typer.Argument(metavar="DIR", help="The folder of a study.")]
JSON = Annotated[bool, typer.Option("--json", help="Print JSON; all else goes to stderr.")]


@app.command()
def run(
    file: FileArgument,
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="The study's folder, made or gone on with.")],
    workers: Annotated[
        int | None, typer.Option("--workers", min=1, metavar="N", help="Processes; all cores if left out.")
    ] = None,
    scheduler: Annotated[
        str | None,
        typer.Option("--scheduler", metavar="ADDRESS", help="Of a Dask cluster that runs everything: tcp://HOST:8786."),
    ] = None,
    retry_failed: Annotated[bool, typer.Option("--retry-failed", help="Run points again that failed before.")] = False,
    figures: Annotated[bool, typer.Option("--figures/--no-figures", help="Draw figures.")] = True,
    as_json: JSON = False,
) -> None:
    """Run a study, or go on with it.

    Every point that has ended is kept at once, and never runs again: whatever stops a run (Ctrl-C, a kill, a full
    disk), the same command goes on. A point that fails is recorded with its error. A point is known by the content of
    its trace, its accelerator, pruning, images and fmapsim's version, so a study file can grow.

    DIR holds results.parquet, one row per point, and figures.

    \b
    Examples:
      fmapsim study run study.yaml --out study
      fmapsim study run study.yaml --out study --workers 8
      fmapsim study run study.yaml --out study --scheduler tcp://node1:8786
    """
    from simulator.study.run import run_study

    if workers is not None and scheduler is not None:
        raise InputError("--workers and --scheduler: expected one of them, found both")
    count = 0 if scheduler is not None else workers or available_cores()
    ran = 0
    with _terminated_as_interrupted():
        try:
            with progress("study", "points") as advance:

                def noted(done: int, total: int) -> None:
                    nonlocal ran
                    ran = done
                    advance(done, total)

                summary = run_study(
                    file, out, workers=count, scheduler=scheduler, retry_failed=retry_failed, progress=noted
                )
        except KeyboardInterrupt:
            complain(f"stopped after {ran} points; the same command goes on from there")
            raise
    text = console(stderr=as_json)
    excluded = f", {summary.excluded} designs excluded by constraints" if summary.excluded else ""
    text.print(
        f"{summary.points} points: {summary.done} done, {summary.failed} failed; {summary.ran} of them ran now{excluded}"
    )
    drawn = _drawn(out, text) if figures and summary.done else ""
    text.print(f"Written to {out}: results.parquet{drawn}", soft_wrap=True)
    if summary.failed:
        text.print(f"Why points failed: fmapsim study show {printable(str(out))}", soft_wrap=True)
    if as_json:
        print_json(vars(summary))


@contextlib.contextmanager
def _terminated_as_interrupted() -> Iterator[None]:
    """A batch system that ends a job sends SIGTERM first: it stops a run as Ctrl-C does."""

    def stop(*_: Any) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _drawn(out: Path, text: Any) -> str:
    return ""
