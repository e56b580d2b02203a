"""`fmapsim calibrate`: epsilons per channel that save the most on an accelerator for a stated loss of accuracy."""

import hashlib
import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from simulator.commands.arguments import (
    NetworkArgument,
    WeightsOption,
    need_torch,
    output_folder,
    parsed_overrides,
)
from simulator.commands.provenance import command_line, images_origin, made_by, network_name, weights_origin
from simulator.commands.terminal import console, print_table, printable, progress, table
from simulator.errors import InputError
from simulator.trace.selection import selected_images

if TYPE_CHECKING:
    from simulator.extract.images import ImageSet
    from simulator.extract.weights import LoadedModel
    from simulator.pruning.dynamic.calibrate import Calibration, LabelledImages, Settings

_PATHS = ("images", "labels", "weights", "out", "evaluation_images")


def calibrate(
    context: typer.Context,
    network: NetworkArgument,
    images: Annotated[Path, typer.Option("--images", metavar="PATH", help="A folder, .tar or .npz of images.")],
    select: Annotated[str, typer.Option("--select", metavar="IMAGES", help="Images to calibrate on, such as 0:500.")],
    evaluate: Annotated[
        str, typer.Option("--evaluate", metavar="IMAGES", help="Other images, to report accuracy on, such as 500:1000.")
    ],
    hardware: Annotated[
        str, typer.Option("--hardware", metavar="NAME_OR_FILE", help="An accelerator that ships, or a YAML file.")
    ],
    out: Annotated[Path, typer.Option("--out", metavar="FILE", help="The file of epsilons to write, .json.")],
    labels: Annotated[
        Path | None,
        typer.Option("--labels", metavar="TSV", help="Table with columns file and class_index; an .npz has its own."),
    ] = None,
    evaluation_images: Annotated[
        Path | None,
        typer.Option("--evaluation-images", metavar="NPZ", help="Where --evaluate selects; --images if left out."),
    ] = None,
    weights: WeightsOption = None,
    objective: Annotated[
        Literal["dram_bytes", "cycles", "energy"], typer.Option("--objective", help="What to save most of.")
    ] = "dram_bytes",
    max_loss: Annotated[
        float, typer.Option("--max-loss", metavar="POINTS", help="The loss of top-1 allowed, in percentage points.")
    ] = 1.0,
    rule: Annotated[
        str, typer.Option("--rule", help="What epsilon bounds: all values, 99% (or another share), or mean.")
    ] = "all",
    thresholds: Annotated[
        Literal["layer", "kernel", "taylor"],
        typer.Option(
            "--thresholds", help="One per layer, or one per channel, by kernel norms or by gradients (taylor)."
        ),
    ] = "taylor",
    replace: Annotated[
        Literal["zero", "mean"], typer.Option("--replace", help="What stands for a flagged map.")
    ] = "zero",
    spread: Annotated[
        float | None,
        typer.Option(
            "--spread",
            min=0,
            max=1,
            help="How far thresholds follow what a map is worth, 0 to 1; 1, 0.5 and 0 are tried if left out.",
        ),
    ] = None,
    folds: Annotated[
        int,
        typer.Option(
            "--folds",
            min=1,
            metavar="N",
            help="Parts of the --select images: each is judged with thresholds made from the others.",
        ),
    ] = 4,
    batch_size: Annotated[int, typer.Option("--batch-size", min=1, help="Images in one forward pass.")] = 10,
    simulated: Annotated[
        int, typer.Option("--simulate", min=1, metavar="N", help="Of the --evaluate images, how many are simulated.")
    ] = 4,
    overrides: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Change one hardware setting; repeat for more."),
    ] = None,
) -> None:
    """Find epsilons that save the most on an accelerator within a loss of accuracy (needs PyTorch).

    The thresholds are calibrated on the --select images with their labels; the table says what they save on others, the
    --evaluate images, beside the best single epsilon at the same loss. The file is for `fmapsim extract --epsilon`.
    What was found so far is noted beside --out: the same command goes on where it was interrupted.

    \b
    Example:
      fmapsim calibrate mobilenet_v2.json --images photos --labels labels.tsv \\
          --select 0:500 --evaluate 500:1000 --hardware eyeriss --max-loss 1 \\
          --out mobilenet_v2-epsilon.json
    """
    need_torch("calibration")
    if not math.isfinite(max_loss) or not 0 <= max_loss < 100:
        raise InputError(f"--max-loss: found {max_loss:g}, expected percentage points of 0 to below 100")

    from simulator.extract.images import open_images, with_labels
    from simulator.extract.weights import resolve_model
    from simulator.hardware.load import load_accelerator
    from simulator.pruning.dynamic.calibrate import Settings
    from simulator.pruning.dynamic.calibrate import calibrate as run
    from simulator.pruning.dynamic.epsilon_file import CalibratedEpsilons
    from simulator.pruning.dynamic.journal import Journal

    changes = parsed_overrides(overrides or [])
    settings = Settings(
        hardware,
        objective,
        max_loss / 100,
        rule,
        thresholds,
        replace,
        simulated,
        changes,
        (1.0, 0.5, 0.0) if spread is None else (spread,),
        folds,
    )
    load_accelerator(hardware, changes)
    every = open_images(images) if labels is not None else _labelled(open_images(images), "--images")
    others = every if evaluation_images is None else _labelled(open_images(evaluation_images), "--evaluation-images")
    chosen, held_out = (
        selected_images(select, len(every), "--select"),
        selected_images(evaluate, len(others), "--evaluate"),
    )
    if others is every and set(chosen) & set(held_out):
        raise InputError(
            f"--select {select} and --evaluate {evaluate} share {len(set(chosen) & set(held_out))} images: accuracy is "
            "to be reported on others than those calibrated on"
        )
    with output_folder(out.parent):
        model = resolve_model(network, weights)
        first, second = every.subset(chosen), others.subset(held_out)
        if labels is not None:
            first = with_labels(first, labels)
            second = with_labels(second, labels) if others is every else second
        sets = first, second
        calibration, evaluation = (_in_memory(one, model, batch_size) for one in sets)
        provenance = {
            "command": command_line(context, _PATHS),
            "network": network_name(network),
            "weights": weights_origin(network, model, weights),
            "calibration_images": images_origin(sets[0], labels, select),
            "evaluation_images": images_origin(sets[1], labels, evaluate),
            "settings": {
                "objective": objective,
                "max_loss_points": max_loss,
                "thresholds": thresholds,
                "replace": replace,
                "folds": folds,
            },
            "hardware": hardware,
            "overrides": {key: str(value) for key, value in changes.items()},
            **made_by(),
        }
        origin = f"{model.name} {model.weights_sha256} {sets[0].fingerprint} {sets[1].fingerprint}"
        digest = hashlib.sha256(origin.encode()).hexdigest()
        found = run(
            model.module, calibration, evaluation, settings, name=model.name, journal=(out, digest), watch=progress
        )
        results = found.results()
        CalibratedEpsilons(model.name, found.epsilon, found.means, rule, provenance=provenance, results=results).save(
            out
        )
    Journal(out, digest).remove()
    _report(found, settings, hardware, len(held_out), out)


