"""What `unstructured` pruning is asked for, as one line of text: `magnitude 0.6`, `2:4`, `block 4x4 0.5`."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from torch import nn

from simulator.errors import InputError
from simulator.pruning.static.unstructured import blocks, magnitude, n_of_m

_EXAMPLES = "'magnitude 0.6', 'magnitude-all 0.6', '2:4' or 'block 4x4 0.5'"


@dataclass(frozen=True)
class Pattern:
    """kind: `magnitude` (each layer), `magnitude-all` (all layers together), `n_of_m` (sizes N, M) or `block` (sizes
    rows, columns). share: of weights, or of blocks, that become zero; of no use to n_of_m."""

    kind: Literal["magnitude", "magnitude-all", "n_of_m", "block"]
    share: float = 0.0
    sizes: tuple[int, int] = (1, 1)

    def apply(self, model: nn.Module, layers: Sequence[str] = ("*",)) -> None:
        """Masks the weights of the layers, in place. Raises InputError for sizes and shares that cannot be."""
        if self.kind == "n_of_m":
            n_of_m(model, *self.sizes, layers)
        elif self.kind == "block":
            blocks(model, *self.sizes, self.share, layers)
        else:
            magnitude(model, self.share, layers, everywhere=self.kind == "magnitude-all")


def parse_pattern(text: str) -> Pattern:
    """The pattern that `text` names. Raises InputError with examples when it names none."""
    number = r"(\d*\.?\d+)"
    if match := re.fullmatch(rf"(magnitude|magnitude-all) {number}", text):
        return Pattern(match[1], float(match[2]))  # type: ignore[arg-type]
    if match := re.fullmatch(r"(\d+):(\d+)", text):
        return Pattern("n_of_m", sizes=(int(match[1]), int(match[2])))
    if match := re.fullmatch(rf"block (\d+)[x×](\d+) {number}", text):
        return Pattern("block", float(match[3]), (int(match[1]), int(match[2])))
    raise InputError(f"pattern '{text}', expected {_EXAMPLES}")
