"""Which channels of a network go together: the unit of structured pruning.

Cutting an output channel of a convolution cuts an input channel of every layer that reads it, a line of the batch norm
behind it, and the same channel of whatever it is added to. Torch-Pruning's dependency graph (Fang et al., "DepGraph",
CVPR 2023) finds who is coupled to whom; every group found is then held to what pruning means: a network without the
channels must compute what the network computes with them at zero.
"""

import copy
import warnings
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn.utils import prune as torch_prune

from simulator.errors import InputError
from simulator.pruning.static.cut import Cuts, Side, cut, zeroed

Ints = npt.NDArray[np.int64]

_TOLERANCE = 1e-4  # of the largest output; float32 sums in another order differ by about 1e-6

_NONE = np.empty(0, np.int64)

LAYERS = (nn.Conv1d, nn.Conv2d, nn.Linear)
NORMS = (nn.BatchNorm1d, nn.BatchNorm2d)


@dataclass(frozen=True, eq=False)
class Member:
    """A layer's share of a group: `channels` [units, n] are the layer's channels that go with each unit."""

    layer: str
    channels: Ints


@dataclass(frozen=True, eq=False)
class ChannelGroup:
    """Channels that are kept or cut together, unit by unit.

    name: the layer that the group begins with. producers: layers whose output channels these are; several where
    outputs are added or a depthwise layer passes them on. norms: the batch norms behind. consumers: layers that read
    them, with several input channels per unit behind a flatten.
    """

    name: str
    units: int
    producers: tuple[Member, ...]
    norms: tuple[Member, ...] = ()
    consumers: tuple[Member, ...] = ()

    def cuts(self, units: Iterable[int]) -> Cuts:
        """What leaves each layer when `units` go."""
        chosen = np.fromiter(units, np.int64)
        cuts = Cuts()
        for member in (*self.producers, *self.norms):
            cuts.add(member.layer, "out", member.channels[chosen].ravel())
        for member in self.consumers:
            cuts.add(member.layer, "in", member.channels[chosen].ravel())
        return cuts


@dataclass(frozen=True, eq=False)
class Prunable:
    """The groups of a network by name, in the order of execution, and why other layers cannot be pruned, by name."""

    groups: Mapping[str, ChannelGroup]
    blocked: Mapping[str, str]

    def __iter__(self) -> Iterator[ChannelGroup]:
        return iter(self.groups.values())

    def only(self, names: Collection[str]) -> "Prunable":
        """Those of the groups."""
        return Prunable({name: group for name, group in self.groups.items() if name in names}, self.blocked)

    def after(self, kept: Mapping[str, Ints]) -> "Prunable":
        """The groups of the network that keeps these units of each group (all of those that are not named)."""
        units = {group.name: kept.get(group.name, np.arange(group.units)) for group in self}
        gone = Cuts.joined(
            group.cuts(np.setdiff1d(np.arange(group.units), units[group.name]).tolist()) for group in self
        ).layers()

        def renumbered(members: tuple[Member, ...], name: str, side: Side) -> tuple[Member, ...]:
            return tuple(
                Member(m.layer, channels - np.searchsorted(gone.get(m.layer, {}).get(side, _NONE), channels))
                for m in members
                for channels in [m.channels[units[name]]]
            )

        groups = {
            group.name: ChannelGroup(
                group.name,
                len(units[group.name]),
                renumbered(group.producers, group.name, "out"),
                renumbered(group.norms, group.name, "out"),
                renumbered(group.consumers, group.name, "in"),
            )
            for group in self
        }
        return Prunable(groups, self.blocked)

    def group_of(self, layer: str) -> ChannelGroup:
        """The group that cuts output channels of `layer`; raises InputError with the reason when there is none."""
        for group in self:
            if any(member.layer == layer for member in group.producers):
                return group
        if layer in self.blocked:
            raise InputError(f"layer '{layer}' cannot be pruned: {self.blocked[layer]}")
        known = [member.layer for group in self for member in group.producers]
        if known:
            raise InputError(f"no layer '{layer}' to prune; the network has {', '.join(known)}")
        reasons = "; ".join(f"'{name}': {reason}" for name, reason in self.blocked.items())
        raise InputError(f"no layer of the network can be pruned: {reasons}")


