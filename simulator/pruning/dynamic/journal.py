"""What a calibration has found out so far, on disk, so that one that was interrupted goes on where it stopped."""

import contextlib
import json
import os
import zipfile
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import numpy as np
import numpy.typing as npt

from simulator.pruning.dynamic.allocation import LayerSamples
from simulator.pruning.dynamic.search import Step

Samples = tuple[dict[str, LayerSamples], npt.NDArray[np.float32]]

_FIELDS = ("score", "mean", "nonzero", "product", "gradient")


class Journal:
    """Two files beside the result: the levels tried, and the samples. Those of another calibration count for nothing.

    fingerprint: of all that the findings depend on.
    """

    def __init__(self, result: Path | None, fingerprint: str) -> None:
        self._fingerprint = fingerprint
        self._steps_path = None if result is None else result.with_name(f"{result.name}.progress.json")
        self._samples_path = None if result is None else result.with_name(f"{result.name}.progress.npz")
        self._steps: dict[str, dict[str, float]] = {}
        if self._steps_path is not None:
            with contextlib.suppress(OSError, ValueError, AttributeError):
                found = json.loads(self._steps_path.read_text(encoding="utf-8"))
                self._steps = found["steps"] if found.get("fingerprint") == fingerprint else {}

    def step(self, search: str, level: float, find: Callable[[], Step]) -> Step:
        """The step of a search at a level: noted earlier, or found now."""
        key = f"{search} {level!r}"
        if key not in self._steps:
            self._steps[key] = asdict(find())
            if self._steps_path is not None:
                text = json.dumps({"fingerprint": self._fingerprint, "steps": self._steps})
                part = self._steps_path.with_name(f"{self._steps_path.name}.{os.getpid()}.part")
                part.write_text(text, encoding="utf-8")
                part.replace(self._steps_path)
        return Step(**self._steps[key])

    def samples(self, find: Callable[[], Samples]) -> Samples:
        """The samples of the calibration images."""
        if self._samples_path is None:
            return find()
        with (
            contextlib.suppress(OSError, ValueError, KeyError, zipfile.BadZipFile),
            np.load(self._samples_path) as file,
        ):
            if str(file["fingerprint"]) == self._fingerprint:
                names = [str(name) for name in file["names"]]
                layers = {
                    name: LayerSamples(*(file[f"{field}/{number}"] for field in _FIELDS))
                    for number, name in enumerate(names)
                }
                return layers, file["margins"]
        layers, margins = find()
        arrays = {
            f"{field}/{number}": getattr(layer, field)
            for number, layer in enumerate(layers.values())
            for field in _FIELDS
        }
        part = self._samples_path.with_name(f"{self._samples_path.name}.{os.getpid()}.part")
        with part.open("wb") as file:
            np.savez(file, fingerprint=self._fingerprint, names=list(layers), margins=margins, **arrays)
        part.replace(self._samples_path)
        return layers, margins

    def remove(self) -> None:
        """Removes both files: the result is written."""
        for path in (self._steps_path, self._samples_path):
            if path is not None:
                path.unlink(missing_ok=True)
