"""The images that a network is run on, batch by batch, checked."""

from collections.abc import Iterable, Iterator
from itertools import chain

import torch
from torch import nn

from simulator.errors import InputError

_IMAGES_PER_BATCH = 16

Batches = Iterable[torch.Tensor] | torch.Tensor


def image_count(batches: Batches, labels: int | None) -> int:
    """How many images there are, 0 when that cannot be known beforehand."""
    if isinstance(batches, torch.Tensor):
        return len(batches)
    if isinstance(batches, list | tuple):
        return sum(len(batch) for batch in batches if isinstance(batch, torch.Tensor))
    return labels or 0


def check_repeatable(batches: Batches) -> None:
    """Raises InputError when the images can be passed over only once."""
    if iter(batches) is batches:
        raise InputError(
            "a relative epsilon passes over the images twice, but `batches` can be read only once; "
            "give a list of batches, or separate images by `calibration`"
        )


def checked_batches(batches: Batches, model: nn.Module, what: str = "batches") -> Iterator[torch.Tensor]:
    """Copies of the batches on the model's device and in its floating-point type; a single tensor is split up.

    Raises InputError for anything that is not a tensor with at least one image, and when there is no batch at all.
    """
    if isinstance(batches, torch.Tensor):
        batches = torch.split(batches, _IMAGES_PER_BATCH)
    parameter = next(chain(model.parameters(), model.buffers()), torch.empty(0))
    floating = parameter.dtype if parameter.is_floating_point() else torch.get_default_dtype()
    number = -1
    for number, batch in enumerate(batches):
        if not isinstance(batch, torch.Tensor):
            raise InputError(
                f"{what}: item {number} is a {type(batch).__name__}, "
                "expected a tensor [N, C, H, W] (labels go separately)"
            )
        if batch.dim() < 2 or batch.numel() == 0:
            raise InputError(f"{what}: item {number} has shape {list(batch.shape)}, expected [N, C, H, W] with N ≥ 1")
        dtype = floating if batch.is_floating_point() else batch.dtype
        yield batch.detach().to(parameter.device, dtype, copy=True)
    if number < 0:
        raise InputError(f"{what}: no images")
