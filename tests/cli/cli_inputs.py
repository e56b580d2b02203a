"""What the tests of commands share: how a command ended, and small traces to give it."""

import dataclasses
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from builders import with_random_maps

from simulator.trace.records import Accuracy
from simulator.trace.shapes import conv_layer, linear_layer, trace_from_layers
from simulator.trace.trace import Trace


@dataclass(frozen=True)
class Ran:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """stdout as strict JSON: NaN and Infinity, which are none, fail."""

        def refuse(constant: str) -> None:
            raise AssertionError(f"{constant} in JSON")

        return json.loads(self.out, parse_constant=refuse)

    def mistake(self) -> str:
        """The one line of a user's mistake, without its prefix; fails when the command ended in any other way."""
        assert self.code == 2, f"exit code {self.code}: {self.err}"
        assert self.out == ""
        assert "Traceback" not in self.err
        assert self.err.startswith("fmapsim: error: "), self.err
        assert self.err.count("\n") == 1, self.err
        return self.err.removeprefix("fmapsim: error: ").rstrip("\n")


Run = Callable[..., Ran]


def tiny_shapes() -> Trace:
    """Two convolutions and a linear layer, the first with a name that rich would take for markup."""
    return trace_from_layers(
        "tiny",
        [
            conv_layer("block[0]", (3, 8, 8), 4, (3, 3), padding=1),
            conv_layer("conv2", (4, 8, 8), 8, (3, 3), stride=2),
            linear_layer("fc", 72, 10),
        ],
    )


def tiny_trace() -> Trace:
    """The same with random zeros on three images, of which the third can be told apart: conv2 reads only zeros."""
    trace = with_random_maps(tiny_shapes(), np.random.default_rng(0), images=3, empty_maps=0.4)
    for key in ("map/1", "nonzero/1", "max/1"):
        trace.arrays.read_all(key)[2] = 0
    return dataclasses.replace(
        trace, accuracy=Accuracy(3, top1=2 / 3, top5=1.0), provenance={"command": "fmapsim extract tiny"}
    )
