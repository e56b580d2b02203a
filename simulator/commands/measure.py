"""`fmapsim measure`: what networks take on a real GPU or CPU."""

from pathlib import Path
from typing import Annotated, Any, Literal, get_args

import typer

from simulator.commands.arguments import need_torch
from simulator.commands.provenance import command_line
from simulator.commands.terminal import console, print_table, progress, table
from simulator.commands.validate import check_writable
from simulator.errors import InputError


def measure(
    context: typer.Context,
    networks: Annotated[
        list[str], typer.Argument(metavar="NETWORK...", help="Built-in networks, and rows of `networks --published`.")
    ],
    out: Annotated[Path, typer.Option("--out", metavar="FILE", help="The measurement to write (.json).")],
    device: Annotated[Literal["cuda", "cpu"], typer.Option("--device", help="What to run on.")] = "cpu",
    batch: Annotated[str, typer.Option("--batch", metavar="N[,N]...", help="Images that run together.")] = "1",
    precision: Annotated[
        str, typer.Option("--precision", metavar="NAME[,NAME]...", help="fp32, tf32, fp16, bf16.")
    ] = "fp32",
    variants: Annotated[
        str, typer.Option("--variants", metavar="NAME[,NAME]...", help="eager, channels_last, compile, graph.")
    ] = "eager",
    threads: Annotated[
        int | None, typer.Option("--threads", min=1, metavar="N", help="Of a CPU; all cores if left out.")
    ] = None,
    seconds: Annotated[float, typer.Option("--seconds", help="Of readings of each whole network.")] = 2.0,
    repeats: Annotated[int, typer.Option("--repeats", min=1, help="Runs in which every operator is read.")] = 15,
    zeros: Annotated[bool, typer.Option("--zeros", help="Also measure kernels on operands with zeros.")] = False,
    counters: Annotated[
        list[str] | None,
        typer.Option("--counters", metavar="NETWORK=FILE", help="DRAM bytes from Nsight Compute (.csv)."),
    ] = None,
) -> None:
    """Measure networks on a real device (needs PyTorch).

    Weights are random: dense kernels take the same time on all values. Every network is timed as a whole, and operator
    by operator while it runs; copying, multiplying matrices and launching are measured in the same session as the
    device's ceilings. `fmapsim crosscheck` puts what the simulator says beside it.

    \b
    Examples:
      fmapsim measure resnet18 mobilenet_v2 --batch 1,16 --out cpu.json
      fmapsim measure resnet50 budget/resnet50-di-unif --device cuda \\
          --batch 64 --precision fp32,bf16 --out gpu.json
    """
    need_torch("measuring", ("torch", "torch_pruning"))
    from simulator.measure.nsight import read_counters
    from simulator.measure.run import Request
    from simulator.measure.run import measure as run
    from simulator.measure.schema import Precision, Variant, write_measurement

    check_writable(out)
    files = dict(_pair(text) for text in counters or ())
    if stray := sorted(set(files) - set(networks)):
        raise InputError(f"--counters {stray[0]}: that network is not measured")
    request = Request(
        networks=networks,
        device=device,
        batches=[int(item) for item in _listed(batch, "--batch", None)],
        precisions=_listed(precision, "--precision", get_args(Precision)),  # type: ignore[arg-type]
        variants=_listed(variants, "--variants", get_args(Variant)),  # type: ignore[arg-type]
        seconds=seconds,
        repeats=repeats,
        threads=threads,
        zeros=zeros,
        counters={name: read_counters(Path(path)) for name, path in files.items()},
    )
    with progress("measuring", "parts") as advance:
        measured = run(request, command_line(context, ("out", "counters")), advance)
    write_measurement(measured, out)
    _summarise(measured, console())
    console().print(f"wrote {out}")


def _summarise(measured: Any, text: Any) -> None:
    shown = table(["network", "variant", "precision"], ["batch", "median ms", "quartiles", "readings", "operators ms"])
    for run in measured.networks:
        whole = run.latency_us
        shown.add_row(
            run.network,
            run.variant,
            run.precision,
            str(run.batch),
            f"{whole.median / 1000:,.2f}",
            f"{whole.lower / 1000:,.2f} … {whole.upper / 1000:,.2f}",
            str(whole.samples),
            f"{sum(item.latency_us.median for item in run.operators) / 1000:,.2f}" if run.operators else "",
        )
    print_table(text, shown)


def _listed(text: str, option: str, known: tuple[str, ...] | None) -> list[str]:
    """The items of a list with commas. Raises InputError for one that is not known, or no number."""
    items = [item.strip() for item in text.split(",")]
    for item in items:
        if known is None and not (item.isdecimal() and 0 < len(item) < 7):
            raise InputError(f"{option} {text}: '{item}' is no whole number")
        if known is not None and item not in known:
            raise InputError(f"{option} {text}: expected {', '.join(known)}, found '{item}'")
    return items


def _pair(text: str) -> tuple[str, str]:
    name, equals, path = text.partition("=")
    if not equals or not path:
        raise InputError(f"--counters {text}: expected NETWORK=FILE")
    return name, path
