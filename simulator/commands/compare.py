"""`fmapsim compare`: reports side by side."""

import difflib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from simulator.commands.arguments import output_folder
from simulator.commands.terminal import console, print_json, print_table, printable
from simulator.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rich.console import Console

    from simulator.report.report import Report

COMMON = ("dram_bytes", "cycles", "energy_pj", "utilisation", "macs_performed", "stall_cycles")
"""The columns of layers that people compare most."""


def compare(
    folders: Annotated[
        list[Path],
        typer.Argument(metavar="DIR", help="Folders that `fmapsim simulate` wrote; the first is the base."),
    ],
    layers: Annotated[
        bool, typer.Option("--layers", help="Also compare layer by layer, largest differences first.")
    ] = False,
    quantity: Annotated[
        str, typer.Option("--quantity", metavar="COLUMN", help="What --layers compares: dram_bytes, cycles, energy_pj…")
    ] = "dram_bytes",
    top: Annotated[int, typer.Option("--top", min=1, help="How many layers --layers shows.")] = 20,
    figures: Annotated[
        Path | None, typer.Option("--figures", metavar="DIR", help="Also draw figures of the reports into this folder.")
    ] = None,
    formats: Annotated[
        str, typer.Option("--formats", metavar="LIST", help="Of --figures: png, svg and pdf, with commas.")
    ] = "png,svg",
    titles: Annotated[
        bool,
        typer.Option("--titles/--no-titles", help="Write titles into --figures; without for papers with captions."),
    ] = True,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, all layers included with --layers.")] = False,
) -> None:
    """Compare reports that `fmapsim simulate` wrote.

    Changes are those from the first report. With --layers the layers that differ most between the first and the last
    report come first: one quantity in every report, each layer's share of the difference, and what bounds it, before
    and now (array, buffers, or DRAM with the stream that the array waits for).

    \b
    Examples:
      fmapsim compare report/baseline report --layers
      fmapsim compare eyeriss edge-npu scnn --figures figures \\
          --formats pdf --no-titles
    """
    from simulator.report.compare import compare_layers, layer_changes
    from simulator.report.save import load_report

    names = run_names(folders)
    if len(names) < 2:
        raise InputError(f"compare needs two or more report folders, found {len(names)}")
    reports = {name: load_report(folder) for name, folder in zip(names, folders, strict=True)}
    by_layer = changes = None
    if layers or quantity != "dram_bytes":
        _check_quantity(reports, quantity)
        by_layer = compare_layers(reports, quantity).to_dict("records")
        changes = layer_changes(reports, quantity).to_dict("records")
    drawn = []
    if figures is not None:
        from simulator.report.figures import save_figures

        with output_folder(figures):
            drawn = save_figures(reports, figures, [name.strip() for name in formats.split(",")], titles=titles)
    if as_json:
        print_json(_json(reports, by_layer, changes, quantity))
        return
    out = console()
    _print_totals(reports, out)
    if by_layer is not None and changes is not None:
        _print_layers(names, by_layer, changes, quantity, top, out)
    if figures is not None:
        out.print(f"\n{len(drawn)} figures written to {figures}", soft_wrap=True)


def run_names(folders: Sequence[Path]) -> list[str]:
    """What the runs are called: as `simulate` calls them where they are a baseline and its pruned run, else by their
    folders. Raises InputError for a folder given twice.
    """
    from simulator.commands.simulate import BASELINE, PRUNED

    names = short_names(folders)
    if len(folders) == 2 and folders[0].resolve() == folders[1].resolve() / BASELINE:
        return [BASELINE, PRUNED]
    return names


def short_names(folders: Sequence[Path]) -> list[str]:
    """Each folder's last part, or as many as tell it from the others. Raises InputError for a folder given twice."""
    parts = [folder.resolve().parts for folder in folders]
    for index, folder in enumerate(folders):
        if parts[index] in parts[:index]:
            raise InputError(f"{folder}: given twice")
    return [_shortest_end(part, parts) for part in parts]


