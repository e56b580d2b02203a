"""`fmapsim extract`: records a trace from a PyTorch network and images."""

import json
import math
import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from simulator.commands.arguments import NetworkArgument, WeightsOption, need_torch, output_folder
from simulator.commands.provenance import (
    command_line,
    images_origin,
    made_by,
    network_name,
    untrained_note,
    weights_origin,
)
from simulator.commands.quantities import bytes_text, macs_text
from simulator.commands.terminal import console, printable, progress
from simulator.commands.trace import accuracy_text
from simulator.errors import InputError
from simulator.pruning.dynamic.epsilon_file import (
    CalibratedEpsilons,
    calibrated_epsilons,
    epsilon_value,
    is_calibrated,
)
from simulator.trace.selection import selected_images

if TYPE_CHECKING:
    from simulator.trace.records import RecordedPruning
    from simulator.trace.trace import Trace

_PATHS = ("images", "labels", "weights", "epsilon_file", "out")


def extract(
    context: typer.Context,
    network: NetworkArgument,
    out: Annotated[Path, typer.Option("--out", metavar="FILE", help="The trace file to write.")],
    images: Annotated[
        Path | None, typer.Option("--images", metavar="PATH", help="A folder, .tar or .npz of images.")
    ] = None,
    labels: Annotated[
        Path | None,
        typer.Option("--labels", metavar="TSV", help="Table with columns file and class_index, to measure accuracy."),
    ] = None,
    weights: WeightsOption = None,
    select: Annotated[
        str | None,
        typer.Option("--select", metavar="IMAGES", help="Which images: 0:100, 0:1000:10 or 3,5; all if left out."),
    ] = None,
    batch_size: Annotated[int, typer.Option("--batch-size", min=1, help="Images in one forward pass.")] = 16,
    name: Annotated[
        str | None, typer.Option("--name", metavar="NAME", help="The trace's name; the network's if left out.")
    ] = None,
    epsilon: Annotated[
        str | None,
        typer.Option(
            "--epsilon",
            metavar="X_OR_FILE",
            help="Prune feature maps whose values all lie within X of zero, or as `fmapsim calibrate` wrote in FILE.",
        ),
    ] = None,
    epsilon_file: Annotated[
        Path | None,
        typer.Option(
            "--epsilon-file",
            metavar="FILE",
            help="An epsilon, or one per channel, by layer: JSON or YAML, {layer: epsilon}; or a calibrated file.",
        ),
    ] = None,
    relative: Annotated[
        bool, typer.Option("--relative", help="Epsilon is a multiple of the layer's mean channel maximum.")
    ] = False,
    calibration: Annotated[
        str | None,
        typer.Option("--calibration", metavar="IMAGES", help="Images for that mean; those selected if left out."),
    ] = None,
    granularity: Annotated[
        Literal["feature_map", "tile", "element"], typer.Option("--granularity", help="What is pruned as a whole.")
    ] = "feature_map",
    tile: Annotated[
        str | None, typer.Option("--tile", metavar="ROWSxCOLUMNS", help="Size of a tile, such as 4x4.")
    ] = None,
    rule: Annotated[
        str,
        typer.Option("--rule", help="What must lie within epsilon: all values, 99% of them (any share), or the mean."),
    ] = "all",
    side: Annotated[
        Literal["ofm", "ifm"], typer.Option("--side", help="Prune when a layer writes, or when the next one reads.")
    ] = "ofm",
    values: Annotated[
        int | None,
        typer.Option("--values", metavar="BITS", help="Store every value too, in 2 to 16 bits, for codecs of values."),
    ] = None,
    shapes_only: Annotated[
        bool, typer.Option("--shapes-only", help="Record sizes alone, without images and zero-maps.")
    ] = False,
) -> None:
    """Record a trace: what a network does on images (needs PyTorch).

    The trace holds the graph, where every feature map is zero on every image, the accuracy (with --labels), and where
    all of it came from; with --values 8 also every value in 8 bits, for codecs such as ebpc. With --epsilon, dynamic
    pruning happens inside the forward pass, so that later layers and the accuracy feel it. Interrupting leaves no file.

    \b
    Examples:
      fmapsim extract squeezenet1_1 --weights squeezenet.pth --images photos \\
          --labels labels.tsv --select 0:100 --out squeezenet
      fmapsim extract mynet:build --images photos --epsilon 0.1 --out mynet
      fmapsim extract resnet50 --shapes-only --out resnet50
    """
    need_torch("extraction")
    command = command_line(context, _PATHS)
    if shapes_only:
        _refuse_with_shapes(images, labels, select, epsilon, epsilon_file, values)
        trace = _shapes(network, weights, name, out, {"command": command, **made_by()})
        _report(trace, out)
        return
    if images is None:
        raise InputError("--images is missing: give images to run the network on, or --shapes-only")
    options = {"relative": relative, "granularity": granularity, "tile": _tile_size(tile), "rule": rule, "side": side}
    pruning = _epsilons(epsilon, epsilon_file, options)

    from simulator.extract.extract import extract as record
    from simulator.extract.images import batches, open_images, with_labels
    from simulator.extract.weights import resolve_model

    every = open_images(images)
    chosen = every if select is None else every.subset(selected_images(select, len(every), "--select"))
    if labels is not None:
        chosen = with_labels(chosen, labels)
    calibrating = None
    if calibration is not None:
        calibrating = every.subset(selected_images(calibration, len(every), "--calibration"))
    with output_folder(out.parent):
        model = resolve_model(network, weights)
        if model.num_classes is not None:
            chosen.check_labels(model.num_classes)
        provenance = {
            "command": command,
            "network": network_name(network),
            "weights": weights_origin(network, model, weights),
            "images": images_origin(chosen, labels, select),
            "preprocessing": str(model.preprocessing),
            **made_by(),
        }
        with progress("extract", "images") as advance:
            trace = record(
                model.module,
                batches(chosen, model.preprocessing, batch_size),
                name=name or model.name,
                labels=chosen.labels,
                **pruning,
                calibration=None if calibrating is None else batches(calibrating, model.preprocessing, batch_size),
                value_bits=values,
                out=out,
                provenance=provenance,
                progress=lambda done, _: advance(done, len(chosen)),
            )
    _report(trace, out)


