"""Zero-maps drawn at random: exactly so many non-zeros per tensor, anywhere in it, anew for each image.

Nothing is kept: each map is drawn when it is read, always the same one for a seed, a tensor and an image.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from simulator.trace import zero_map
from simulator.trace.records import Shape

_TENSOR, _KERNEL = 0, 1


@dataclass(frozen=True)
class StatisticalArrays:
    """The arrays of a trace for any number of images, without channel maxima.

    shapes: (C, H, W) of every tensor. nonzeros: how many elements of a tensor are not zero; all of one that is not
    named. kernels and kernel_nonzeros say the same of the kernels, by layer.
    """

    shapes: Sequence[Shape]
    nonzeros: Mapping[int, int]
    kernels: Mapping[int, tuple[int, int, int, int]] = field(default_factory=dict)
    kernel_nonzeros: Mapping[int, int] = field(default_factory=dict)
    seed: int = 0

    def read(self, key: str, index: int) -> npt.NDArray[Any]:
        """Of image `index`: `map/T` [C, ceil(H·W/8)] or `nonzero/T` [C]."""
        kind, tensor = key.split("/")
        nonzero = self._tensor(int(tensor), index)
        if kind == "nonzero":
            return np.asarray(np.count_nonzero(nonzero, axis=(1, 2)), np.uint32)
        return zero_map.pack(nonzero)

    def read_all(self, key: str) -> npt.NDArray[Any]:
        """`kernel/L` [K, ceil(C·R·S/8)]: kernels do not depend on the image."""
        layer = int(key.removeprefix("kernel/"))
        outputs, *rest = self.kernels[layer]
        elements = math.prod(rest)
        drawn = drawn_nonzeros(outputs * elements, self.kernel_nonzeros[layer], (self.seed, _KERNEL, layer))
        return np.packbits(drawn.reshape(outputs, elements), axis=-1)

    def shape(self, key: str) -> tuple[int, ...] | None:
        """The shape of a kernel's map; None for the others, whose first axis has no end."""
        kind, number = key.split("/")
        if kind != "kernel" or int(number) not in self.kernel_nonzeros:
            return None
        outputs, *rest = self.kernels[int(number)]
        return outputs, -(-math.prod(rest) // 8)

    def _tensor(self, tensor: int, image: int) -> zero_map.Bools:
        shape = self.shapes[tensor]
        if tensor not in self.nonzeros:
            return np.ones(shape, np.bool_)
        drawn = drawn_nonzeros(math.prod(shape), self.nonzeros[tensor], (self.seed, _TENSOR, tensor, image))
        return drawn.reshape(shape)


def drawn_nonzeros(elements: int, nonzeros: int, seed: Sequence[int]) -> zero_map.Bools:
    """A vector of `elements` booleans of which exactly `nonzeros` are True, every such vector equally likely.

    Each element is drawn on its own first; then as many of the surplus ones, chosen at random, are flipped.
    """
    rng = np.random.default_rng(seed)
    drawn = rng.random(elements, np.float32) < nonzeros / elements
    surplus = int(np.count_nonzero(drawn)) - nonzeros
    candidates = np.flatnonzero(drawn if surplus > 0 else ~drawn)
    flipped = candidates[rng.choice(len(candidates), abs(surplus), replace=False, shuffle=False)]
    drawn[flipped] = surplus < 0
    return drawn