def example_input(model: nn.Module, input_shape: tuple[int, int, int], images: int = 1) -> Tensor:
    """Random images [images, C, H, W] of a fixed seed, in the model's number type and on its device."""
    parameter = next(model.parameters(), torch.empty(0))
    generator = torch.Generator().manual_seed(0)
    return torch.randn(images, *input_shape, generator=generator).to(parameter.device, parameter.dtype)


def shared_copy(model: nn.Module) -> nn.Module:
    """A copy of the modules whose parameters and buffers are the original's tensors, in evaluation mode.

    Parameters are new objects that want gradients; replacing them leaves the original alone. Raises InputError for a
    network whose weights torch.nn.utils.prune holds in two parts.
    """
    if torch_prune.is_pruned(model):
        raise InputError(
            "the network holds masks of torch.nn.utils.prune; make them permanent (`made_permanent`) first"
        )
    memo: dict[int, Any] = {id(tensor): tensor for tensor in model.buffers()}
    memo |= {
        id(parameter): nn.Parameter(parameter.detach(), requires_grad=parameter.is_floating_point())
        for parameter in model.parameters()
    }
    return copy.deepcopy(model, memo).eval()


def find_groups(model: nn.Module, input_shape: tuple[int, int, int]) -> Prunable:
    """The channel groups of `model` on images [C, H, W], each tried out on random images.

    Raises InputError when the network does not run on such images.
    """
    example = example_input(model, input_shape)
    traced = shared_copy(model)
    groups, blocked = _traced_groups(traced, example)
    for group in _failing(traced, example, groups):
        for member in group.producers:
            blocked[member.layer] = _reason(traced, example, group)
    order = {name: number for number, (name, _) in enumerate(model.named_modules())}
    groups.sort(key=lambda group: order[group.name])
    good = {group.name: group for group in groups if group.name not in blocked}
    if not good and not blocked:
        raise InputError("the network has no convolution or linear layer to prune")
    return Prunable(good, blocked)


