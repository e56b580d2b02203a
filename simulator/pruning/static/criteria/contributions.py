"""What each channel adds to single outputs of the next layer, at positions drawn at random."""

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor, nn

from simulator.pruning.static.criteria.criterion import Scoring
from simulator.pruning.static.criteria.observe import run
from simulator.pruning.static.groups import ChannelGroup, Member

POSITIONS = 10
"""Output positions per image, as ThiNet takes them."""


def patches(layer: nn.Module, values: Tensor, generator: np.random.Generator, positions: int) -> Tensor:
    """What `layer` reads at `positions` output positions of each image: [N·positions, C, R, S].

    A linear layer has one position; so it gives [N, C, 1, 1].
    """
    if isinstance(layer, nn.Linear):
        return values.flatten(0, -2)[:, :, None, None]
    assert isinstance(layer, nn.Conv1d | nn.Conv2d)
    if values.dim() == 3:
        values = values[:, :, None]
    rows, columns = _pair(layer.kernel_size, 1)
    down, right = _pair(layer.stride, 1)
    apart = _pair(layer.dilation, 1)
    padded = nn.functional.pad(values, layer._reversed_padding_repeated_twice)
    high = (padded.shape[2] - apart[0] * (rows - 1) - 1) // down + 1
    wide = (padded.shape[3] - apart[1] * (columns - 1) - 1) // right + 1
    found = []
    for image in padded:
        tops = generator.integers(high, size=positions) * down
        starts = generator.integers(wide, size=positions) * right
        for top, start in zip(tops, starts, strict=True):
            below, behind = top + apart[0] * (rows - 1) + 1, start + apart[1] * (columns - 1) + 1
            found.append(image[:, top : below : apart[0], start : behind : apart[1]])
    return torch.stack(found)


def _pair(sizes: tuple[int, ...], first: int) -> tuple[int, int]:
    """(rows, columns) of a convolution's sizes; a one-dimensional one has `first` in front."""
    return (sizes[0], sizes[1]) if len(sizes) == 2 else (first, sizes[0])


def contributions(layer: nn.Module, patch: Tensor, outputs: Tensor, member: Member) -> Tensor:
    """What each unit adds to output `outputs[s]` [S, k] at patch s [S, C, R, S]: [S, k, units].

    A unit adds nothing to outputs of other groups of a grouped convolution.
    """
    weight = layer.weight
    assert isinstance(weight, Tensor)
    weight = weight.detach().reshape(len(weight), weight.shape[1], *patch.shape[2:])
    groups = getattr(layer, "groups", 1)
    per_group = weight.shape[1]
    group = outputs // (len(weight) // groups)  # [S, k]
    columns = group[..., None] * per_group + torch.arange(per_group)  # the input channels that each output reads
    read = patch[torch.arange(len(patch))[:, None, None], columns]  # [S, k, C/groups, R, S]
    products = (read * weight[outputs]).sum(dim=(-2, -1))
    whole = products.new_zeros(*outputs.shape, patch.shape[1]).scatter_(-1, columns, products)
    return whole[..., torch.from_numpy(member.channels)].sum(dim=-1)


def every_contribution(layer: nn.Module, patch: Tensor, member: Member) -> Tensor:
    """What each unit adds to every output at patch s [S, C, R, S]: [S, outputs, units], as products of matrices."""
    weight = layer.weight
    assert isinstance(weight, Tensor)
    groups, samples, channels = getattr(layer, "groups", 1), len(patch), patch.shape[1]
    weight = weight.detach().reshape(groups, len(weight) // groups, channels // groups, -1)
    read = patch.reshape(samples, groups, channels // groups, -1)
    added = torch.einsum("sgcx,gkcx->gskc", read, weight)
    if groups == 1:
        whole = added[0]
    else:
        whole = added.new_zeros(samples, groups, weight.shape[1], groups, channels // groups)
        number = torch.arange(groups)
        whole[:, number, :, number] = added
        whole = whole.flatten(3).flatten(1, 2)
    if np.array_equal(member.channels[:, 0], np.arange(channels)):  # each channel is a unit
        return whole
    units: Tensor = whole[..., torch.from_numpy(member.channels)].sum(dim=-1)
    return units


def inputs_seen(scoring: Scoring, criterion: str) -> Iterator[tuple[ChannelGroup, Member, nn.Module, Tensor]]:
    """(group, consumer, its module, what it reads at random positions) for each consumer and batch of images."""
    images = scoring.images(criterion)
    generator = np.random.default_rng(scoring.settings.seed)
    readers: dict[str, list[tuple[ChannelGroup, Member]]] = {}
    for group in scoring.prunable:
        for member in group.consumers:
            readers.setdefault(member.layer, []).append((group, member))
    for batch in images.in_order(scoring.settings.batch_size):
        seen: list[tuple[str, Tensor]] = []

        def see(layer: str, values: Tensor, seen: list[tuple[str, Tensor]] = seen) -> None:
            seen.append((layer, patches(scoring.layer(layer), values, generator, POSITIONS).cpu()))

        run(scoring.model, [batch], readers, see, inputs=True)
        for layer, patch in seen:
            for group, member in readers[layer]:
                yield group, member, scoring.layer(layer), patch
