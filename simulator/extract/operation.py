"""One operator as the trace will describe it: the record that the operator table fills in."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

from simulator.extract.views import BatchAxis, Role, Seen


@dataclass(frozen=True, eq=False)
class Call:
    """One call of an aten operator: its bare name, its arguments by the schema's names, the feature maps among them.

    shape is that of the first output.
    """

    name: str
    arguments: dict[str, Any]
    seen: dict[str, Seen]
    shape: tuple[int, ...]

    def __getitem__(self, argument: str) -> Any:
        return self.arguments[argument]

    @property
    def feature_maps(self) -> list[Seen]:
        """What the operator sees of feature maps, in the order of its arguments."""
        return list(self.seen.values())

    def argument_index(self, name: str) -> int:
        """The position of an argument in the call."""
        return list(self.arguments).index(name)


@dataclass(frozen=True, eq=False)
class Operation:
    """What an operator is to the trace.

    operator is `Layer.operator`, label the name it has when folded into another layer. operands: what it reads, and the
    role that each reading must have (None: as it is stored). axis: the batch axis of its first output; role: how that
    output is stored (None: as the first operand). kernel … groups as in `Layer`; weight: the kernel's values,
    [K, C/groups, R, S]. ifm_argument: where in the call the IFM is, for operators whose IFM can be pruned on reading.

    foldable: whether the layer that produces its operand can do it on the way out. scales: whether it only multiplies
    by one number. zero_padding: (top, left, bottom, right) when it only pads with zeros. recognised: False for an
    operator that is described by its sizes alone.
    """

    operator: str
    label: str
    operands: tuple[tuple[Seen, Role | None], ...]
    axis: BatchAxis
    role: Role | None = None
    kernel: tuple[int, int, int, int] | None = None
    stride: tuple[int, int] = (1, 1)
    padding: tuple[int, int, int, int] = (0, 0, 0, 0)
    dilation: tuple[int, int] = (1, 1)
    window: tuple[int, int] = (1, 1)
    groups: int = 1
    weight: torch.Tensor | None = None
    ifm_argument: int | None = None
    foldable: bool = False
    scales: bool = False
    recognised: bool = True
    zero_padding: tuple[int, int, int, int] | None = None


Describe = Callable[[Call], Operation]

OPERATORS: dict[str, Describe] = {}
"""How to describe each operator, by its bare aten name."""


def describes(*names: str) -> Callable[[Describe], Describe]:
    """Enters a function into `OPERATORS` under these aten names."""

    def enter(describe: Describe) -> Describe:
        for name in names:
            OPERATORS[name] = describe
        return describe

    return enter
