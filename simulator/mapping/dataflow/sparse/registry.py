"""Schemes by name: what an accelerator file says, and the chips that are known for each."""

from collections.abc import Callable, Mapping
from typing import Any

from simulator.hardware.array import Array
from simulator.mapping.dataflow.sparse.activation_broadcast import ActivationBroadcast
from simulator.mapping.dataflow.sparse.activation_lanes import ActivationLanes
from simulator.mapping.dataflow.sparse.base import Scheme
from simulator.mapping.dataflow.sparse.cartesian_product import CartesianProduct
from simulator.mapping.dataflow.sparse.channel_bricks import ChannelBricks
from simulator.mapping.dataflow.sparse.nonzero_pairs import NonzeroPairs
from simulator.mapping.dataflow.sparse.packed_kernels import PackedKernels
from simulator.mapping.dataflow.sparse.structured_kernels import StructuredKernels

SCHEMES: Mapping[str, Callable[[Array, Any], Scheme]] = {
    "cartesian_product": lambda array, keys: CartesianProduct(
        array.rows, array.columns, keys.activations, keys.weights, keys.banks, keys.accumulators
    ),
    "activation_lanes": lambda array, keys: ActivationLanes(array.macs_per_pe, array.rows * array.columns, keys.brick),
    "nonzero_pairs": lambda array, keys: NonzeroPairs(array.rows, array.columns),
    "activation_broadcast": lambda array, keys: ActivationBroadcast(
        array.rows * array.columns, keys.fifo, keys.index_bits
    ),
    "packed_kernels": lambda array, keys: PackedKernels(array.rows * array.columns, keys.load_elements),
    "structured_kernels": lambda array, keys: StructuredKernels(
        array.rows, array.columns, array.macs_per_pe, keys.nonzeros, keys.group
    ),
    "channel_bricks": lambda array, keys: ChannelBricks(array.rows * array.columns, array.macs_per_pe, keys.kernels),
}
"""The scheme of an array and its `skipping` section, by kind."""

PRESETS: Mapping[str, str] = {
    "cartesian_product": "scnn",
    "activation_lanes": "cnvlutin",
    "nonzero_pairs": "eyeriss-v2",
    "activation_broadcast": "eie",
    "packed_kernels": "sigma",
    "structured_kernels": "sparse-tensor-core",
    "channel_bricks": "brick-skipping",
}
"""The preset that a kind's figures are taken from where nobody says others."""

ALONE: Mapping[str, Mapping[str, int]] = {"nonzero_pairs": {"rows": 1, "columns": 1}}
"""What counts instead of the preset's size for a kind by itself: a single PE, for which the rule was published."""

CHIPS: Mapping[str, str] = {
    "scnn": "cartesian_product",
    "cnvlutin": "activation_lanes",
    "eyeriss_v2": "nonzero_pairs",
    "eie": "activation_broadcast",
    "sigma": "packed_kernels",
    "structured": "structured_kernels",
    "bricks": "channel_bricks",
}
"""Short names of the kinds, of chips where one is known for it."""


def scheme_of(array: Array) -> Scheme:
    """The scheme of an array with `skipping`."""
    assert array.skipping is not None
    return SCHEMES[array.skipping.kind](array, array.skipping)
