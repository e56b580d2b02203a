"""What a recorded trace says about its origin: enough to make it again, and no paths of the machine that made it."""

import shlex
from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from simulator.version import VERSION

if TYPE_CHECKING:
    import typer

    from simulator.extract.images import ImageSet
    from simulator.extract.weights import LoadedModel

_RANDOM = "random, from a fixed seed"
_OWN = "the module's own"


def command_line(context: "typer.Context", paths: Collection[str]) -> str:
    """The command that was given, without defaults; parameters in `paths`, FILE or NAME=FILE, are cut to the file's
    name."""
    words = context.command_path.split()
    for parameter in context.command.params:
        value = context.params.get(parameter.name or "")
        if value is None or value is False or value == parameter.default:
            continue
        for each in value if isinstance(value, list | tuple) else [value]:
            if parameter.param_type_name == "option":
                words.append(parameter.opts[0])
            if each is not True:
                words.append(_without_folder(str(each)) if parameter.name in paths else network_name(str(each)))
    return shlex.join(words)


def _without_folder(text: str) -> str:
    name, equals, path = text.partition("=")
    return name + equals + file_name(path) if equals and "/" not in name else file_name(text)


def file_name(path: str | Path) -> str:
    """The last part of a path; `.` is named too."""
    return Path(path).resolve().name


def network_name(network: str) -> str:
    """A node list without its folder; other networks as they are."""
    return file_name(network) if network.endswith(".json") else network


def weights_origin(network: str, model: "LoadedModel", weights: Path | None) -> dict[str, Any]:
    """Which file the parameters came from, or where else; the command too that made a pruned or quantised network."""
    if model.weights_sha256 is None:
        return {"file": None, "origin": _OWN if ":" in network else _RANDOM}
    if weights is None:
        from simulator.extract.node_list import weights_beside

        weights = weights_beside(network)
    from simulator.extract.resized import pruned_metadata

    made = (pruned_metadata(weights) or {}).get("command")
    return {"file": file_name(weights), "sha256": model.weights_sha256, **({"command": made} if made else {})}


def untrained_note(provenance: Mapping[str, Any]) -> str | None:
    """What a reader must know of parameters that are, or may be, no trained ones; None where a file gave them."""
    weights = provenance.get("weights")
    origin = weights.get("origin") if isinstance(weights, Mapping) else None
    if origin == _RANDOM:
        return "without --weights the parameters are random, and so the zeros are no trained network's"
    if origin == _OWN:
        return f"the parameters are as {provenance['network']} gives them: random, unless it loads trained ones"
    return None


def images_origin(images: "ImageSet", labels: Path | None, select: str | None) -> dict[str, Any]:
    """Which images were chosen from where."""
    return {
        "source": file_name(images.source),
        "labels": None if labels is None else file_name(labels),
        "selection": select or "all",
        "count": len(images),
        "fingerprint": images.fingerprint,
    }


def made_by() -> dict[str, Any]:
    """The program's version and the time."""
    return {"fmapsim": VERSION, "date": datetime.now(UTC).isoformat(timespec="seconds")}