def _shortest_end(path: tuple[str, ...], paths: Sequence[tuple[str, ...]]) -> str:
    length = 1
    while sum(other[-length:] == path[-length:] for other in paths) > 1:
        length += 1
    return "/".join(path[-length:])


def _check_quantity(reports: "Mapping[str, Report]", quantity: str) -> None:
    for report in reports.values():
        columns = [str(column) for column in report.layers.select_dtypes("number").columns]
        if quantity not in columns:
            near = difflib.get_close_matches(quantity, columns, n=1)
            raise InputError(
                f"--quantity: found '{quantity}', expected one of {', '.join(COMMON)}, or another column of numbers in "
                f"layers.parquet (docs/reading-reports.md){f'; did you mean {near[0]!r}?' if near else ''}"
            )


def _json(
    reports: "Mapping[str, Report]",
    layers: list[dict[Any, Any]] | None,
    changes: list[dict[Any, Any]] | None,
    quantity: str,
) -> dict[str, Any]:
    from simulator.report.compare import compare as compare_totals

    totals = compare_totals(reports)
    rows = totals.astype(object).where(totals.notna(), None).to_dict("records")
    return {"totals": rows} | ({} if layers is None else {"quantity": quantity, "layers": layers, "changes": changes})


def _print_totals(reports: "Mapping[str, Report]", out: "Console") -> None:
    from simulator.commands.summary import overview_table, pruning_text, totals_table

    for name, report in reports.items():
        meta = report.meta
        out.print(printable(f"{name}: {meta['trace']} on {meta['accelerator']}, {pruning_text(meta['pruning'])}"))
    for note in _notes(list(reports.values())):
        out.print(printable(f"note: {note}"))
    out.print()
    print_table(out, totals_table(reports, accuracy=True) if len(reports) == 2 else overview_table(reports))


def _notes(reports: "Sequence[Report]") -> list[str]:
    """What a reader must know of how the runs differ before any difference between their figures."""
    metas = [report.meta for report in reports]
    traces, accelerators = (list(dict.fromkeys(str(meta[key]) for meta in metas)) for key in ("trace", "accelerator"))
    layers = [set(zip(report.layers["layer"], report.layers["macs_dense"], strict=True)) for report in reports]
    notes = []
    if any(of != layers[0] for of in layers):
        common = "" if set.intersection(*({name for name, _ in of} for of in layers)) else ", with no layer in common"
        notes.append(f"these reports are of different networks{_named(traces)}{common}: differences are theirs too")
    elif len(traces) > 1 or len({meta["trace_sha256"] for meta in metas if "trace_sha256" in meta}) > 1:
        files = list(dict.fromkeys(str(meta.get("trace_reference", meta["trace"])) for meta in metas))
        notes.append(f"these reports are of different traces of a network{_named(traces if traces[1:] else files)}")
    if len(accelerators) > 1:
        notes.append(f"these reports are of different accelerators{_named(accelerators)}")
    elif any(meta["accelerator_settings"] != metas[0]["accelerator_settings"] for meta in metas):
        notes.append(f"the settings of {accelerators[0]} differ (accelerator.yaml of each report)")
    if len({meta["batch"] for meta in metas}) > 1:
        notes.append("the batches differ in size, and all figures are per batch")
    elif len(traces) == 1 and any(meta["images"] != metas[0]["images"] for meta in metas):
        notes.append("these reports are about different images of the trace")
    return notes


def _named(names: list[str]) -> str:
    return f" ({', '.join(names)})" if len(names) > 1 else ""


def _print_layers(
    names: Sequence[str],
    layers: list[dict[Any, Any]],
    changes: list[dict[Any, Any]],
    quantity: str,
    top: int,
    out: "Console",
) -> None:
    from simulator.commands.summary import layers_table

    change = f"change from {names[0]} to {names[-1]}, largest differences first"
    out.print()
    out.print(printable(f"{quantity} by layer, {change}"))
    print_table(out, layers_table(names, layers[:top], changes[:top], quantity))
    if len(layers) > top:
        out.print(f"and {len(layers) - top} more layers (--top {len(layers)} shows all)")
