"""`fmapsim sparsify`: weights to zero, one by one, N of M, or block by block."""

import copy
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
    LearningRateOption,
    NormsOption,
    SelectOption,
    Subject,
    next_step,
    restored_statistics,
    subject,
    train_on,
)
from simulator.commands.quantities import percent_text
from simulator.commands.terminal import console, print_table, printable, progress, table
from simulator.errors import InputError
from simulator.pruning.static.recipe import Recipe

if TYPE_CHECKING:
    from simulator.pruning.static.pattern import Pattern

_PATHS = ("calibration", "labels", "weights", "out")


def sparsify(
    context: typer.Context,
    network: NetworkArgument,
    pattern: Annotated[
        str, typer.Option("--pattern", metavar="PATTERN", help="'magnitude 0.6', '2:4', 'block 4x4 0.5'…")
    ],
    out: Annotated[Path, typer.Option("--out", metavar="FILE", help="The network to write (.safetensors).")],
    calibration: CalibrationOption = None,
    labels: LabelsOption = None,
    weights: WeightsOption = None,
    select: SelectOption = None,
    evaluate: EvaluateOption = None,
    layers: Annotated[
        list[str] | None,
        typer.Option("--layers", metavar="PATTERN", help="Only layers such as 'layer*.conv1'; repeat for more."),
    ] = None,
    norms: NormsOption = True,
    epochs: Annotated[int, typer.Option("--epochs", min=0, help="Epochs of fine-tuning, zeros kept.")] = 0,
    learning_rate: LearningRateOption = Recipe.learning_rate,
    batch_size: Annotated[int, typer.Option("--batch-size", min=1, help="Images in a batch.")] = 128,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Of whatever is drawn.")] = 0,
) -> None:
    """Set weights of a network to zero (needs PyTorch).

    Shapes stay. `fmapsim extract` records where the zeros are, for codecs of kernels and arrays that skip or gate them:
    the smallest weights of each layer (magnitude) or of all (magnitude-all), all but N of every M along the input
    channels (2:4), or whole blocks of the matrix of kernels.

    \b
    Examples:
      fmapsim sparsify cifar_resnet20.json --pattern 2:4 \\
          --calibration cifar10.npz --select 0:1000 --evaluate 1000:2000 \\
          --out half
      fmapsim sparsify resnet18 --weights resnet18.pth \\
          --pattern "magnitude 0.6" --layers 'layer*' --out sparse
    """
    need_torch("pruning", NEEDED)
    from simulator.pruning.static.pattern import parse_pattern
    from simulator.pruning.static.storage import checked_out

    out = checked_out(out)
    asked = parse_pattern(pattern)
    if epochs and calibration is None:
        raise InputError("--epochs needs images: give --calibration with labels")
    with output_folder(out.parent):
        found = subject(network, weights, calibration, labels, select, evaluate)
        about = {
            "command": command_line(context, _PATHS),
            "network": network_name(network),
            **found.origin,
            **made_by(),
        }
        measurements, model = _run(found, asked, layers or ["*"], norms, epochs, learning_rate, batch_size, seed)
        _written(found, pattern, out, about, measurements, model)


def _run(
    found: Subject,
    pattern: "Pattern",
    layers: list[str],
    norms: bool,
    epochs: int,
    learning_rate: float,
    batch_size: int,
    seed: int,
) -> tuple[dict[str, float], Any]:
    from simulator.pruning.static.fine_tuning import accuracy
    from simulator.pruning.static.unstructured import made_permanent

    measurements: dict[str, float] = {}

    def measure(what: str, model: Any) -> None:
        if found.evaluation is not None:
            measurements[what] = accuracy(model, found.evaluation.shuffled(batch_size, 0))

    model = copy.deepcopy(found.model.module).eval()
    measure("unpruned", model)
    pattern.apply(model, layers)
    measure("with the zeros", model)
    if epochs:
        with progress("fine-tune", "epochs") as advance:
            train_on(found, model, epochs, learning_rate, batch_size, seed, advance)
        made_permanent(model)
        measure(f"fine-tuned for {epochs} epochs", model)
    else:
        made_permanent(model)
        if norms and found.calibration is not None:
            measure(restored_statistics(found, model, batch_size), model)
    return measurements, model


def _written(
    found: Subject, pattern: str, out: Path, about: dict[str, Any], measurements: dict[str, float], model: Any
) -> None:
    from simulator.pruning.static.storage import save_network
    from simulator.pruning.static.unstructured import layers_of, zero_shares

    shares = zero_shares(model)
    written = save_network(model, out, about | {"accuracy": measurements, "zero_weights": shares}, found.node_list)
    text = console()
    sizes = {name: layer.weight.numel() for name, layer in layers_of(model).items()}  # type: ignore[operator]
    zeros = sum(shares[name] * size for name, size in sizes.items()) / sum(sizes.values())
    text.print(f"{printable(found.model.name)}: pattern {pattern}, {percent_text(zeros)} of the weights are zero")
    rows = table(["layer"], ["zero weights"])
    for name, share in shares.items():
        rows.add_row(printable(name), percent_text(share))
    print_table(text, rows)
    for what, value in measurements.items():
        text.print(f"top-1 {what}: {percent_text(value)}")
    text.print(f"Written to {' and '.join(map(str, written))}. {next_step(found, written)}", soft_wrap=True)
