"""Weights set to zero one by one, N of M, or block by block: shapes stay, kernels get zeros that hardware may skip.

On torch.nn.utils.prune: masks stay with the layers, so that training keeps the zeros, until `made_permanent`.
"""

import fnmatch
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn.utils import prune as torch_prune

from simulator.errors import InputError
from simulator.pruning.static.groups import LAYERS


class NOfM(torch_prune.BasePruningMethod):
    """Of every M weights that neighbour each other along the input channels, all but the N largest become zero.

    Mishra et al., "Accelerating Sparse Deep Neural Networks", arXiv 2104.08378, for 2:4. Channels behind the last whole
    M are left alone.
    """

    PRUNING_TYPE = "unstructured"

    def __init__(self, n: int, m: int) -> None:
        self.n, self.m = n, m

    def compute_mask(self, t: Tensor, default_mask: Tensor) -> Tensor:
        """The mask of weights [K, C, ...]."""
        whole = t.shape[1] // self.m * self.m
        if not whole:
            return default_mask
        rows = t.detach().movedim(1, -1)[..., :whole]
        groups = rows.abs().reshape(*rows.shape[:-1], whole // self.m, self.m)
        kept = torch.zeros_like(groups).scatter_(-1, groups.topk(self.n, dim=-1).indices, 1.0)
        mask = default_mask.clone()
        mask[:, :whole] *= kept.reshape(rows.shape).movedim(-1, 1)
        return mask


class Blocks(torch_prune.BasePruningMethod):
    """Blocks of rows × columns of the matrix [K, C·R·S], those of the least L1 norm, become zero as a whole.

    Blocks at the edges are smaller, and count by their mean.
    """

    PRUNING_TYPE = "structured"

    def __init__(self, rows: int, columns: int, amount: float) -> None:
        self.rows, self.columns, self.amount = rows, columns, amount

    def compute_mask(self, t: Tensor, default_mask: Tensor) -> Tensor:
        """The mask of weights [K, C, ...]."""
        matrix = t.detach().abs().flatten(1)
        down, right = -(-matrix.shape[0] // self.rows), -(-matrix.shape[1] // self.columns)
        padding = (0, right * self.columns - matrix.shape[1], 0, down * self.rows - matrix.shape[0])

        def summed(values: Tensor) -> Tensor:
            padded = nn.functional.pad(values, padding)
            return padded.reshape(down, self.rows, right, self.columns).sum(dim=(1, 3))

        means = summed(matrix) / summed(torch.ones_like(matrix))
        gone = int(self.amount * means.numel())
        kept = torch.ones(means.numel())
        kept[means.flatten().argsort()[:gone]] = 0
        spread = kept.reshape(down, right).repeat_interleave(self.rows, 0).repeat_interleave(self.columns, 1)
        spread = spread[: matrix.shape[0], : matrix.shape[1]].to(default_mask)
        return default_mask * spread.reshape(default_mask.shape)


def layers_of(model: nn.Module, patterns: Sequence[str] = ("*",)) -> dict[str, nn.Module]:
    """Convolutions and linear layers by name; raises InputError for a pattern that matches none."""
    layers = {name: module for name, module in model.named_modules() if isinstance(module, LAYERS)}
    for pattern in patterns:
        if not any(fnmatch.fnmatchcase(name, pattern) for name in layers):
            raise InputError(f"no layer '{pattern}'; the network has {', '.join(layers) or 'none'}")
    return {name: module for name, module in layers.items() if any(fnmatch.fnmatchcase(name, p) for p in patterns)}


def _share(amount: float) -> float:
    if not 0 <= amount < 1:
        raise InputError(f"a share of {amount:g} of the weights to zero, expected 0 up to less than 1")
    return amount


def magnitude(model: nn.Module, amount: float, patterns: Sequence[str] = ("*",), *, everywhere: bool = False) -> None:
    """Sets the share `amount` of the smallest weights to zero, in place: of each layer, or of all layers together."""
    layers = layers_of(model, patterns)
    if everywhere:
        torch_prune.global_unstructured(
            [(layer, "weight") for layer in layers.values()],
            pruning_method=torch_prune.L1Unstructured,
            amount=_share(amount),
        )
        return
    for layer in layers.values():
        torch_prune.l1_unstructured(layer, "weight", _share(amount))  # type: ignore[no-untyped-call]


def n_of_m(model: nn.Module, n: int, m: int, patterns: Sequence[str] = ("*",)) -> None:
    """Leaves N of every M weights along the input channels, in place."""
    if not 1 <= n <= m:
        raise InputError(f"{n}:{m} weights, expected N of 1..M")
    for layer in layers_of(model, patterns).values():
        NOfM.apply(layer, "weight", n, m)  # type: ignore[no-untyped-call]


def blocks(model: nn.Module, rows: int, columns: int, amount: float, patterns: Sequence[str] = ("*",)) -> None:
    """Sets the share `amount` of blocks of rows × columns (of [K, C·R·S]) to zero in each layer, in place."""
    if rows < 1 or columns < 1:
        raise InputError(f"blocks of {rows}×{columns}, expected at least 1×1")
    for layer in layers_of(model, patterns).values():
        Blocks.apply(layer, "weight", rows, columns, _share(amount))  # type: ignore[no-untyped-call]


def made_permanent(model: nn.Module) -> nn.Module:
    """Turns masks into zeros of plain weights, in place; returns `model`."""
    for module in model.modules():
        if isinstance(module, LAYERS) and torch_prune.is_pruned(module):
            torch_prune.remove(module, "weight")  # type: ignore[no-untyped-call]
    return model


def zero_shares(model: nn.Module) -> Mapping[str, float]:
    """The share of zeros among the weights of each layer."""
    shares = {}
    for name, layer in layers_of(model).items():
        weight = layer.weight
        assert isinstance(weight, Tensor)
        shares[name] = float((weight.detach() == 0).double().mean())
    return shares
