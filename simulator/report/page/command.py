"""The command that makes a run again."""

import shlex
from collections.abc import Mapping, Sequence
from typing import Any


def simulate_command(meta: Mapping[str, Any], *, with_file: bool = False) -> str:
    """The `fmapsim simulate` that repeats a report's run.

    The trace is given as the report's `trace_reference`; by its name, which may be none that can be given, where the
    report has none (it was made in Python, or before reports had one).

    with_file: on an accelerator that has been saved as accelerator.yaml, and else on the one of the same name with the
    same settings changed.
    """
    words = ["fmapsim", "simulate", str(meta.get("trace_reference", meta["trace"])), "--hardware"]
    words.append("accelerator.yaml" if with_file else str(meta["accelerator"]))
    if not with_file:
        for key, value in meta["overrides"].items():
            words += ["--set", f"{key}={value}"]
    if images := images_text([image for batch in meta["images"] for image in batch]):
        words += ["--images", images]
    if meta["batch"] != 1:
        words += ["--batch", str(meta["batch"])]
    if meta["pruning"] != "none":
        words += ["--pruning", str(meta["pruning"]["kind"])]
    return shlex.join([*words, "--out", "report"])


def images_text(images: Sequence[int]) -> str:
    """Images as `--images` takes them: a slice where they follow each other, else a list; nothing for none."""
    if not images:
        return ""
    if list(images) == list(range(images[0], images[0] + len(images))):
        return f"{images[0]}:{images[0] + len(images)}"
    return ",".join(map(str, images))
