"""`fmapsim quantise`: weights at few bits, by channel, by layer, or all alike."""

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from simulator.commands.arguments import NetworkArgument, WeightsOption, need_torch, output_folder
from simulator.commands.provenance import command_line, made_by, network_name
from simulator.commands.pruning import (
    NEEDED,
    CalibrationOption,
    EvaluateOption,
    LabelsOption,
    NormsOption,
    SelectOption,
    Subject,
    next_step,
    restored_statistics,
    subject,
)
from simulator.commands.quantities import percent_text
from simulator.commands.terminal import console, print_table, printable, progress, table
from simulator.errors import InputError
from simulator.hardware.units import BYTE_UNITS, parse_quantity

if TYPE_CHECKING:
    from simulator.pruning.static.quantisation.quantise import QuantisationRequest

_PATHS = ("calibration", "labels", "weights", "out")
_MIB_BITS = 8 * 2**20


def quantise(
    context: typer.Context,
    network: NetworkArgument,
    out: Annotated[Path, typer.Option("--out", metavar="FILE", help="The quantised network to write (.safetensors).")],
    bits: Annotated[
        float | None, typer.Option("--bits", metavar="MEAN", help="Bits per weight on average, at most.")
    ] = None,
    budget: Annotated[
        str | None,
        typer.Option("--size", metavar="BYTES", help="Instead of --bits: what all parameters may take, '1.5 MiB'."),
    ] = None,
    scheme: Annotated[
        str,
        typer.Option("--scheme", metavar="NAME", help="intra (by channel), inter (by layer), free (both) or fixed."),
    ] = "intra",
    quantiser: Annotated[
        str, typer.Option("--quantiser", metavar="NAME", help="kmeans (shared values) or uniform (symmetric steps).")
    ] = "kmeans",
    widths: Annotated[str, typer.Option("--widths", metavar="LIST", help="Widths that may be used.")] = "1,2,3,4,8",
    scores: Annotated[
        str,
        typer.Option("--scores", metavar="NAME", help="What weighs a channel's error in intra and free: di or equal."),
    ] = "di",
    calibration: CalibrationOption = None,
    labels: LabelsOption = None,
    weights: WeightsOption = None,
    select: SelectOption = None,
    evaluate: EvaluateOption = None,
    layers: Annotated[
        list[str] | None,
        typer.Option("--layers", metavar="PATTERN", help="Quantise only layers such as 'layer*'; repeat for more."),
    ] = None,
    rho: Annotated[float, typer.Option("--rho", help="Of scores di: the ridge.")] = 0.1,
    batches: Annotated[int, typer.Option("--batches", help="Batches that di looks at.")] = 10,
    batch_size: Annotated[int, typer.Option("--batch-size", help="Images in a batch.")] = 128,
    norms: NormsOption = True,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Of whatever is drawn.")] = 0,
) -> None:
    """Quantise the weights of a network (needs PyTorch).

    The widths go into the trace that `fmapsim extract` records of what is written, and a simulation moves kernels over
    DRAM at them.

    \b
    Examples:
      fmapsim quantise cifar_resnet20.json --bits 3 \\
          --calibration cifar10.npz --select 0:1000 --evaluate 1000:2000 \\
          --out three
      fmapsim quantise resnet18 --weights resnet18.pth --bits 4 \\
          --scheme fixed --quantiser uniform --out four
    """
    need_torch("quantisation", NEEDED)
    from simulator.pruning.static.criteria.criterion import Settings
    from simulator.pruning.static.quantisation.quantise import WIDEST_BITS, QuantisationRequest, mean_bits_for
    from simulator.pruning.static.storage import checked_out

    out = checked_out(out)
    if (bits is None) == (budget is None):
        raise InputError("quantise needs --bits or --size, and only one of them")
    size = None if budget is None else _parsed_size(budget)
    request = QuantisationRequest(
        8 if bits is None else bits,
        scheme,  # type: ignore[arg-type]
        quantiser,
        _parsed_widths(widths),
        scores,  # type: ignore[arg-type]
        tuple(layers or ("*",)),
        Settings(rho, batches, batch_size, None, seed),
    )
    with output_folder(out.parent):
        found = subject(network, weights, calibration, labels, select, evaluate)
        if size is not None:
            widest = WIDEST_BITS if scheme == "fixed" else max(request.widths)
            mean = min(mean_bits_for(found.model.module, request.layers, 8 * size), widest)
            request = dataclasses.replace(request, mean_bits=int(mean) if scheme == "fixed" else mean)
        command = command_line(context, _PATHS)
        about = {"command": command, "network": network_name(network), **found.origin, **made_by()}
        _run(found, request, out, about, norms)


def _parsed_size(text: str) -> int:
    try:
        return int(parse_quantity(text, BYTE_UNITS, "a size", "1.5 MiB"))
    except ValueError as error:
        raise InputError(f"--size: {error}") from None


def _parsed_widths(text: str) -> tuple[int, ...]:
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isdecimal() for part in parts):
        raise InputError(f"--widths: found '{text}', expected whole numbers such as 1,2,3,4,8")
    return tuple(sorted({int(part) for part in parts}))


def _run(found: Subject, request: "QuantisationRequest", out: Path, about: dict[str, Any], norms: bool) -> None:
    from simulator.machine.kernels import WIDTH_INDEX_BITS
    from simulator.pruning.static.fine_tuning import accuracy
    from simulator.pruning.static.quantisation.quantise import layers_left, overhead_bits, size_bits
    from simulator.pruning.static.quantisation.quantise import quantise as run
    from simulator.pruning.static.storage import save_network

    size, judges = request.settings.batch_size, found.evaluation
    with progress("quantise", "networks") as advance:
        small = run(found.model.module, request, found.calibration)
        advance(1, 1)
    if norms and found.calibration is not None:
        restored_statistics(found, small, size)
    measurements = {}
    if judges is not None:
        for what, model in (("unquantised", found.model.module), ("quantised", small)):
            measurements[what] = accuracy(model, judges.shuffled(size, 0))
    written = save_network(small, out, about | {"accuracy": measurements}, found.node_list)

    text = console()
    text.print(
        f"{printable(found.model.name)}: scheme {request.scheme}, {request.mean_bits:g} bits on average, "
        f"quantiser {request.quantiser}" + (f", scores {request.scores}" if request.scheme in ("intra", "free") else "")
    )
    sizes = table([""], ["MiB"])
    for label, bits in (
        ("all parameters in float32", size_bits(found.model.module)),
        ("quantised, biases and batch norms in float32", size_bits(small)),
        ("index of widths, steps or shared values, besides", overhead_bits(small, request.quantiser, WIDTH_INDEX_BITS)),
    ):
        sizes.add_row(label, f"{bits / _MIB_BITS:.3f}")
    print_table(text, sizes)
    if left := layers_left(found.model.module):
        text.print(f"not quantised, of a kind that is not: {printable(', '.join(left))}", soft_wrap=True)
    for what, value in measurements.items():
        text.print(f"top-1 {what}: {percent_text(value)}")
    text.print(f"Written to {' and '.join(map(str, written))}. {next_step(found, written)}", soft_wrap=True)
