"""`fmapsim crosscheck`: a measurement beside what the simulator says of the same runs."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from simulator.commands.arguments import output_folder, parsed_overrides
from simulator.commands.terminal import console, print_json, print_table, progress, table
from simulator.errors import InputError
from simulator.whole_file import whole_file

if TYPE_CHECKING:
    import pandas as pd
    from rich.console import Console

    from simulator.measure.crosscheck import CrossCheck

_MOST = 10


def crosscheck(
    measurement: Annotated[Path, typer.Argument(metavar="MEASUREMENT", help="A file of `fmapsim measure`.")],
    hardware: Annotated[
        str, typer.Option("--hardware", metavar="NAME_OR_FILE", help="The accelerator file of the same device.")
    ],
    fitted: Annotated[
        str,
        typer.Option("--fitted", metavar="NETWORK[,NETWORK]...", help="Networks that its constants were fitted to."),
    ] = "",
    variant: Annotated[
        Literal["eager", "channels_last", "compile", "graph"], typer.Option("--variant", help="Which runs to look at.")
    ] = "eager",
    precision: Annotated[
        Literal["fp32", "tf32", "fp16", "bf16"] | None, typer.Option("--precision", help="Of the runs to look at.")
    ] = None,
    statistic: Annotated[
        Literal["median", "least"], typer.Option("--statistic", help="Of readings; least where others use the machine.")
    ] = "median",
    overrides: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Change one hardware setting; repeat for more."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="DIR", help="A folder for the tables (.csv) and the figure.")
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the table of networks and reductions as JSON.")
    ] = False,
) -> None:
    """Put measured times beside simulated ones.

    By network: error of the latency, rank correlation of the layers, and DRAM bytes where counters were read. By layer:
    the ratio, and what bounds it. For pruned networks: the reduction measured and the reduction simulated. Networks
    that constants of the device were fitted to are marked and not judged.

    \b
    Examples:
      fmapsim crosscheck measurements/cpu-xeon-avx512.json \\
          --hardware cpu-avx512 --fitted tinynet,squeezenet1_1 --out check
    """
    from simulator.measure.crosscheck import crosscheck as run
    from simulator.measure.schema import read_measurement

    changes = parsed_overrides(overrides or [])
    measured = read_measurement(measurement)
    names = [name.strip() for name in fitted.split(",") if name.strip()]
    if len(set(names)) < len(names):
        raise InputError(f"--fitted {fitted}: a network is given twice")
    with progress("simulating", "runs") as advance:
        found = run(
            measured,
            hardware,
            fitted=names,
            variant=variant,
            precision=precision,
            statistic=statistic,
            overrides=changes,
            progress=advance,
        )
    if out is not None:
        _write(found, out, f"{measurement.stem} and {Path(hardware).stem}")
    if as_json:
        print_json({name: _json_records(getattr(found, name)) for name in ("networks", "reductions")})
        return
    text = console()
    text.print(f"{measured.device.name}, measured {measured.taken}", soft_wrap=True)
    if len(precisions := list(found.networks["precision"].unique())) > 1:
        text.print(
            f"runs at {', '.join(precisions)}, all simulated on {Path(hardware).stem}; --precision chooses one",
            soft_wrap=True,
        )
    _summarise(found, text)
    if out is not None:
        text.print(f"wrote {out}")


def _summarise(found: "CrossCheck", text: "Console") -> None:
    shown = table(["network", "precision"], ["batch", "measured ms", "simulated ms", "error", "rank corr.", "fitted"])
    for row in _records(found.networks):
        shown.add_row(
            row["network"],
            row["precision"],
            str(row["batch"]),
            f"{row['measured_us'] / 1000:,.2f}",
            f"{row['simulated_us'] / 1000:,.2f}",
            f"{100 * row['error']:+.1f} %",
            f"{row['rank_correlation']:.3f}",
            "yes" if row["fitted"] else "",
        )
    print_table(text, shown)
    counted = found.networks.dropna(subset="measured_dram_bytes")
    if len(counted):
        shown = table(["network", "precision"], ["batch", "measured DRAM MB", "simulated DRAM MB", "error"])
        for row in _records(counted):
            measured, simulated = row["measured_dram_bytes"] / 1e6, row["simulated_dram_bytes"] / 1e6
            numbers = f"{measured:,.1f}", f"{simulated:,.1f}", f"{100 * (simulated / measured - 1):+.1f} %"
            shown.add_row(row["network"], row["precision"], str(row["batch"]), *numbers)
        text.print()
        print_table(text, shown)
    if len(found.reductions):
        shown = table(["pruned network", "precision"], ["batch", "measured", "simulated", "points"])
        for row in _records(found.reductions):
            percents = f"{row['measured_percent']:.1f} %", f"{row['simulated_percent']:.1f} %", f"{row['points']:+.1f}"
            shown.add_row(row["pruned"], row["precision"], str(row["batch"]), *percents)
        text.print()
        print_table(text, shown)
    far = found.far
    text.print(f"\n{len(far)} of {len(found.layers)} layers are off by more than a factor of 2; the longest of them:")
    shown = table(["network", "layer", "bound by"], ["batch", "measured µs", "simulated µs", "ratio"])
    for row in _records(far.head(_MOST)):
        times = f"{row['measured_us']:,.0f}", f"{row['simulated_us']:,.0f}", f"{row['ratio']:.2f}"
        shown.add_row(row["network"], row["layer"], row["bound"], str(row["batch"]), *times)
    print_table(text, shown)


def _write(found: "CrossCheck", out: Path, subject: str) -> None:
    from simulator.measure.figure import scatter
    from simulator.report.figures.style import publication_style

    with output_folder(out):
        for name in ("layers", "networks", "reductions"):
            with whole_file(out / f"{name}.csv") as temporary:
                getattr(found, name).to_csv(temporary, index=False)
        figure = scatter(found, subject)
        for suffix in ("png", "svg"):
            with whole_file(out / f"layers.{suffix}") as temporary, publication_style():
                figure.savefig(temporary, format=suffix, metadata={"Date": None} if suffix == "svg" else {})


def _records(frame: "pd.DataFrame") -> list[dict[str, Any]]:
    return [{str(key): value for key, value in row.items()} for row in frame.to_dict("records")]


def _json_records(frame: "pd.DataFrame") -> list[dict[str, Any]]:
    """The rows, with null for what is not a number: JSON has no NaN."""
    return [{key: None if value != value else value for key, value in row.items()} for row in _records(frame)]
