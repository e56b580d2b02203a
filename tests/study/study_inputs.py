"""Small studies for tests: traces of a few layers on the Eyeriss preset, and the files that describe them."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import yaml
from builders import chain, with_random_maps

from simulator.trace.records import Accuracy
from simulator.trace.shapes import conv_layer


def write_traces(folder: Path, names: Sequence[str] = ("one", "two")) -> None:
    """Recorded traces of two layers and two images, each with other zeros and another accuracy."""
    for number, name in enumerate(names):
        shapes = chain(
            conv_layer("first", (3, 10, 10), 6 + number, (3, 3)), conv_layer("second", (6 + number, 8, 8), 8, (3, 3))
        )
        trace = with_random_maps(shapes, np.random.default_rng(number), images=2, empty_maps=0.4)
        accuracy = Accuracy(2, top1=0.5 + 0.25 * number, top5=1.0)
        dataclasses.replace(trace, name=name, accuracy=accuracy).save(folder / name)


def study_file(folder: Path, **changes: object) -> Path:
    """A study of 2 traces × 2 sizes × 2 bandwidths × 2 kinds of pruning on one preset; changes replace its keys."""
    content: dict[str, object] = {
        "name": "small",
        "traces": ["one.trace.safetensors", "two.trace.safetensors"],
        "images": "0:1",
        "accelerators": ["eyeriss"],
        "parameters": {"buffers.ifm.capacity": ["64 KiB", "96 KiB"], "dram.bandwidth": ["1 GB/s", "4 GB/s"]},
        "pruning": ["none", "dynamic"],
        "objectives": ["dram_bytes", "energy_pj"],
    }
    content.update(changes)
    path = folder / "study.yaml"
    path.write_text(yaml.safe_dump({key: value for key, value in content.items() if value is not None}), "utf-8")
    return path