def _refuse_with_shapes(*given: object) -> None:
    options = ("--images", "--labels", "--select", "--epsilon", "--epsilon-file", "--values")
    for option, value in zip(options, given, strict=True):
        if value is not None:
            raise InputError(f"{option} does not go with --shapes-only, which looks at sizes alone")


def _shapes(network: str, weights: Path | None, name: str | None, out: Path, provenance: dict[str, Any]) -> "Trace":
    import torch

    from simulator.extract.extract import extract_shapes
    from simulator.extract.networks.registry import network_names, network_spec
    from simulator.extract.weights import resolve_model

    with output_folder(out.parent):
        if network in network_names() and weights is None:
            spec = network_spec(network)
            with torch.device("meta"):
                module = spec.build()
            trace = extract_shapes(module, spec.input_shape, name=name or network, provenance=provenance)
        else:
            model = resolve_model(network, weights)
            trace = extract_shapes(model.module, model.input_shape, name=name or model.name, provenance=provenance)
        trace.save(out)
    return trace


def _epsilons(epsilon: str | None, file: Path | None, pruning: dict[str, Any]) -> dict[str, Any]:
    """What `extract` is to prune with: `pruning`, the options given, with the epsilons and what their file says."""
    if epsilon is not None and file is not None:
        raise InputError("--epsilon and --epsilon-file exclude each other")
    if epsilon is not None:
        try:
            number = float(epsilon)
        except ValueError:
            file = Path(epsilon)
            if not file.is_file():
                raise InputError(f"--epsilon: found '{epsilon}', expected a number or a file of epsilons") from None
        else:
            return {**pruning, "epsilon": _checked_epsilon(number, "--epsilon")}
    if file is None:
        return pruning
    content = _pairs(file)
    if is_calibrated(dict(content)):
        return _as_calibrated(calibrated_epsilons(dict(content), str(file)), file, pruning)
    by_layer = {layer: epsilon_value(value, f"{file}: layer '{layer}'") for layer, value in content}
    return {**pruning, "epsilon": by_layer}


