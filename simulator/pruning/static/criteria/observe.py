"""What layers read and write on the calibration images."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from simulator.pruning.static.criteria.criterion import Scoring
from simulator.pruning.static.groups import ChannelGroup, Member

See = Callable[[str, Tensor], None]


@contextmanager
def _hooked(model: nn.Module, names: Iterable[str], see: See, *, inputs: bool) -> Iterator[None]:
    handles = []
    for name in dict.fromkeys(names):

        def hook(module: nn.Module, read: Any, written: Any, name: str = name) -> None:
            see(name, (read[0] if inputs else written).detach())

        handles.append(model.get_submodule(name).register_forward_hook(hook))
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def run(model: nn.Module, batches: Iterable[Tensor], names: Iterable[str], see: See, *, inputs: bool) -> None:
    """Runs `batches` in evaluation mode; `see` gets (layer, what it writes, or with `inputs` reads) as it happens."""
    parameter = next(model.parameters(), torch.empty(0))
    model.eval()
    with torch.no_grad(), _hooked(model, names, see, inputs=inputs):
        for batch in batches:
            model(batch.to(parameter.device, parameter.dtype))


def unit_maps(values: Tensor, member: Member) -> Tensor:
    """What a consumer reads, by unit: [N, units, n, H, W] from [N, C, H, W] or [N, C].

    Behind a flatten a unit's n elements are one map, laid out as a square where n is one.
    """
    units, per_unit = member.channels.shape
    chosen = values[:, torch.from_numpy(member.channels.ravel()).to(values.device)]
    if values.dim() > 2:
        tail = (*values.shape[2:], 1)[:2]
        return chosen.reshape(len(values), units, per_unit, *tail)
    side = int(np.sqrt(per_unit))
    shape = (side, side) if side * side == per_unit else (1, per_unit)
    return chosen.reshape(len(values), units, 1, *shape)


@dataclass(frozen=True, eq=False)
class Reader:
    """A group and the layer whose input its channels are: the first consumer."""

    group: ChannelGroup
    member: Member


def mean_over_images(scoring: Scoring, criterion: str, measure: Callable[[Tensor], Tensor]) -> dict[str, Any]:
    """By group, the mean over the calibration images of `measure`: maps [N, units, n, H, W] to [N, units].

    The maps are those that the next layer reads: behind the activation, and behind pooling where there is any.
    """
    images = scoring.images(criterion)
    readers: dict[str, list[Reader]] = {}
    for group in scoring.prunable:
        readers.setdefault(group.consumers[0].layer, []).append(Reader(group, group.consumers[0]))
    sums = {group.name: np.zeros(group.units) for group in scoring.prunable}

    def see(layer: str, values: Tensor) -> None:
        for reader in readers[layer]:
            found = measure(unit_maps(values, reader.member)).double().sum(dim=0)
            sums[reader.group.name] += found.cpu().numpy()

    run(scoring.model, images.in_order(scoring.settings.batch_size), readers, see, inputs=True)
    return {name: total / images.count for name, total in sums.items()}
