"""Discriminant information (DI) of a layer's output channels, in closed form.

Hou and Kung, "A Feature-map Discriminant Perspective for Pruning Deep Neural Networks", arXiv 2005.13796, ICPR 2020:
with K the centred Gram matrix between features, K_B its part that the classes explain, ρ > 0 a ridge,

    DI = tr((K + ρI)⁻¹ K_B),   K = X_cᵀ X_c,   K_B = X_cᵀ Y_c Y_cᵀ X_c

for N images X_c [N, d], centred, and their classes Y_c [N, L], one-hot and centred. A channel's score is the
derivative of DI with respect to a mask m on the channel at m = 1, which with A = (K + ρI)⁻¹ is 2ρ [A K_B A]_jj ≥ 0,
summed over the channel's elements. The same in N×N matrices, cheap for channels that are maps: G = Σ_j X_j X_jᵀ over
the channels' centred slices X_j [N, H·W], R = (G + ρI)⁻¹,

    DI = ‖Y_c‖² - ρ tr(Y_cᵀ R Y_c),   φ_j = 2ρ ‖X_jᵀ R Y_c‖².

DI never falls when a channel comes back, so no φ_j is negative. All in float64: with more features than images DI
saturates near ‖Y_c‖², and the ranking lies in small differences.
"""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from simulator.errors import InputError

Floats = npt.NDArray[np.float64]

RHO = 0.1
"""The ridge of the author's code, on features that are not normalised."""

_BYTES_AT_A_TIME = 1 << 27


def centred_classes(labels: Tensor) -> Tensor:
    """One-hot classes [N, L] minus their mean, float64; L counts the classes that occur."""
    _, numbers = torch.unique(labels, return_inverse=True)
    one_hot = torch.nn.functional.one_hot(numbers).to(torch.float64)
    return one_hot - one_hot.mean(dim=0)


def discriminant_scores(maps: Tensor, labels: Tensor, rho: float = RHO) -> tuple[float, Floats]:
    """DI and φ [C] of channels `maps` [N, C, ...] for images of classes `labels` [N].

    Raises InputError for a ridge that is not positive and for fewer than two images.
    """
    if not rho > 0:
        raise InputError(f"rho is {rho:g}, expected a positive ridge")
    images, channels = maps.shape[:2]
    if images < 2:
        raise InputError("discriminant information needs at least two images in a batch")
    classes = centred_classes(labels).to(maps.device)
    slices = maps.detach().reshape(images, channels, -1)
    gram = torch.zeros(images, images, dtype=torch.float64, device=maps.device)
    for part in _parts(slices):
        flat = part.reshape(images, -1)
        gram += flat @ flat.T
    # Centred rows and columns: those of the centred features. Y_c and R Y_c have no mean, so X_j need not be centred.
    gram -= gram.mean(dim=0, keepdim=True)
    gram -= gram.mean(dim=1, keepdim=True)
    gram = (gram + gram.T) / 2
    solved = torch.linalg.solve(gram + rho * torch.eye(images, dtype=torch.float64, device=maps.device), classes)
    information = float((classes * classes).sum() - rho * (classes * solved).sum())
    influence = [(torch.tensordot(solved, part, dims=([0], [0])) ** 2).sum(dim=(0, 2)) for part in _parts(slices)]
    return information, (2 * rho * torch.cat(influence)).cpu().numpy()


def _parts(slices: Tensor) -> Iterator[Tensor]:
    """Channels [N, c, H·W] in float64, as many at a time as fit into 128 MiB."""
    images, _, positions = slices.shape
    step = max(1, _BYTES_AT_A_TIME // (8 * images * positions))
    for part in torch.split(slices, step, dim=1):
        yield part.to(torch.float64)