def _traced_groups(model: nn.Module, example: Tensor) -> tuple[list[ChannelGroup], dict[str, str]]:
    import torch_pruning

    graph = torch_pruning.DependencyGraph()
    try:
        with torch.enable_grad(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            graph.build_dependency(model, example, verbose=False)
            found = list(graph.get_all_groups(root_module_types=list(LAYERS)))
    except Exception as error:  # whatever the user's forward pass or the tracer raises
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise InputError(f"the network does not run on images {list(example.shape[1:])}: {reason}") from error
    names = {module: name for name, module in model.named_modules()}
    groups: list[ChannelGroup] = []
    blocked: dict[str, str] = {}
    for entry in found:
        group = _as_group(graph, entry, names)
        if isinstance(group, ChannelGroup):
            groups.append(group)
        else:
            blocked |= group
    return groups, blocked


def _as_group(graph: Any, entry: Any, names: Mapping[nn.Module, str]) -> ChannelGroup | dict[str, str]:
    """A group of the dependency graph, or a reason for each of its producers."""
    producers, norms, consumers = {}, {}, {}  # type: dict[str, Ints], dict[str, Ints], dict[str, Ints]
    roots = len(entry[0].idxs)
    problem = None
    for item in entry:
        module = item.dep.target.module
        if isinstance(module, nn.Parameter):
            problem = "a parameter outside convolutions, linear layers and batch norms goes with its channels"
            continue
        name = names.get(module)
        if name is None:  # an operator without parameters
            continue
        channels = _by_root(item.idxs, item.root_idxs, roots)
        if channels is None or channels.max() >= _width(module):
            problem = problem or f"its channels meet another number in '{name}' (a padded shortcut, or the like)"
            channels = np.zeros((roots, 1), np.int64)
        if isinstance(module, NORMS):
            norms[name] = channels
        elif isinstance(module, LAYERS):
            depthwise = not isinstance(module, nn.Linear) and module.groups == module.out_channels > 1
            is_output = depthwise or graph.is_out_channel_pruning_fn(item.dep.handler)
            (producers if is_output else consumers)[name] = channels
        elif any(True for _ in module.parameters()):
            problem = problem or f"'{name}' ({type(module).__name__}) mixes its channels"
    if problem is None and not consumers:
        problem = "its channels are the network's outputs"
    if problem is None:
        units = _units(entry, names, producers, consumers, roots)
        if units is None:
            problem = "grouped convolutions divide its channels in different ways"
    if problem is not None:
        return dict.fromkeys(producers, problem)
    assert units is not None

    def members(found: Mapping[str, Ints]) -> tuple[Member, ...]:
        return tuple(Member(name, channels[units].reshape(len(units), -1)) for name, channels in found.items())

    first = min(producers, key=list(names.values()).index)
    return ChannelGroup(first, len(units), members(producers), members(norms), members(consumers))


def _width(module: nn.Module) -> int:
    """The larger number of channels of a layer's two sides."""
    sizes = ("out_channels", "in_channels", "out_features", "in_features", "num_features")
    return max((getattr(module, size) for size in sizes if hasattr(module, size)), default=2**31)


def _by_root(indices: list[int], roots: list[int], count: int) -> Ints | None:
    """[count, n]: the indices that belong to each root channel, None where they do not have the same number."""
    root = np.asarray(roots, np.int64)
    if len(root) % count or len(root) == 0:
        return None
    order = np.lexsort((np.asarray(indices), root))
    if not np.array_equal(root[order], np.repeat(np.arange(count), len(root) // count)):
        return None
    return np.asarray(indices, np.int64)[order].reshape(count, -1)


def _units(
    entry: Any, names: Mapping[nn.Module, str], producers: Mapping[str, Ints], consumers: Mapping[str, Ints], roots: int
) -> Ints | None:
    """[units, n]: the root channels of each unit; a grouped convolution keeps equally many channels in each group."""
    label = np.arange(roots)
    for item in entry:
        module = item.dep.target.module
        name = names.get(module, "")
        found = producers.get(name, consumers.get(name))
        if found is None or isinstance(module, nn.Linear) or module.groups in (1, module.out_channels):
            continue
        total = module.out_channels if name in producers else module.in_channels
        per_group = total // module.groups
        if found.shape[1] != 1 or total != roots:  # of a concatenation it reads more than this group
            return None
        own = found[:, 0] % per_group
        if len(np.unique(label)) < roots and not np.array_equal(own, label):
            return None
        label = own
    order = np.argsort(label, kind="stable")
    counts = np.bincount(label)
    if len(set(counts.tolist())) != 1:
        return None
    return order.reshape(len(counts), -1).astype(np.int64)


def _failing(model: nn.Module, example: Tensor, groups: list[ChannelGroup]) -> list[ChannelGroup]:
    """The groups that do not stand the test, by halving: most networks take two runs."""
    if not groups or _equivalent(model, example, groups):
        return []
    if len(groups) == 1:
        return groups
    half = len(groups) // 2
    return _failing(model, example, groups[:half]) + _failing(model, example, groups[half:])


def _outputs(model: nn.Module, example: Tensor) -> Tensor | None:
    try:
        with torch.inference_mode():
            result = model(example)
    except (RuntimeError, ValueError, IndexError, TypeError):
        return None
    return result if isinstance(result, Tensor) else None


def _equivalent(model: nn.Module, example: Tensor, groups: list[ChannelGroup]) -> bool:
    """Whether the network without some units of each group computes what it does with those units at zero.

    The first is one of them: whatever shifts channels against each other then shifts all of them.
    """
    if any(group.units < 2 for group in groups):
        return False
    cuts = Cuts.joined(group.cuts({0, group.units // 3}) for group in groups)
    expected = _outputs(zeroed(shared_copy(model), cuts), example)
    found = _outputs(cut(shared_copy(model), cuts), example)
    if expected is None or found is None or expected.shape != found.shape:
        return False
    largest = float(expected.abs().max())
    return bool(torch.allclose(found, expected, rtol=0.0, atol=_TOLERANCE * largest))


def _reason(model: nn.Module, example: Tensor, group: ChannelGroup) -> str:
    if group.units < 2:
        return "it has a single channel, or one per group of a grouped convolution"
    whole = _outputs(model, example)
    without = _outputs(cut(shared_copy(model), group.cuts([0])), example)
    if without is None:
        return "without one of its channels the network does not run (its code counts on their number)"
    if whole is not None and whole.shape != without.shape:
        return "its channels are the network's outputs"
    return "cutting a channel shifts others (a padded shortcut, or an operator across channels), so results change"