def _labelled(images: "ImageSet", option: str) -> "ImageSet":
    if images.labels is None:
        raise InputError(f"{option} {images.source}: has no labels, and calibration needs them; give --labels")
    return images


def _in_memory(images: "ImageSet", model: "LoadedModel", batch_size: int) -> "LabelledImages":
    """The images as the network takes them."""
    from simulator.extract.images import batches
    from simulator.pruning.dynamic.calibrate import LabelledImages

    if model.num_classes is not None:
        images.check_labels(model.num_classes)
    assert images.labels is not None
    return LabelledImages(list(batches(images, model.preprocessing, batch_size)), images.labels)


def _report(found: "Calibration", settings: "Settings", hardware: str, images: int, out: Path) -> None:
    text = console()
    headings = ("maps", "DRAM bytes", "cycles", "energy", "top-1", "change, points (95 %)")
    shown = table(("pruning",), headings)
    base = found.rows[0]
    for row in found.rows:
        change = row.change
        interval = f"{100 * change.value:+.1f} ({100 * change.low:+.1f} to {100 * change.high:+.1f})"
        shown.add_row(
            row.name,
            f"{100 * row.flagged_maps:.1f} %",
            *(
                f"{100 * (getattr(row, key) / getattr(base, key) - 1):+.1f} %"
                for key in ("dram_bytes", "cycles", "energy_pj")
            ),
            f"{100 * row.top1:.1f} %",
            "" if row is base else interval,
        )
    print_table(text, shown)
    text.print(
        f"\nmaps: share of feature maps flagged; top-1 on {images} images that were not calibrated on; simulated on "
        f"{printable(hardware)}: {settings.simulated} of them.",
        soft_wrap=True,
    )
    needed = " ".join(
        f"--set {key}={value}" for key, value in settings.unit.items() if value not in ("all", "layer", "zero")
    )
    text.print(f"Written to {out}. To record and simulate with it:", soft_wrap=True)
    text.print(f"  fmapsim extract NETWORK --images … --epsilon {out} --out pruned", soft_wrap=True)
    text.print(
        f"  fmapsim simulate pruned.trace.safetensors --hardware {printable(hardware)} --pruning dynamic {needed} "
        "--out report",
        soft_wrap=True,
    )
