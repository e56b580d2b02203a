"""The space of designs: every accelerator with every choice of its axes, with each kind of pruning."""

import math
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from simulator.study.axes import Axis
from simulator.study.quantity import base_unit

TRIES = 200
"""Random picks of which none is new and allowed before a space counts as used up."""


@dataclass(frozen=True)
class Design:
    """One accelerator with settings, and its pruning; it runs on all traces and images of the study.

    place: the index of the accelerator, then of the choice on each of its axes, then of the pruning.
    """

    accelerator: str
    overrides: Mapping[str, Any]
    pruning: str
    place: tuple[int, ...]


@dataclass(frozen=True)
class Space:
    """All designs, numbered from 0: the last axis turns faster than the first, pruning fastest of all."""

    axes: Mapping[str, tuple[Axis, ...]]
    pruning: Sequence[str]

    def sizes(self, accelerator: str) -> tuple[int, ...]:
        """How many choices each axis of an accelerator has, and how many kinds of pruning there are."""
        return (*(len(axis.choices) for axis in self.axes[accelerator]), len(self.pruning))

    @property
    def size(self) -> int:
        """How many designs there are."""
        return sum(math.prod(self.sizes(label)) for label in self.axes)

    @property
    def parameters(self) -> tuple[str, ...]:
        """All settings that any axis of any accelerator changes."""
        return tuple(dict.fromkeys(key for axes in self.axes.values() for axis in axes for key in axis.choices[0]))

    @property
    def units(self) -> dict[str, str]:
        """The base units of parameters that are quantities."""
        written = {
            key: base_unit(choice[key])
            for axes in self.axes.values()
            for axis in axes
            for choice in axis.choices
            for key in choice
        }
        return {key: unit for key, unit in written.items() if unit is not None}

    def design(self, number: int) -> Design:
        """The design of that number. Raises IndexError where there is none."""
        if number < 0:
            raise IndexError(number)
        for index, label in enumerate(self.axes):
            sizes = self.sizes(label)
            count = math.prod(sizes)
            if number < count:
                digits = []
                for size in reversed(sizes):
                    number, digit = divmod(number, size)
                    digits.append(digit)
                return self.at((index, *reversed(digits)))
            number -= count
        raise IndexError(number)

    def at(self, place: tuple[int, ...]) -> Design:
        """The design at a place."""
        label = list(self.axes)[place[0]]
        overrides: dict[str, Any] = {}
        for axis, choice in zip(self.axes[label], place[1:-1], strict=True):
            overrides |= axis.choices[choice]
        return Design(label, overrides, self.pruning[place[-1]], place)

    def all(self) -> Iterator[Design]:
        """Every design, in order."""
        return map(self.design, range(self.size))

    def shuffled(self, seed: int) -> Iterator[Design]:
        """Every design once, at random; of a space too large to remember, until new ones are hard to find."""
        chance = random.Random(seed)
        if self.size <= 1_000_000:
            yield from map(self.design, chance.sample(range(self.size), self.size))
            return
        seen: set[int] = set()
        misses = 0
        while misses < TRIES:
            number = chance.randrange(self.size)
            misses = misses + 1 if number in seen else 0
            if not misses:
                seen.add(number)
                yield self.design(number)
