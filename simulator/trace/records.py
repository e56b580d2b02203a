"""The records of a trace: layers, tensors, accuracy. Plain values without arrays."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

Shape = tuple[int, int, int]

ARRAY_OPERATORS = frozenset({"conv", "conv_transpose", "linear", "matmul"})
"""Operators whose work is multiply-accumulates; all others run on the vector unit."""


@dataclass(frozen=True)
class Layer:
    """One operator of a network, for one image.

    ifm is (C, H, W) and ofm (K, P, Q); kernel is (K, C/groups, R, S), or None for an operator without one. stride is
    (rows, columns), padding (top, left, bottom, right), dilation (rows, columns), window the (rows, columns) that a
    pooling layer looks at. inputs and output index the trace's tensors. fused names what was folded into this layer
    ("batch_norm", "relu"), in order. kernel_bits: the width of each output channel's weights where they are quantised.

    A matrix product of two activations is a "matmul": one group per head, `ifm` holds the left operand with the inner
    dimension as channels and its rows as H, `kernel` the right operand with K its columns, inputs[1] its tensor.
    """

    name: str
    operator: str
    ifm: Shape
    ofm: Shape
    kernel: tuple[int, int, int, int] | None = None
    stride: tuple[int, int] = (1, 1)
    padding: tuple[int, int, int, int] = (0, 0, 0, 0)
    dilation: tuple[int, int] = (1, 1)
    window: tuple[int, int] = (1, 1)
    groups: int = 1
    inputs: tuple[int, ...] = ()
    output: int = -1
    fused: tuple[str, ...] = ()
    kernel_bits: tuple[int, ...] = ()

    @property
    def macs(self) -> int:
        """Multiply-accumulates of a dense run, padding included: K·(C/groups)·R·S·P·Q, or ·H·W when transposed."""
        if self.kernel is None:
            return 0
        outputs, inputs_per_group, rows, columns = self.kernel
        if self.operator == "conv_transpose":
            return outputs * inputs_per_group * rows * columns * self.ifm[1] * self.ifm[2]
        return outputs * inputs_per_group * rows * columns * self.ofm[1] * self.ofm[2]

    @property
    def ifm_elements(self) -> int:
        """C·H·W."""
        return self.ifm[0] * self.ifm[1] * self.ifm[2]

    @property
    def ofm_elements(self) -> int:
        """K·P·Q."""
        return self.ofm[0] * self.ofm[1] * self.ofm[2]

    @property
    def kernel_elements(self) -> int:
        """Elements of the kernel, 0 without one."""
        if self.kernel is None:
            return 0
        outputs, inputs_per_group, rows, columns = self.kernel
        return outputs * inputs_per_group * rows * columns

    @property
    def two_activations(self) -> bool:
        """True when the kernel is itself a feature map (a matrix product of two activations)."""
        return self.operator == "matmul"

    def to_json(self) -> dict[str, Any]:
        """The record as JSON values; a layer that is not quantised does not mention bits."""
        return {key: value for key, value in vars(self).items() if key != "kernel_bits" or value}

    @staticmethod
    def from_json(data: Mapping[str, Any]) -> "Layer":
        """The record from `to_json`'s values; raises KeyError or TypeError when they are not."""
        values: dict[str, Any] = {
            key: tuple(value) if isinstance(value, list) else value for key, value in data.items()
        }
        return Layer(**values)


@dataclass(frozen=True)
class Tensor:
    """A feature map that lives in memory between layers.

    shape is (C, H, W) as its producer wrote it. zero_free: no element was zero in any image, so no map is stored.
    parts: the tensors it is the channel-wise concatenation of (its map is theirs). source: the tensor it is a
    permutation or pruned copy of: same memory, its own map.
    """

    shape: Shape
    zero_free: bool = False
    parts: tuple[int, ...] = ()
    source: int | None = None

    @property
    def elements(self) -> int:
        """C·H·W."""
        return self.shape[0] * self.shape[1] * self.shape[2]

    def to_json(self) -> dict[str, Any]:
        """The record as JSON values."""
        return dict(vars(self))

    @staticmethod
    def from_json(data: Mapping[str, Any]) -> "Tensor":
        """The record from `to_json`'s values."""
        values: dict[str, Any] = {
            key: tuple(value) if isinstance(value, list) else value for key, value in data.items()
        }
        return Tensor(**values)


@dataclass(frozen=True)
class Accuracy:
    """How the recorded network did: fractions in 0..1, None where it was not measured.

    top1, top5 against the labels; agreement: the share of images whose top-1 class is that of the unpruned network.
    """

    images: int
    top1: float | None = None
    top5: float | None = None
    agreement: float | None = None


@dataclass(frozen=True)
class RecordedPruning:
    """The dynamic pruning that was active in the forward pass while the trace was recorded.

    epsilon: the number or per-layer numbers asked for, a layer's being one or one per channel; relative: whether they
    scale the layer's mean channel maximum. applied: the absolute epsilon of each layer. rule: "all" elements of a piece
    are within epsilon, more than a share of them ("99%" is the 2021 variant), or their "mean" magnitude is. means: what
    stood in the place of flagged pieces, by layer one number per channel; zero for other layers.
    """

    epsilon: float | dict[str, Any]
    relative: bool = False
    granularity: str = "feature_map"
    tile: tuple[int, int] | None = None
    rule: str = "all"
    side: str = "ofm"
    applied: dict[str, Any] = field(default_factory=dict)
    means: dict[str, tuple[float, ...]] = field(default_factory=dict)

    @property
    def thresholds_by_channel(self) -> bool:
        """Whether some layer has an epsilon per channel."""
        return isinstance(self.epsilon, dict) and any(isinstance(value, tuple) for value in self.epsilon.values())

    @property
    def unit(self) -> dict[str, Any]:
        """The settings of a pruning unit that does the same: those of `pruning` in an accelerator file that matter.

        A recording of single elements needs no unit of its own: any finds what they leave empty.
        """
        tile = tuple(self.tile) if self.tile else None
        shape = {} if self.granularity == "element" else {"granularity": self.granularity, "tile": tile}
        return {
            "side": self.side,
            **shape,
            "rule": self.rule if self.rule in ("all", "mean") else "count",
            "thresholds": "channel" if self.thresholds_by_channel else "layer",
            "replacement": "mean" if self.means else "zero",
        }

    @staticmethod
    def from_json(data: Mapping[str, Any]) -> "RecordedPruning":
        """The record from JSON values; raises TypeError when they are not."""
        values = dict(data)
        for key in ("epsilon", "applied", "means"):
            if isinstance(values.get(key), dict):
                values[key] = {
                    name: tuple(value) if isinstance(value, list) else value for name, value in values[key].items()
                }
        tile = data.get("tile")
        return RecordedPruning(**{**values, "tile": None if tile is None else tuple(tile)})