def _as_calibrated(found: CalibratedEpsilons, file: Path, pruning: dict[str, Any]) -> dict[str, Any]:
    """Epsilons go with the rule, granularity and side that they were calibrated for."""
    defaults = {"relative": False, "granularity": "feature_map", "tile": None, "rule": "all", "side": "ofm"}
    for key, default in defaults.items():
        if pruning[key] != default:
            raise InputError(
                f"--{key} {pruning[key]}: {file} was calibrated for what it says itself; leave --{key} out"
            )
    fixed = {"rule": found.rule, "granularity": found.granularity, "side": found.side}
    return {**pruning, **fixed, "epsilon": found.epsilon, "means": found.means or None}


def _pairs(file: Path) -> list[tuple[str, object]]:
    """The keys and values of a JSON or YAML mapping; raises InputError for anything else, and for a key given twice."""
    import yaml

    from simulator.hardware.yaml_file import read_yaml

    try:
        text = file.read_text(encoding="utf-8")
        is_json = file.suffix == ".json"
        found: Any = json.loads(text, object_pairs_hook=_Pairs) if is_json else yaml.safe_load(text)
    except OSError as error:
        raise InputError(f"{file}: cannot be read ({error.strerror})") from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise InputError(f"{file}: neither JSON nor YAML ({' '.join(str(error).split())})") from None
    if not isinstance(found, _Pairs | dict) or not found:
        raise InputError(f"{file}: found {type(found).__name__}, expected layers and their epsilons: {{conv1: 0.1}}")
    if isinstance(found, dict):
        return list(read_yaml(file).data.items())  # refuses a key that stands twice
    return list(_without_repeats(found, file).items())


def _without_repeats(found: Any, file: Path) -> Any:
    """A JSON value with objects as mappings; raises InputError for a key that stands twice in one."""
    if isinstance(found, _Pairs):
        twice = [key for index, (key, _) in enumerate(found) if key in dict(found[:index])]
        if twice:
            raise InputError(f"{file}: key '{twice[0]}' stands twice")
        return {key: _without_repeats(value, file) for key, value in found}
    return [_without_repeats(value, file) for value in found] if isinstance(found, list) else found


class _Pairs(list[tuple[str, object]]):
    """A JSON object as it stands in the file, with keys that may repeat."""


def _checked_epsilon(value: float, where: str) -> float:
    if not 0 <= value < math.inf:
        raise InputError(f"{where}: found {value}, expected a number of 0 or more")
    return value


def _tile_size(text: str | None) -> tuple[int, int] | None:
    if text is None:
        return None
    found = re.fullmatch(r"([1-9][0-9]{0,5})[x×]([1-9][0-9]{0,5})", text)
    if found is None:
        raise InputError(f"--tile: found '{text}', expected rows and columns such as 4x4")
    return int(found[1]), int(found[2])


def _pruning_unit(recorded: "RecordedPruning | None") -> str:
    """The options of `simulate` that prune as the recording did, beside what a pruning unit does by default."""
    from simulator.hardware.accelerator import PruningUnit
    from simulator.machine.pruning import as_set

    if recorded is None:
        return ""
    usual = PruningUnit()
    wanted = {key: value for key, value in recorded.unit.items() if value != getattr(usual, key)}
    changes = [f" --set pruning.{key}={as_set(value)}" for key, value in wanted.items()]
    return " --pruning dynamic" + "".join(changes)


def _report(trace: "Trace", out: Path) -> None:
    """What was recorded, and the command that comes next."""
    from simulator.trace.trace import trace_file_name

    path = trace_file_name(out)
    what = f"{trace.image_count} images" if trace.has_maps else "shapes only"
    lines = [
        f"{printable(trace.name)}: {what}, {len(trace.layers)} layers, {macs_text(sum(x.macs for x in trace.layers))}"
    ]
    if trace.accuracy:
        lines.append(accuracy_text(trace.accuracy))
    if preprocessing := trace.provenance.get("preprocessing"):
        lines.append(f"images became inputs so: {preprocessing}")
    if note := untrained_note(trace.provenance):
        lines.append(f"note: {printable(note)}")
    unrecognised = trace.provenance.get("unrecognised_operators")
    if unrecognised:
        listed = ", ".join(map(str, unrecognised))
        lines.append(f"note: operators that fmapsim does not know, taken as element-wise: {printable(listed)}")
    lines.append(f"Written to {path} ({bytes_text(path.stat().st_size)}). To simulate it:")
    lines.append(f"  fmapsim simulate {path} --hardware eyeriss{_pruning_unit(trace.pruning)} --out report")
    console().print("\n".join(lines), soft_wrap=True)
