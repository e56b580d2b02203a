"""The traces of a study: found, told apart by their content, with the images that it selects."""

import functools
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from simulator.errors import InputError
from simulator.study.study_file import Study
from simulator.trace.file import FileArrays
from simulator.trace.find import find_trace
from simulator.trace.selection import selected_images
from simulator.trace.trace import Trace

ALL_IMAGES = "all"


@dataclass(frozen=True)
class TraceInput:
    """A trace of the study. reference: its name, or its file's whole path; sha256: of its content.

    images: the numbers that each selection of the study stands for; empty for a trace of shapes only.
    """

    label: str
    reference: str
    sha256: str
    images: Mapping[str, tuple[int, ...]]


def trace_inputs(study: Study) -> list[TraceInput]:
    """The study's traces. Raises InputError, with file and line, for one that is missing or lacks an image."""
    found = []
    for label, reference in study.section.traces.items():
        where = study.where("traces")
        beside = study.folder / reference
        name = str(beside) if beside.is_file() else reference
        try:
            trace = find_trace(name)
            images = _images(trace, study)
        except InputError as error:
            raise InputError(f"{where}: {error}") from None
        found.append(TraceInput(label, name, content_sha256(trace), images))
    return found


def _images(trace: Trace, study: Study) -> dict[str, tuple[int, ...]]:
    if not trace.has_maps:
        return {"": ()}
    texts = study.section.images
    if texts is None:
        return {ALL_IMAGES: tuple(range(trace.image_count))}
    selected = {text: tuple(selected_images(text, trace.image_count, "images")) for text in texts}
    for text, images in selected.items():
        if len(images) % study.section.batch:
            raise InputError(
                f"images {text}: {len(images)} images of '{trace.name}' do not divide into batches of "
                f"{study.section.batch}"
            )
    return selected


def content_sha256(trace: Trace) -> str:
    """The SHA-256 of a trace's file, or of its graph where it is not from a file."""
    if isinstance(trace.arrays, FileArrays):
        with trace.arrays.path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    graph = {key: value for key, value in trace.graph().items() if key != "provenance"}
    return hashlib.sha256(json.dumps(graph, sort_keys=True).encode()).hexdigest()


@functools.lru_cache(maxsize=2)
def loaded_trace(reference: str, sha256: str) -> Trace:
    """The trace of a reference, kept for the points that follow. Raises InputError where its content is another."""
    trace = find_trace(reference)
    found = content_sha256(trace)
    if found != sha256:
        raise InputError(
            f"trace '{Path(reference).name}' is not the one that the study began with (SHA-256 {found[:12]}…, expected "
            f"{sha256[:12]}…)"
        )
    return trace
