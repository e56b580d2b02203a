"""`fmapsim study`: many simulations described in one file, and what they say together."""

import contextlib
import signal
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from simulator.commands.arguments import available_cores, check_own_folder
from simulator.commands.designs import design_table, objectives_table, records
from simulator.commands.energy_notes import energy_notes
from simulator.commands.terminal import (
    complain,
    console,
    help_if_alone,
    print_json,
    print_table,
    printable,
    progress,
    table,
)
from simulator.errors import InputError
from simulator.whole_file import whole_file

if TYPE_CHECKING:
    from simulator.study.folder import About

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
TraceOption = Annotated[
    str | None, typer.Option("--trace", metavar="NAME", help="Of one trace alone, not means over all.")
]
ObjectivesOption = Annotated[
    str | None, typer.Option("--objectives", metavar="LIST", help="Instead of the study's: dram_bytes,energy_pj.")
]
TitlesOption = Annotated[
    bool, typer.Option("--titles/--no-titles", help="Write titles into figures; without for papers with captions.")
]
JSON = Annotated[bool, typer.Option("--json", help="Print JSON; all else goes to stderr.")]

_MOST = 10


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
    titles: TitlesOption = True,
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
    from simulator.study.folder import MARKS
    from simulator.study.run import run_study

    if workers is not None and scheduler is not None:
        raise InputError("--workers and --scheduler: expected one of them, found both")
    check_own_folder(out, [*MARKS, file.name], "study")  # a study file may lie in the folder of its study
    count, ran = 0 if scheduler is not None else workers or available_cores(), 0
    try:
        with _stopped_by_signals(), progress("study", "points") as advance:

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
    ended = f"{summary.points} points: {summary.done} done, {summary.failed} failed"
    text.print(f"{ended}; {summary.ran} of them ran now{excluded}")
    for note in energy_notes(summary.energies_left_behind):
        text.print(f"note: {note}")
    drawn = ""
    if figures and summary.done:
        from simulator.study.designs import done_results
        from simulator.study.figures import save_study_figures

        files = save_study_figures(*done_results(out), out / "figures", titles=titles)
        drawn = f", figures/ ({len(files)} files)"
    text.print(f"Written to {out}: results.parquet{drawn}", soft_wrap=True)
    if summary.failed:
        text.print(f"Why points failed: fmapsim study show {printable(str(out))}", soft_wrap=True)
    if as_json:
        print_json(vars(summary))


@contextlib.contextmanager
def _stopped_by_signals() -> Iterator[None]:
    """A batch system that ends a job sends SIGTERM first: it stops a run as Ctrl-C does.

    Libraries turn a KeyboardInterrupt that hits them into errors of their own; it comes out of here as what it is.
    """
    stopped = False

    def stop(*_: Any) -> None:
        nonlocal stopped
        stopped = True
        raise KeyboardInterrupt

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    except Exception:
        if stopped:
            raise KeyboardInterrupt from None
        raise
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@app.command()
def points(
    file: FileArgument,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="DIR", help="Its folder, to see how many points have ended.")
    ] = None,
    as_json: JSON = False,
) -> None:
    """Check a study file and count its points, without running any.

    A search by Optuna chooses its designs while it runs; its first round is shown.

    \b
    Examples:
      fmapsim study points study.yaml
      fmapsim study points study.yaml --out study --json
    """
    from simulator.study.run import planned
    from simulator.study.store import finished

    plan = planned(file)
    designs = next(plan.strategy.rounds(), [])
    every = plan.points(designs)
    ended = finished(out) if out is not None and out.is_dir() else {}
    search = plan.study.section.search
    found = {
        "study": plan.study.section.name,
        "method": search.method,
        "traces": [trace.label for trace in plan.traces],
        "accelerators": list(plan.space.axes),
        "space": plan.space.size,
        "designs": len(designs),
        "excluded": plan.strategy.excluded,
        "points": len(every),
        "ended": sum(one.key in ended for one in every),
    }
    if as_json:
        print_json(found)
        return
    text = console()
    text.print(f"{printable(plan.study.section.name)}: {len(every):,} points, {found['ended']:,} of them ended", end="")
    text.print(f" (the first round of {search.designs} designs)" if search.method in ("nsga2", "tpe") else "")
    rows = table(["", ""], [])
    rows.add_row("traces", printable(", ".join(trace.label for trace in plan.traces)))
    rows.add_row("images", printable(", ".join(dict.fromkeys(one for trace in plan.traces for one in trace.images))))
    for label, axes in plan.space.axes.items():
        rows.add_row("accelerator", printable(label))
        for axis in axes:
            values = ", ".join(_choice(choice) for choice in axis.choices)
            rows.add_row(f"  {printable(axis.name)}", printable(f"{len(axis.choices)}: {values}"))
    rows.add_row("pruning", ", ".join(plan.space.pruning))
    rows.add_row("designs", f"{len(designs):,} of {plan.space.size:,}, {plan.strategy.excluded:,} excluded")
    print_table(text, rows)
    for note in energy_notes(plan.energies_left_behind):
        text.print(f"note: {note}")


