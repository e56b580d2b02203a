"""`fmapsim prune`: a smaller network by a criterion, a structure and a budget."""

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
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
from simulator.commands.quantities import bytes_text, cycles_text, energy_text, macs_text, percent_text, scaled
from simulator.commands.terminal import console, print_table, printable, progress, table
from simulator.errors import InputError
from simulator.pruning.static.recipe import Recipe

if TYPE_CHECKING:
    from torch import nn

    from simulator.pruning.static.prune import Pruned, Request

_PATHS = ("calibration", "labels", "weights", "widths", "trace", "out")
_COUNT = ("", "k", "M", "G")
_SIMULATED = {
    "dram_bytes": ("DRAM traffic", bytes_text),
    "cycles": ("cycles", cycles_text),
    "energy_pj": ("energy", energy_text),
}


def prune(
    context: typer.Context,
    network: NetworkArgument,
    out: Annotated[Path, typer.Option("--out", metavar="FILE", help="The pruned network to write (.safetensors).")],
    criterion: Annotated[
        str, typer.Option("--criterion", metavar="NAME", help="How channels are scored (`fmapsim criteria`).")
    ] = "di",
    structure: Annotated[
        str, typer.Option("--structure", metavar="NAME", help="uniform, greedy, global, or given (with --widths).")
    ] = "uniform",
    budget: Annotated[
        str | None,
        typer.Option("--budget", metavar="BUDGET", help="'macs 0.5', 'params 6.19M', 'dram_bytes 0.7@eyeriss'."),
    ] = None,
    calibration: CalibrationOption = None,
    labels: LabelsOption = None,
    weights: WeightsOption = None,
    select: SelectOption = None,
    evaluate: EvaluateOption = None,
    widths: Annotated[
        Path | None,
        typer.Option("--widths", metavar="FILE", help="Of structure given: YAML or JSON, or a pruned network."),
    ] = None,
    layers: Annotated[
        list[str] | None,
        typer.Option("--layers", metavar="PATTERN", help="Prune only layers such as 'layer*.conv1'; repeat for more."),
    ] = None,
    least: Annotated[float, typer.Option("--least", help="Share of its channels that a layer keeps at least.")] = 0.1,
    multiple: Annotated[int, typer.Option("--multiple", help="Keep channels in multiples of this.")] = 1,
    step: Annotated[float, typer.Option("--step", help="Of structure greedy: share saved by a step.")] = 0.005,
    rescore_every: Annotated[
        int, typer.Option("--rescore-every", min=0, help="Of structure greedy: steps until channels are scored anew.")
    ] = 0,
    epochs_between: Annotated[
        int, typer.Option("--epochs-between", min=0, help="Epochs of fine-tuning before channels are scored anew.")
    ] = 0,
    by_accuracy: Annotated[
        bool, typer.Option("--by-accuracy", help="Of structure greedy: the candidate of the best accuracy wins.")
    ] = False,
    rho: Annotated[float, typer.Option("--rho", help="Of criterion di: the ridge.")] = 0.1,
    batches: Annotated[int, typer.Option("--batches", help="Batches that di and taylor look at.")] = 10,
    batch_size: Annotated[int, typer.Option("--batch-size", help="Images in a batch.")] = 128,
    classes_per_batch: Annotated[
        int | None, typer.Option("--classes-per-batch", metavar="N", help="Classes that a batch is drawn from.")
    ] = None,
    trace: Annotated[
        str | None, typer.Option("--trace", metavar="TRACE", help="Of criterion apoz: a recording of the network.")
    ] = None,
    norms: NormsOption = True,
    epochs: Annotated[int, typer.Option("--epochs", min=0, help="Epochs of fine-tuning on the images.")] = 0,
    learning_rate: LearningRateOption = Recipe.learning_rate,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Of whatever is drawn.")] = 0,
) -> None:
    """Cut channels out of a network (needs PyTorch).

    Channels go together where a residual sum, a depthwise or a grouped layer couples them; layers that cannot be
    pruned are named with the reason. What is written is read back by `fmapsim extract`: a node list with its
    parameters beside it, or the parameters of the network that was given.

    \b
    Examples:
      fmapsim prune cifar_resnet20.json --budget "macs 0.5" \\
          --calibration cifar10.npz --select 0:1000 --evaluate 1000:2000 \\
          --out small
      fmapsim prune resnet18 --weights resnet18.pth --criterion l1 \\
          --layers 'layer*.conv1' --budget "macs 0.6" --out r18
      fmapsim prune net.json --budget "dram_bytes 0.7@eyeriss" \\
          --criterion l1 --structure greedy --step 0.05 --out slim
    """
    need_torch("pruning", NEEDED)
    from simulator.pruning.static.budget import parse_budget
    from simulator.pruning.static.criteria.criterion import Settings
    from simulator.pruning.static.prune import GreedyOptions, Request
    from simulator.pruning.static.storage import checked_out
    from simulator.pruning.static.structures.choice import Limits

    out = checked_out(out)
    given_widths = None if widths is None else _read_widths(widths)
    parsed = None if budget is None else parse_budget(budget)
    settings = Settings(rho, batches, batch_size, classes_per_batch, seed)
    limits = Limits(tuple(layers or ("*",)), least, multiple)
    for option, value in (("--by-accuracy", by_accuracy), ("--epochs", epochs), ("--epochs-between", epochs_between)):
        if value and calibration is None:
            raise InputError(f"{option} needs images: give --calibration with labels")
    if epochs_between and not rescore_every:
        raise InputError("--epochs-between trains before channels are scored anew: give --rescore-every")
    recorded = None
    if trace is not None:
        from simulator.trace.find import find_trace

        recorded = find_trace(trace)
    greedy = GreedyOptions(step, rescore_every)
    request = Request(
        criterion,
        structure,  # type: ignore[arg-type]
        parsed,
        given_widths,
        settings,
        limits,
        greedy,
        recorded,
    )
    with output_folder(out.parent):
        found = subject(network, weights, calibration, labels, select, evaluate)
        about = {
            "command": command_line(context, _PATHS),
            "network": network_name(network),
            **found.origin,
            **made_by(),
        }
        after = After(norms, epochs, epochs_between, learning_rate)
        _run(found, request, out, about, by_accuracy, after)


