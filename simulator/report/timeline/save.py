"""A timeline on disk."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from simulator.machine.recording import LayerRecord
from simulator.report.timeline.events import trace_events
from simulator.whole_file import whole_file

KEPT = ("fmapsim", "trace", "accelerator", "overrides", "batch", "pruning", "clock_hz")


def save_timeline(
    records: Sequence[LayerRecord], images: Sequence[int], meta: Mapping[str, Any], path: str | Path
) -> Path:
    """Writes the timeline of one batch as trace-event JSON, whole or not at all; returns its path.

    meta: the settings of the report. Raises InputError when the file cannot be written.
    """
    path = Path(path)
    about = {key: meta[key] for key in KEPT} | {"images": list(images)}
    with whole_file(path) as temporary, temporary.open("w", encoding="utf-8") as file:
        file.write(json.dumps(trace_events(records, about), separators=(",", ":"), allow_nan=False))
    return path