def _choice(choice: Mapping[str, Any]) -> str:
    first, *others = (str(value) for value in choice.values())
    return f"{first} …" if others else first


@app.command()
def show(folder: FolderArgument, as_json: JSON = False) -> None:
    """Show how far a study is, what its designs cost, and why points failed.

    \b
    Examples:
      fmapsim study show study
    """
    from simulator.study import folder as study_folder

    study, planned = study_folder.about(folder), study_folder.points(folder)
    results = study_folder.results(folder)
    done = results[results["status"] == "done"]
    failed = results[results["status"] == "failed"]
    errors = failed.groupby("error", sort=False).size().sort_values(ascending=False, kind="stable")
    if as_json:
        print_json(
            {
                "study": study.name,
                "points": len(planned),
                "done": len(done),
                "failed": len(failed),
                "cpu_seconds": float(results["cpu_seconds"].sum()) if len(results) else 0.0,
                "errors": {str(error): int(count) for error, count in errors.items()},
            }
        )
        return
    text = console()
    text.print(f"{printable(study.name)}: {len(planned):,} points, {len(done):,} done, {len(failed):,} failed")
    if study.description:
        text.print(printable(study.description))
    if len(done):
        took = float(results["cpu_seconds"].sum())
        text.print(f"{took:,.0f} s of CPU time, {took / len(results):.2f} s a point\n")
        print_table(text, objectives_table(done, study.objectives))
    if len(failed):
        text.print("\nPoints failed because:")
        rows = table(["error"], ["points"])
        for error, count in errors.head(_MOST).items():
            rows.add_row(printable(str(error)), f"{count:,}")
        print_table(text, rows)
        if len(errors) > _MOST:
            text.print(f"and {len(errors) - _MOST} other reasons (results.parquet, column error)")


@app.command()
def pareto(
    folder: FolderArgument,
    objectives: ObjectivesOption = None,
    trace: TraceOption = None,
    figure: Annotated[
        Path | None,
        typer.Option("--figure", metavar="FILE", help="Draw the first two objectives: a .png, .svg or .pdf."),
    ] = None,
    colour: Annotated[str | None, typer.Option("--colour", metavar="COLUMN", help="What tells points apart.")] = None,
    titles: TitlesOption = True,
    as_json: JSON = False,
) -> None:
    """Show the designs that no other one beats in all objectives.

    Figures are geometric means over the traces and images of the study; only designs of which all points are done
    take part.

    \b
    Examples:
      fmapsim study pareto study
      fmapsim study pareto study --objectives dram_bytes,buffer_bytes \\
          --trace mobilenet_v2 --figure front.pdf
    """
    from simulator.commands.pareto_figure import draw_pareto
    from simulator.study.designs import done_results, goals_of
    from simulator.study.designs import pareto as front
    from simulator.study.sensitivity import settings_that_differ

    study, done = done_results(folder, trace)
    goals = goals_of(study, done, _names(objectives))
    if figure is not None:
        asked = list(goals) if objectives else None
        draw_pareto(figure, study, done, list(goals), colour, asked=asked, titles=titles)
    found = front(study, done, goals)
    if as_json:
        print_json(records(found))
        return
    text = console()
    text.print(f"{printable(study.name)}: {len(found)} designs on the front, {_over(study, trace)}\n")
    print_table(text, design_table(study, found, settings_that_differ(study, done), goals))
    if figure is not None:
        text.print(f"\nWritten to {figure}", soft_wrap=True)


