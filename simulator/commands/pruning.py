"""What `fmapsim prune`, `quantise` and `sparsify` share: the network, its images, and what follows a change."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from simulator.commands.arguments import need_torch
from simulator.commands.provenance import images_origin, weights_origin
from simulator.errors import InputError
from simulator.pruning.static.recipe import Recipe
from simulator.trace.selection import selected_images

if TYPE_CHECKING:
    from torch import nn

    from simulator.extract.images import ImageSet
    from simulator.extract.weights import LoadedModel
    from simulator.pruning.static.calibration import Calibration
    from simulator.pruning.static.output_statistics import Moments

CalibrationOption = Annotated[
    Path | None, typer.Option("--calibration", metavar="IMAGES", help="A folder, .tar or .npz of images.")
]
LabelsOption = Annotated[
    Path | None, typer.Option("--labels", metavar="TSV", help="Table with columns file and class_index.")
]
SelectOption = Annotated[
    str | None, typer.Option("--select", metavar="IMAGES", help="Which images to score on: 0:500; all if left out.")
]
EvaluateOption = Annotated[
    str | None, typer.Option("--evaluate", metavar="IMAGES", help="Which images to measure accuracy on: 500:1000.")
]
NormsOption = Annotated[
    bool,
    typer.Option("--re-estimate/--no-re-estimate", help="Estimate batch norms anew on the images, folded ones too."),
]

LearningRateOption = Annotated[
    float, typer.Option("--learning-rate", help="Of fine-tuning, whose gradients are clipped to a norm of 1.")
]

NEEDED = ("torch", "PIL", "torch_pruning")


@dataclass(frozen=True)
class Subject:
    """A network to make smaller, and the images to look at and to judge it on, None where there are none."""

    network: str
    model: "LoadedModel"
    calibration: "Calibration | None"
    evaluation: "Calibration | None"
    origin: dict[str, Any]

    @property
    def node_list(self) -> Path | None:
        """The file of a node-list network."""
        return Path(self.network) if self.network.endswith(".json") else None


def subject(
    network: str,
    weights: Path | None,
    images: Path | None,
    labels: Path | None,
    select: str | None,
    evaluate: str | None,
) -> Subject:
    """Reads what the options name. Raises InputError for what is missing or contradicts itself."""
    need_torch("pruning", NEEDED)
    from simulator.extract.images import open_images, with_labels
    from simulator.extract.weights import resolve_model
    from simulator.pruning.static.calibration import Calibration

    for option, value in (("--labels", labels), ("--select", select), ("--evaluate", evaluate)):
        if value is not None and images is None:
            raise InputError(f"{option} is about images: give --calibration")
    every = None if images is None else open_images(images)
    looked_at = judged = None
    if every is not None:
        looked_at = every if select is None else every.subset(selected_images(select, len(every), "--select"))
        if labels is not None:
            looked_at = with_labels(looked_at, labels)
        if evaluate is not None:
            judged = every.subset(selected_images(evaluate, len(every), "--evaluate"))
            if labels is not None:
                judged = with_labels(judged, labels)
            if judged.labels is None:
                raise InputError("--evaluate measures accuracy, and the images have no labels (--labels)")
    model = resolve_model(network, weights)
    origin: dict[str, Any] = {"weights": weights_origin(network, model, weights)}
    calibration = evaluation = None
    if looked_at is not None:
        assert images is not None
        _check_classes(model, looked_at)
        origin["calibration"] = images_origin(looked_at, labels, select)
        calibration = Calibration.from_images(looked_at, model.preprocessing)
        if judged is not None:
            _check_classes(model, judged)
            evaluation = Calibration.from_images(judged, model.preprocessing)
    return Subject(network, model, calibration, evaluation, origin)


def _check_classes(model: "LoadedModel", images: "ImageSet") -> None:
    if model.num_classes is not None:
        images.check_labels(model.num_classes)


def train_on(
    subject: Subject,
    model: "nn.Module",
    epochs: int,
    learning_rate: float,
    batch_size: int,
    seed: int,
    advance: Callable[[int, int], None] | None = None,
) -> None:
    """Fine-tunes `model`, in place, on the images to look at."""
    from simulator.pruning.static.fine_tuning import fine_tune

    images = subject.calibration
    assert images is not None
    images.need_labels("fine-tuning")
    fine_tune(
        model,
        lambda epoch: images.shuffled(batch_size, seed + epoch),
        Recipe(epochs, learning_rate),
        steps_per_epoch=-(-images.count // batch_size),
        progress=advance,
    )


def restored_statistics(
    subject: Subject,
    model: "nn.Module",
    batch_size: int,
    of_kept: "Callable[[Mapping[str, Moments]], Mapping[str, Moments]]" = dict,
) -> str:
    """Estimates batch norms of `model` anew on the images to look at, in place, or does what amounts to it where they
    are folded; returns what was done. of_kept: the moments of the channels that are left, of those of the network."""
    from simulator.pruning.static.fine_tuning import re_estimate_norms
    from simulator.pruning.static.output_statistics import has_norms, output_statistics, restore_statistics

    images = subject.calibration
    assert images is not None
    if has_norms(model):
        re_estimate_norms(model, images.in_order(batch_size))
        return "batch norm estimated anew"
    dense = output_statistics(subject.model.module, images.in_order(batch_size))
    restore_statistics(model, images.in_order(batch_size), of_kept(dense))
    return "statistics of folded batch norm restored"


def next_step(subject: Subject, written: list[Path]) -> str:
    """The command that records what was written."""
    lists = [path for path in written if path.suffix == ".json"]
    what = str(lists[0]) if lists else f"{subject.network} --weights {written[0]}"
    return f"To record it:\n  fmapsim extract {what} --images IMAGES --out pruned"