@dataclass(frozen=True)
class After:
    """What follows a cut: batch norms estimated anew, epochs of fine-tuning at the end and between greedy steps."""

    norms: bool
    epochs: int
    epochs_between: int
    learning_rate: float


def _run(
    found: Subject,
    request: "Request",
    out: Path,
    about: dict[str, Any],
    by_accuracy: bool,
    then: After,
) -> None:
    from simulator.pruning.static.fine_tuning import accuracy
    from simulator.pruning.static.output_statistics import of_kept
    from simulator.pruning.static.prune import prune as run
    from simulator.pruning.static.storage import save_network

    calibration, size = found.calibration, request.settings.batch_size

    def measured(model: "nn.Module") -> float:
        judges = found.evaluation or found.calibration
        assert judges is not None
        return accuracy(model, judges.shuffled(size, 0))

    measurements: dict[str, float] = {}

    def measure(what: str, model: "nn.Module") -> None:
        if found.evaluation is not None:
            measurements[what] = measured(model)

    if by_accuracy:
        assert calibration is not None
        calibration.need_labels("--by-accuracy")
        request = dataclasses.replace(request, greedy=dataclasses.replace(request.greedy, evaluate=measured))

    def trained(model: "nn.Module", epochs: int, advance: Callable[[int, int], None] | None = None) -> None:
        train_on(found, model, epochs, then.learning_rate, size, request.settings.seed, advance)

    if then.epochs or then.epochs_between:
        assert calibration is not None
        calibration.need_labels("fine-tuning")
        Recipe(then.epochs, then.learning_rate)  # refuses a bad rate before anything takes time
    if then.epochs_between:
        between = dataclasses.replace(request.greedy, fine_tune=lambda model: trained(model, then.epochs_between))
        request = dataclasses.replace(request, greedy=between)
    with progress("prune", "%") as advance:
        pruned = run(
            found.model.module,
            found.model.input_shape,
            request,
            calibration,
            progress=lambda share: advance(round(100 * share), 100),
        )
    measure("unpruned", found.model.module)
    measure("pruned", pruned.model)
    if then.norms and calibration is not None:
        done = restored_statistics(
            found, pruned.model, size, lambda dense: of_kept(dense, pruned.prunable, pruned.kept)
        )
        measure(done, pruned.model)
    if then.epochs:
        with progress("fine-tune", "epochs") as advance:
            trained(pruned.model, then.epochs, advance)
        measure(f"fine-tuned for {then.epochs} epochs", pruned.model)
    about |= {
        "widths": pruned.widths,
        "kept": {name: units.tolist() for name, units in pruned.kept.items()},
        "counts": dataclasses.asdict(pruned.after),
        "accuracy": measurements,
    }
    written = save_network(pruned.model, out, about, found.node_list)
    _report(found, pruned, request, measurements, written, trained=bool(then.epochs or then.epochs_between))


