"""`fmapsim simulate`: what a trace costs on an accelerator."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from simulator.commands.arguments import (
    available_cores,
    check_own_folder,
    one_blas_thread,
    output_folder,
    parsed_overrides,
)
from simulator.commands.energy_notes import energy_notes
from simulator.commands.summary import array_text, bound_text, heaviest_layers, pruning_text, spread_table, totals_table
from simulator.commands.terminal import console, print_json, print_table, printable, progress
from simulator.commands.trace import accuracy_text
from simulator.errors import InputError
from simulator.trace.find import find_trace
from simulator.trace.selection import selected_images
from simulator.whole_file import whole_file

if TYPE_CHECKING:
    from rich.console import Console

    from simulator.hardware.accelerator import Accelerator
    from simulator.report.report import Report
    from simulator.trace.trace import Trace

BASELINE = "baseline"
"""The run without pruning, and its folder inside the pruned run's."""

PRUNED = "pruned"
"""What the run with pruning is called beside its baseline."""

ACCELERATOR_FILE = "accelerator.yaml"
"""The accelerator that ran, with all changes, as a file to simulate again."""

_MOST = 5
_BATCHES_PER_WORKER = 3


def simulate(
    trace: Annotated[
        str,
        typer.Argument(
            metavar="TRACE", help="A recorded trace, a built-in network, a trace file, or a SCALE-Sim topology .csv."
        ),
    ],
    hardware: Annotated[
        str, typer.Option("--hardware", metavar="NAME_OR_FILE", help="An accelerator that ships, or a YAML file.")
    ],
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="The folder for report, tables and figures.")],
    pruning: Annotated[
        Literal["none", "dynamic"], typer.Option("--pruning", help="dynamic also simulates the baseline without it.")
    ] = "none",
    epsilon: Annotated[
        float | None,
        typer.Option(
            "--epsilon", metavar="X", help="Of dynamic pruning; must be the recording's, which is the default."
        ),
    ] = None,
    images: Annotated[
        str | None,
        typer.Option("--images", metavar="IMAGES", help="Which of the trace's: 0:8, 3 or 1,5,9; all if left out."),
    ] = None,
    batch: Annotated[int, typer.Option("--batch", min=1, help="Images that run together.")] = 1,
    overrides: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Change one hardware setting; repeat for more."),
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option("--workers", min=1, metavar="N", help="Processes that share the images; all cores if left out."),
    ] = None,
    figures: Annotated[bool, typer.Option("--figures/--no-figures", help="Draw figures.")] = True,
    titles: Annotated[
        bool, typer.Option("--titles/--no-titles", help="Write titles into figures; without for papers with captions.")
    ] = True,
    timeline: Annotated[
        Path | None,
        typer.Option(
            "--timeline", metavar="FILE.json", help="Also write what happens when, for ui.perfetto.dev; see below."
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON; all else goes to stderr.")] = False,
) -> None:
    """Simulate a network on an accelerator.

    Prints DRAM traffic, cycles, energy and utilisation, and writes them in full to --out: report.json, one Parquet
    table each for layers, traffic, energy, schedule, images and their spread, the accelerator as a file, and figures.
    Figures over several images are means; the spread over them (5th to 95th percentile, worst) is shown below.

    With --pruning dynamic the folder holds the pruned run, its folder baseline the run without pruning.

    --timeline writes trace-event JSON, which ui.perfetto.dev and chrome://tracing open: DRAM streams, DMA requests,
    buffers, and what the array does or waits for, by layer and tile; of the first batch, with pruning where there is.

    \b
    Examples:
      fmapsim simulate squeezenet1_1 --hardware eyeriss --out report
      fmapsim simulate squeezenet1_1 --hardware edge-npu --images 0:2 \\
          --pruning dynamic --set buffers.ifm.capacity="64 KiB" --out report
      fmapsim simulate resnet50 --hardware mine.yaml --out report
      fmapsim simulate my.trace.safetensors --hardware eyeriss --images 0:100 \\
          --workers 2 --out report
      fmapsim simulate squeezenet1_1 --hardware eyeriss --images 0 --out report \\
          --timeline timeline.json
    """
    if epsilon is not None and pruning != "dynamic":
        raise InputError("--epsilon belongs to --pruning dynamic")
    _check_out(out)
    one_blas_thread()
    from simulator.hardware.load import load_accelerator
    from simulator.hardware.sram_energy import energies_left_behind

    changes = parsed_overrides(overrides or [])
    found = find_trace(trace)
    chosen = None
    if images is not None:
        if not found.has_maps:
            raise InputError(f"--images {images}: trace '{found.name}' holds shapes only, so it has no images")
        chosen = selected_images(images, found.image_count, "--images")
    dynamic = pruning == "dynamic"
    places = (out / BASELINE if dynamic else out, out if timeline is None else timeline.parent)
    with output_folder(out), output_folder(places[0]), output_folder(places[1]):
        reports = _run(
            found,
            hardware,
            dynamic=dynamic,
            epsilon=epsilon,
            images=chosen,
            batch=batch,
            changes=changes,
            workers=workers or _workers(found, chosen, batch),
            timeline=timeline,
        )
        origin = _origin(trace, found)
        reports = {name: replace(report, meta={**report.meta, **origin}) for name, report in reports.items()}
        report = list(reports.values())[-1]
        accelerator = load_accelerator(hardware, changes)
        written = _write(reports, out, accelerator, figures=figures, titles=titles)
    text = console(stderr=as_json)
    _summarise(reports, found, text, energy_notes(energies_left_behind(accelerator, changes)))
    text.print(f"\nWritten to {out}: {written}", soft_wrap=True)
    if timeline is not None:
        text.print(f"Written to {timeline}: the timeline of {_first_batch(report)}", soft_wrap=True)
    if as_json:
        from simulator.report.save import report_json

        baseline = {BASELINE: report_json(reports[BASELINE])} if dynamic else {}
        print_json(report_json(report) | baseline)


def _check_out(out: Path) -> None:
    from simulator.report.save import TABLES

    own = ["report.json", *(f"{table}.parquet" for table in TABLES)]
    check_own_folder(out, [*own, *(f"{BASELINE}/{name}" for name in own)], "report")


def _origin(argument: str, trace: "Trace") -> dict[str, str]:
    """What a report keeps of its trace so that the run can be made again.

    trace_reference: the name that was given, or the file's whole path; trace_sha256: of its content.
    """
    from simulator.study.inputs import content_sha256

    path = Path(argument)
    return {
        "trace_reference": str(path.resolve()) if path.is_file() else argument,
        "trace_sha256": content_sha256(trace),
    }


def _run(
    trace: "Trace",
    hardware: str,
    *,
    dynamic: bool,
    epsilon: float | None,
    images: list[int] | None,
    batch: int,
    changes: dict[str, Any],
    workers: int,
    timeline: Path | None,
) -> "dict[str, Report]":
    """The report by the accelerator's name, or with dynamic pruning the reports "baseline" and "pruned"."""
    from simulator.api import simulate as run
    from simulator.machine.pruning import DynamicPruning

    def report_of(what: str, asked: DynamicPruning | None, timeline: Path | None = None) -> "Report":
        with progress(what, "batches") as advance:
            return run(
                trace,
                hardware,
                images=images,
                pruning=asked,
                batch=batch,
                overrides=changes,
                workers=workers,
                timeline=timeline,
                progress=advance,
            )

    if not dynamic:
        report = report_of("simulate", None, timeline)
        return {str(report.meta["accelerator"]): report}
    pruned = report_of("simulate with pruning", DynamicPruning(epsilon), timeline)
    return {BASELINE: report_of("simulate without", None), PRUNED: pruned}


def _workers(trace: "Trace", images: list[int] | None, batch: int) -> int:
    """As many processes as there are cores, but none for fewer batches than are worth starting it."""
    batches = (trace.image_count if images is None else len(images)) // batch
    return max(1, min(available_cores(), batches // _BATCHES_PER_WORKER))


def _write(reports: "dict[str, Report]", out: Path, accelerator: "Accelerator", *, figures: bool, titles: bool) -> str:
    """Writes everything, the run asked for into `out` itself; returns in words what was written."""
    from simulator.commands.report import PAGE
    from simulator.commands.settings import settings_yaml
    from simulator.report.save import TABLES, remove_report, save_report

    *baseline, report = reports.values()
    what = ["report.json", f"{len(TABLES)} tables (.parquet)", ACCELERATOR_FILE]
    old = out / BASELINE
    (old / PAGE).unlink(missing_ok=True)
    if baseline:
        save_report(baseline[0], old)
        what.append(f"{BASELINE}/")
    else:  # another run's, which this run is no pruned version of
        remove_report(old)
    if (out / PAGE).is_file():
        (out / PAGE).unlink()
        what.append(f"without the earlier run's {PAGE}")
    save_report(report, out)
    with whole_file(out / ACCELERATOR_FILE) as temporary:
        temporary.write_text(settings_yaml(accelerator), encoding="utf-8")
    if figures:
        from simulator.report.figures.save import FORMATS, NAMES, save_figures

        drawn = save_figures(reports, out / "figures", titles=titles)
        for path in set((out / "figures").iterdir()) - set(drawn):
            known = path.stem in NAMES or path.stem.startswith("roofline-")
            if known and path.suffix.removeprefix(".") in FORMATS:  # of an earlier run, on other images or with pruning
                path.unlink()
        what.append(f"figures/ ({len(drawn)} files)")
    elif (out / "figures").is_dir():
        what.append("figures/ is an earlier run's")
    return ", ".join(what)


def _summarise(reports: "dict[str, Report]", trace: "Trace", text: "Console", more_notes: Sequence[str]) -> None:
    report = list(reports.values())[-1]
    text.print(f"{printable(trace.name)} on {printable(str(report.meta['accelerator']))}, {_what_ran(report)}")
    text.print(pruning_text(report.meta["pruning"]))
    if trace.accuracy:
        text.print(accuracy_text(trace.accuracy))
    for note in [*_notes(trace, report), *more_notes]:
        text.print(f"note: {note}")
    text.print()
    print_table(text, totals_table(reports))
    text.print()
    for name, each in reports.items():
        of = f"{name} " if len(reports) > 1 else ""
        if bound := bound_text(each):
            text.print(f"{of}bound by: {bound} of the cycles")
    if where := array_text(report.totals):
        text.print(where)
    if len(report.images) > 1:
        text.print(f"\nSpread over {len(report.images)} {'images' if report.meta['batch'] == 1 else 'batches'}:")
        print_table(text, spread_table(reports))
    shown = min(_MOST, len(report.layers))
    text.print(f"\nThe {shown} layers with most DRAM traffic:" if shown > 1 else "")
    print_table(text, heaviest_layers(reports, _MOST))


def _first_batch(report: "Report") -> str:
    images = report.meta["images"][0]
    return f"image{'s' if len(images) > 1 else ''} {', '.join(map(str, images))}" if images else "one batch"


def _what_ran(report: "Report") -> str:
    batches, batch = report.meta["images"], report.meta["batch"]
    if not report.meta["trace_has_maps"]:
        return "one image" if batch == 1 else f"a batch of {batch} images"
    if len(batches) == 1:
        listed = ", ".join(map(str, batches[0]))
        return f"image {listed}" if batch == 1 else f"one batch: images {listed}"
    return f"mean of {len(batches)} images" if batch == 1 else f"mean of {len(batches)} batches of {batch} images"


def _notes(trace: "Trace", report: "Report") -> list[str]:
    """What a reader must know to take the figures for what they are."""
    if not trace.has_maps:
        nothing = "; so nothing is pruned, and the unit only costs" if report.meta["pruning"] != "none" else ""
        return [f"shapes only: dense, every value counts as non-zero{nothing} (`fmapsim extract` records real zeros)"]
    recorded = trace.pruning
    if recorded is None or recorded.epsilon == 0:
        return []
    if report.meta["pruning"] == "none":
        return ["the trace was recorded with pruning: its zeros are here, what hardware gains by flags is not"]
    return ["the baseline is the same recording, pruned zeros included, on hardware that does not flag them"]
