"""Pieces that several networks share."""

import math
from typing import TypeVar

import torch
from torch import Tensor, nn

ModuleT = TypeVar("ModuleT", bound=nn.Module)

# PyTorch draws Conv2d and Linear weights from U(-b, b) with b = 1/sqrt(fan_in). He et al. 2015 (eq. 10) asks for
# b = sqrt(6/fan_in) before a ReLU: the same draw, sqrt(6) times larger.
_HE_OVER_DEFAULT = math.sqrt(6.0)

# An untrained batch norm passes its input on, so each residual block would double the variance: 2^27 in ResNet-56.
# A small gain at the end of the branch (Goyal et al. 2017 go down to 0) leaves a factor of 1 + 2 gain^2 per block.
RESIDUAL_GAIN = 0.25


@torch.no_grad()
def he_initialised(network: ModuleT) -> ModuleT:
    """Scale freshly drawn weights to He's variance, set biases to zero, and return the same network.

    With PyTorch's own scale an untrained network loses a factor of sqrt(6) per layer: after sixteen layers only the
    biases are left. Scaling costs one pass over the parameters, and nothing on the meta device.
    """
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            module.weight.mul_(_HE_OVER_DEFAULT)
            if module.bias is not None:
                module.bias.zero_()
    return network


def residual_norm(channels: int) -> nn.BatchNorm2d:
    """Return the batch norm that ends a residual branch, its gain set to RESIDUAL_GAIN."""
    norm = nn.BatchNorm2d(channels)
    nn.init.constant_(norm.weight, RESIDUAL_GAIN)
    return norm


class PoolTo(nn.Module):
    """Adaptive average pooling to `size` x `size`; a map that has this size already passes untouched.

    Returns [N, C, size, size]. At their own input size AlexNet and VGG16 need no pooling here, so none is recorded.
    """

    def __init__(self, size: int) -> None:
        super().__init__()
        self.size = size

    def forward(self, x: Tensor) -> Tensor:
        if x.shape[-2:] == (self.size, self.size):
            return x
        return nn.functional.adaptive_avg_pool2d(x, self.size)


def conv_bn_relu6(channels_in: int, channels: int, kernel: int, stride: int = 1, groups: int = 1) -> nn.Sequential:
    """Return convolution, batch norm and ReLU6 as items 0, 1, 2; padding keeps the size at stride 1."""
    return nn.Sequential(
        nn.Conv2d(channels_in, channels, kernel, stride, (kernel - 1) // 2, groups=groups, bias=False),
        nn.BatchNorm2d(channels),
        nn.ReLU6(),
    )
