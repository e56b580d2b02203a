"""Where the array's cycles went: effectual products, and what multipliers did instead."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from simulator.mapping.dataflow.sparse.losses import LOSSES

UNUSED, VECTOR = "unused", "vector"
ARRAY_TIMES = ("effectual", *LOSSES, UNUSED)
"""What a multiplier's cycle can be: an effectual product, or one of the losses. `unused` is that of arrays without a
scheme of skipping: loops that do not fill the array, fill and drain, and lanes that wait for each other."""


@dataclass(frozen=True)
class ArrayTime:
    """Multipliers times cycles of a layer: effectual products and losses by cause; and the cycles that densities alone
    would let expect."""

    effectual: int = 0
    losses: Mapping[str, int] = field(default_factory=dict)
    statistical_cycles: int = 0

    def in_cycles(self, cycles: int) -> dict[str, int]:
        """`cycles` of the array by ARRAY_TIMES: shares of its multipliers in whole cycles that add up exactly."""
        parts = {"effectual": self.effectual, **self.losses}
        return shared_out(cycles, {name: parts.get(name, 0) for name in ARRAY_TIMES})


def shared_out(whole: int, shares: Mapping[str, float]) -> dict[str, int]:
    """`whole` in the proportions of `shares`, as whole numbers that add up to it: rounded running sums."""
    total, result, passed, given = sum(shares.values()), {}, 0.0, 0
    for name, share in shares.items():
        passed += share
        upto = round(whole * passed / total) if total else 0
        result[name] = upto - given
        given = upto
    return result


def dense_array_time(
    cycles: int, multipliers: float, effectual: int, worked: int, statistical_cycles: int
) -> ArrayTime:
    """For an array without a scheme: of `worked` MACs, performed or gated, those that were not effectual had a zero."""
    losses = {"ineffectual": worked - effectual, UNUSED: max(0, round(cycles * multipliers) - worked)}
    return ArrayTime(effectual, losses, statistical_cycles)
