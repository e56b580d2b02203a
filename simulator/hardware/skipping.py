"""Which way of exploiting zeros an array has been built for: `array.skipping` of an accelerator file.

One section per way, told apart by `kind`; the size of the array stands in `array` itself. What each does is in
docs/arrays.md.
"""

from typing import Annotated, Literal

from pydantic import Field

from simulator.hardware.section import Positive, Section


class CartesianProduct(Section):
    """SCNN: each of rows × columns PEs multiplies `activations` non-zero activations by `weights` non-zero weights, so
    macs_per_pe is activations · weights. banks: of a PE's accumulator, a power of two; accumulators: its entries."""

    kind: Literal["cartesian_product"]
    activations: Annotated[Positive, Field(le=4)]
    weights: Annotated[Positive, Field(le=4)]
    banks: Literal[4, 8, 16, 32]
    accumulators: Positive


class ActivationLanes(Section):
    """Cnvlutin: macs_per_pe lanes, each with its own bricks of non-zero activations, for rows · columns filters at
    once. brick: channels in a brick."""

    kind: Literal["activation_lanes"]
    brick: Positive


class NonzeroPairs(Section):
    """Eyeriss v2: rows × columns PEs (macs_per_pe 1) that each multiply one pair of non-zeros a cycle."""

    kind: Literal["nonzero_pairs"]


class ActivationBroadcast(Section):
    """EIE: rows · columns PEs (macs_per_pe 1) that hold output channels in turn; non-zero activations are broadcast.
    fifo: activations that wait before each PE; index_bits: of the zeros counted before each stored weight."""

    kind: Literal["activation_broadcast"]
    fifo: Positive
    index_bits: Positive


class PackedKernels(Section):
    """SIGMA: rows · columns multipliers (macs_per_pe 1) filled with the non-zero weights of whole kernels.
    load_elements: weights that enter in a cycle."""

    kind: Literal["packed_kernels"]
    load_elements: Positive


class StructuredKernels(Section):
    """N:M kernels: rows output channels by columns positions by macs_per_pe products of the reduction a cycle, of which
    kernels with at most `nonzeros` weights in every `group` neighbouring channels need fewer."""

    kind: Literal["structured_kernels"]
    nonzeros: Positive
    group: Positive


class ChannelBricks(Section):
    """rows · columns filters by bricks of macs_per_pe channels a cycle; bricks of the IFM without a non-zero are
    skipped. kernels: so are bricks for which no filter at work has a weight."""

    kind: Literal["channel_bricks"]
    kernels: bool = False


Skipping = Annotated[
    CartesianProduct
    | ActivationLanes
    | NonzeroPairs
    | ActivationBroadcast
    | PackedKernels
    | StructuredKernels
    | ChannelBricks,
    Field(discriminator="kind"),
]

ONE_MAC = ("nonzero_pairs", "activation_broadcast", "packed_kernels")
"""Kinds whose PEs are single multipliers."""