def _report(
    found: Subject,
    pruned: "Pruned",
    request: "Request",
    measurements: dict[str, float],
    written: list[Path],
    *,
    trained: bool,
) -> None:
    text = console()
    how = f"criterion {request.criterion}, structure {request.structure}"
    text.print(f"{printable(found.model.name)}: {how}" + (f", budget {request.budget}" if request.budget else ""))
    rows = table([""], ["unpruned", "pruned", "share"])
    before, after = pruned.before, pruned.after
    for label, old, new in (
        ("MACs (convolutions and linear layers)", before.macs, after.macs),
        ("operations (with batch norm, ReLU, pooling)", before.operations, after.operations),
        ("parameters", before.params, after.params),
        ("parameters without batch norm", before.params_without_norms, after.params_without_norms),
    ):
        shown = macs_text if label.startswith("MACs") else lambda value: scaled(value, _COUNT)
        rows.add_row(label, shown(old), shown(new), percent_text(new / old))
    if pruned.cost is not None and request.budget is not None and request.budget.accelerator is not None:
        whole, cost, _ = pruned.cost
        label, shown = _SIMULATED[request.budget.quantity]
        label = f"{label} on {request.budget.accelerator}, no zeros"
        rows.add_row(printable(label), shown(whole), shown(cost), percent_text(cost / whole))
    print_table(text, rows)
    for what, value in measurements.items():
        text.print(f"top-1 {what}: {percent_text(value)}")
    if not measurements:
        text.print("note: what this costs in accuracy was not measured; --evaluate judges by labelled images")
    elif not trained:
        text.print("note: the network was not trained after the cut; --epochs does that, on the calibration images")
    reasons: dict[str, list[str]] = {}
    for layer, reason in pruned.prunable.blocked.items():
        reasons.setdefault(reason, []).append(layer)
    for reason, blocked in reasons.items():
        text.print(f"not pruned: {printable(', '.join(blocked))}: {reason}", soft_wrap=True)
    text.print(f"Written to {' and '.join(map(str, written))}. {next_step(found, written)}", soft_wrap=True)


def _read_widths(path: Path) -> dict[str, float]:
    if path.suffix == ".safetensors":
        from simulator.pruning.static.storage import saved_widths

        return dict(saved_widths(path))
    from simulator.hardware.yaml_file import read_yaml

    found = read_yaml(path).data
    for layer, width in found.items():
        if isinstance(width, bool) or not isinstance(width, int | float):
            raise InputError(f"{path}: width of '{layer}' is {width!r}, expected channels or a share of them")
    return dict(found)
