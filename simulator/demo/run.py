"""The demo's story: train, record, prune, simulate, compare."""

import contextlib
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from rich import box
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from simulator.api import simulate
from simulator.demo import digits
from simulator.extract.extract import extract
from simulator.report.figures import save_figures
from simulator.report.page import save_page
from simulator.report.report import Report
from simulator.report.save import save_report
from simulator.trace.trace import Trace
from simulator.whole_file import check_writable

ACCELERATORS = ("eyeriss", "edge-npu")
EPSILONS = (0.2, 0.3, 0.4)
KEEP = 0.5
PAGE = ("dense", "static + dynamic")
"""The variants beside each other on an accelerator's page."""
SIMULATED_IMAGES = 8


@dataclass(frozen=True)
class Variant:
    """One way to run the network: its trace, and whether the accelerator prunes at run time."""

    name: str
    trace: Trace
    dynamic: bool


@dataclass(frozen=True)
class Row:
    """One line of the table."""

    accelerator: str
    variant: str
    accuracy: float
    report: Report


def run_demo(
    out: Path, *, epochs: int = 12, images: int = SIMULATED_IMAGES, console: Console | None = None
) -> list[Row]:
    """Runs the whole road and writes traces, reports, figures and pages below `out`; returns the rows of the table.

    images: how many of the test images are simulated.

    Raises InputError when `out` cannot be written.
    """
    console = console or Console()
    check_writable(out)
    start = time.monotonic()
    torch.manual_seed(0)
    data = digits.load_data()
    model = digits.DigitsNet()
    with _bar(console, "training a small CNN on 1,437 digits", epochs) as advance:
        digits.train(model, data, epochs, progress=advance)
    small = digits.cut_channels(model, KEEP)
    with _bar(console, "fine-tuning it after a cut of its weakest channels", epochs // 2) as advance:
        digits.train(small, data, epochs // 2, learning_rate=2e-3, progress=advance)
    variants = _record(model, small, data, out / "traces", console)
    rows = _simulate(variants, images, out, console)
    console.print(table(rows))
    console.print(
        f"Accuracy on {len(data.test_labels)} test images, costs as means over {images} of them, changes to dense.\n"
        "[bold]dense[/]: nothing pruned, with the zeros that it has. [bold]static[/]: half of the expanded channels "
        "are cut away. [bold]dynamic[/]: feature maps whose values all lie within epsilon of zero (epsilon times the "
        "layer's mean channel maximum) are neither stored nor loaded nor multiplied. Their flags take bytes too: where "
        f"few maps are flagged, more than they save. One image is {100 / len(data.test_labels):.1f} points of accuracy."
    )
    pages = " or ".join(str(out / f"{accelerator}.html") for accelerator in ACCELERATORS)
    console.print(f"Open {pages} in a browser: dense beside {PAGE[-1]}, layer by layer.", soft_wrap=True)
    console.print(f"Traces, reports and figures: {out}/  ({time.monotonic() - start:.0f} s)")
    return rows


def _record(
    model: digits.DigitsNet, small: digits.DigitsNet, data: digits.Digits, folder: Path, console: Console
) -> list[Variant]:
    images, labels = torch.split(data.test_images, 90), data.test_labels.numpy()
    provenance = {"command": "fmapsim demo", "images": "scikit-learn digits, 360 test images"}
    shutil.rmtree(folder, ignore_errors=True)
    with _bar(console, "recording feature maps", 2 + len(EPSILONS)) as advance:
        dense = extract(model, images, name="digits", labels=labels, out=folder / "digits", provenance=provenance)
        advance(1, 0)
        static = extract(
            small, images, name="digits-static", labels=labels, out=folder / "digits-static", provenance=provenance
        )
        advance(2, 0)
        variants = [Variant("dense", dense, False), Variant("static", static, False), Variant("dynamic 0", dense, True)]
        for done, epsilon in enumerate(EPSILONS):
            name = f"digits-epsilon-{epsilon:g}"
            trace = extract(
                model,
                images,
                name=name,
                labels=labels,
                epsilon=epsilon,
                relative=True,
                calibration=torch.split(data.train_images[:256], 64),
                out=folder / name,
                provenance=provenance,
            )
            variants.append(Variant(f"dynamic {epsilon:g}", trace, True))
            advance(3 + done, 0)
    return [*variants, Variant("static + dynamic", static, True)]


def _simulate(variants: list[Variant], images: int, out: Path, console: Console) -> list[Row]:
    rows = []
    with _bar(console, "simulating", len(ACCELERATORS) * len(variants)) as advance:
        for accelerator in ACCELERATORS:
            for variant in variants:
                report = simulate(
                    variant.trace,
                    accelerator,
                    images=range(images),
                    pruning="dynamic" if variant.dynamic else None,
                )
                save_report(report, out / "reports" / accelerator / variant.name.replace(" + ", "-").replace(" ", "-"))
                accuracy = variant.trace.accuracy
                assert accuracy is not None
                assert accuracy.top1 is not None
                rows.append(Row(accelerator, variant.name, accuracy.top1, report))
                advance(len(rows), 0)
            reports = {row.variant: row.report for row in rows if row.accelerator == accelerator}
            shown = ("dense", "static", f"dynamic {EPSILONS[-1]:g}")
            save_figures({name: reports[name] for name in shown}, out / "figures" / accelerator)
            save_page({name: reports[name] for name in PAGE}, out / f"{accelerator}.html")
    return rows


def table(rows: list[Row]) -> Table:
    """The comparison: accuracy in percent, DRAM bytes, cycles and energy, each beside its change to dense."""
    result = Table(
        title="What pruning saves, beside the accuracy it costs",
        title_justify="left",
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
        pad_edge=False,
    )
    result.add_column("pruning", no_wrap=True)
    for column in ("top-1 %", "+/-", "DRAM kB", "+/- %", "kcycles", "+/- %", "µJ", "+/- %"):
        result.add_column(column, justify="right", no_wrap=True)
    base: dict[str, Row] = {}
    for row in rows:
        dense = base.setdefault(row.accelerator, row)
        if dense is row:
            result.add_row(f"[bold]{row.accelerator}[/]")
        totals, reference = row.report.totals, dense.report.totals
        cells = [f"  {row.variant}", f"{100 * row.accuracy:.1f}", f"{100 * (row.accuracy - dense.accuracy):+.1f}"]
        for key, scale, decimals in (("dram_bytes", 1e3, 0), ("cycles", 1e3, 1), ("energy_pj", 1e6, 0)):
            change = 100 * (totals[key] / reference[key] - 1)
            cells += [f"{totals[key] / scale:,.{decimals}f}", f"{change:+.1f}"]
        if dense is row:
            cells[2::2] = ["", "", "", ""]
        result.add_row(*cells)
    return result


@contextlib.contextmanager
def _bar(console: Console, text: str, total: int) -> Iterator[Callable[[int, int], None]]:
    """A progress bar with the remaining time; yields a function of (steps done, steps)."""
    columns = (TextColumn("{task.description:<52}"), BarColumn(bar_width=20), TimeRemainingColumn())
    with Progress(*columns, console=console) as progress:
        task = progress.add_task(text, total=total)
        yield lambda done, _: progress.update(task, completed=done)
