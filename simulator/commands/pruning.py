"""What `fmapsim prune` and `fmapsim quantise` share: the network, its images, and the report on what was written."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from simulator.commands.arguments import need_torch, selected_images
from simulator.commands.provenance import images_origin, weights_origin
from simulator.errors import InputError

if TYPE_CHECKING:
    from simulator.extract.images import ImageSet
    from simulator.extract.weights import LoadedModel
    from simulator.pruning.static.calibration import Calibration

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

NEEDED = ("torch", "PIL", "torch_pruning")


@dataclass(frozen=True)
class Subject:
    """A network to prune or quantise, and the images to look at and to judge it on, None where there are none."""

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
    from simulator.extract.images import open_images
    from simulator.extract.weights import resolve_model
    from simulator.pruning.static.calibration import Calibration

    for option, value in (("--labels", labels), ("--select", select), ("--evaluate", evaluate)):
        if value is not None and images is None:
            raise InputError(f"{option} is about images: give --calibration")
    every = None if images is None else open_images(images, labels)
    looked_at = judged = None
    if every is not None:
        looked_at = every if select is None else every.subset(selected_images(select, len(every), "--select"))
        if evaluate is not None:
            judged = every.subset(selected_images(evaluate, len(every), "--evaluate"))
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


def next_step(subject: Subject, written: list[Path]) -> str:
    """The command that records what was written."""
    lists = [path for path in written if path.suffix == ".json"]
    what = str(lists[0]) if lists else f"{subject.network} --weights {written[0]}"
    return f"To record it:\n  fmapsim extract {what} --images IMAGES --out pruned"
