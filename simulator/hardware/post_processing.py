"""The vector unit behind the array in an accelerator file."""

import difflib
from typing import Literal, Self, get_args

import numpy as np
import numpy.typing as npt
from pydantic import Field, field_validator, model_validator

from simulator.hardware.section import Positive, Section, Share
from simulator.hardware.units import Picoseconds, shown

Ints = npt.NDArray[np.int64]

POOLING = ("max_pool", "average_pool", "global_average_pool")

Fusible = Literal[
    "activation",
    "add",
    "subtract",
    "multiply",
    "divide",
    "elementwise",
    "batch_norm",
    "pooling",
    "max_pool",
    "average_pool",
    "global_average_pool",
]
"""Operators that can be done as elements pass by; `pooling` stands for all three kinds."""

OPERATIONS: tuple[str, ...] = (
    *get_args(Fusible),
    "softmax",
    "layer_norm",
    "normalisation",
    "reduce",
    "concat",
    "pad",
    "upsample",
    "embedding",
    "relu",
    "relu6",
    "prelu",
    "leaky_relu",
    "rrelu_with_noise",
    "gelu",
    "silu",
    "mish",
    "sigmoid",
    "log_sigmoid",
    "tanh",
    "softplus",
    "hardswish",
    "hardsigmoid",
    "hardtanh",
    "hardshrink",
    "softshrink",
    "elu",
    "celu",
    "threshold",
    "clamp",
    "clamp_min",
    "clamp_max",
    "glu",
    "scale",
    "add_constant",
)
"""Operators of the vector unit, and what an array layer may do to its OFM on the way out, as a trace names them."""


class PostProcessing(Section):
    """The vector unit after the array: pooling, element-wise operators, softmax.

    lanes: elements read or written in one cycle. concat: `in_place` when producers write straight into the concatenated
    tensor, `copy` when it is a pass over memory. fused: operators that are done to the OFM of an array layer on its way
    out, where no other layer reads that; pooling then keeps the rows that it needs in a line buffer. operations: passes
    that an operator makes over its elements, 1 for those not named. efficiency: the share of the lanes that is busy
    where a layer streams through them. apart: what recordings fold into the layer before (batch norm, activations) runs
    as layers of its own, as the kernels of a framework do that does not fuse them. overhead: picoseconds at the
    beginning of every layer of this unit, in place of `layer_overhead`. launches: how many kernels an operator is made
    of, 1 for those not named; each of them takes the overhead. blocks: elements of a channel's plane that an operator
    works on at a time, for operators whose planes take whole blocks. bias, with `apart`: `pass` where a kernel of its
    own adds it to the OFM of a convolution without a batch norm behind it; that takes the overhead and the time of
    reading and writing the OFM, and is not among the traffic.
    """

    lanes: Positive = 16
    concat: Literal["in_place", "copy"] = "in_place"
    fused: tuple[Fusible, ...] = ()
    operations: dict[str, Positive] = Field(default_factory=dict)
    efficiency: Share = 1.0
    apart: bool = False
    overhead: Picoseconds | None = None
    launches: dict[str, Positive] = Field(default_factory=dict)
    blocks: dict[str, Positive] = Field(default_factory=dict)
    bias: Literal["free", "pass"] = "free"

    def cycles(self, elements: Ints) -> Ints:
        """Whole cycles in which so many elements pass through the lanes."""
        if self.efficiency == 1.0:
            return -(-elements // self.lanes)
        return np.ceil(elements / (self.lanes * self.efficiency)).astype(np.int64)

    def whole_blocks(self, operator: str, plane: int) -> int:
        """The elements of a plane of so many, with those by which it does not fill the operator's last block."""
        block = self.blocks.get(operator, 1)
        return -(-plane // block) * block

    def fuses(self, operator: str) -> bool:
        """Whether an operator of the trace can follow an array layer on the way out."""
        return operator in self.fused or (operator in POOLING and "pooling" in self.fused)

    def passes(self, operator: str) -> int:
        """Passes of an operator over its elements; its own figure goes before that of all pooling."""
        shared = self.operations.get("pooling", 1) if operator in POOLING else 1
        return self.operations.get(operator, shared)

    def __hash__(self) -> int:
        return hash(
            (
                self.lanes,
                self.concat,
                self.fused,
                frozenset(self.operations.items()),
                self.efficiency,
                self.apart,
                self.overhead,
                frozenset(self.launches.items()),
                frozenset(self.blocks.items()),
                self.bias,
            )
        )

    @field_validator("operations", "launches", "blocks", mode="before")
    @classmethod
    def _known(cls, value: object) -> object:
        for name in value if isinstance(value, dict) else ():
            if name not in OPERATIONS:
                near = difflib.get_close_matches(str(name), OPERATIONS, n=1)
                hint = f"; did you mean '{near[0]}'?" if near else ""
                raise ValueError(f"expected names of operators such as 'softmax', found {shown(name)}{hint}")
        return value

    @model_validator(mode="after")
    def _check(self) -> Self:
        if len(set(self.fused)) < len(self.fused):
            raise ValueError(f"fused: expected each operator once, found {', '.join(self.fused)}")
        return self