@app.command()
def best(
    folder: FolderArgument,
    objective: Annotated[
        str | None, typer.Option("--objective", metavar="METRIC", help="The study's first objective if left out.")
    ] = None,
    trace: TraceOption = None,
    count: Annotated[int, typer.Option("--count", min=1, metavar="N", help="How many designs.")] = 5,
    as_json: JSON = False,
) -> None:
    """Show the best designs by one objective, with their other objectives.

    \b
    Examples:
      fmapsim study best study --objective energy_pj
      fmapsim study best study --objective seconds --trace mobilenet_v2 --count 20
    """
    from simulator.study.designs import best as best_designs
    from simulator.study.designs import done_results, goals_of
    from simulator.study.sensitivity import settings_that_differ

    study, done = done_results(folder, trace)
    metric, goal = next(iter(goals_of(study, done, [objective] if objective else []).items()))
    found = best_designs(study, done, metric, goal, count)
    if as_json:
        print_json(records(found))
        return
    text = console()
    text.print(f"{printable(study.name)}: the best by {metric} ({goal}), {_over(study, trace)}\n")
    metrics = dict.fromkeys([metric, *study.objectives])
    print_table(text, design_table(study, found, settings_that_differ(study, done), metrics))


@app.command()
def figures(
    folder: FolderArgument,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="DIR", help="Where they go; the study's figures/ if left out.")
    ] = None,
    formats: Annotated[str, typer.Option("--formats", metavar="LIST", help="Of png, svg and pdf.")] = "png,svg",
    titles: TitlesOption = True,
) -> None:
    """Draw the Pareto front, what each parameter does, and accuracy against bytes.

    \b
    Examples:
      fmapsim study figures study --formats pdf
    """
    from simulator.study.designs import done_results
    from simulator.study.figures import save_study_figures

    study, done = done_results(folder)
    drawn = save_study_figures(study, done, out or folder / "figures", _names(formats), titles=titles)
    text = console()
    text.print(f"Written to {out or folder / 'figures'}: {', '.join(path.name for path in drawn)}", soft_wrap=True)


@app.command()
def export(
    folder: FolderArgument,
    out: Annotated[Path, typer.Option("--out", metavar="FILE", help="A .csv, .json or .parquet file.")],
) -> None:
    """Write the table of results, one row per ended point.

    \b
    Examples:
      fmapsim study export study --out results.csv
    """
    from simulator.study.folder import results

    table_of = results(folder)
    writers: dict[str, Any] = {
        ".csv": lambda path: table_of.to_csv(path, index=False),
        ".json": lambda path: table_of.to_json(path, orient="records", indent=1),
        ".parquet": lambda path: table_of.to_parquet(path, index=False),
    }
    if out.suffix not in writers:
        raise InputError(f"--out {out}: expected a file that ends in {', '.join(writers)}")
    with whole_file(out) as temporary:
        writers[out.suffix](temporary)
    console().print(f"Written to {out}: {len(table_of):,} points", soft_wrap=True)


def _names(text: str | None) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()] if text else []


def _over(study: "About", trace: str | None) -> str:
    if trace is not None:
        return f"on {printable(trace)}"
    return "geometric means over its traces and images" if study.expected > 1 else "per image"
