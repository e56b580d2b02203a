"""The ResNets for 32x32 images: He et al., "Deep Residual Learning", 2015, section 4.2, parameter-free shortcuts."""

from torch import Tensor, nn

from simulator.extract.images import IMAGENET_MEAN, IMAGENET_SCALE, Preprocessing
from simulator.extract.networks.blocks import he_initialised, residual_norm
from simulator.extract.networks.registry import NetworkSpec


class PadShortcut(nn.Module):
    """Option A: every second row and column, and zero channels half before and half after; no parameters.

    Returns [N, channels, H/2, W/2].
    """

    def __init__(self, channels_in: int, channels: int) -> None:
        super().__init__()
        self.before = (channels - channels_in) // 2
        self.after = channels - channels_in - self.before

    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, self.before, self.after))


class CifarBlock(nn.Module):
    """Two 3x3 convolutions beside a parameter-free shortcut; returns [N, channels, H/stride, W/stride]."""

    def __init__(self, channels_in: int, channels: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels_in, channels, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.relu1 = nn.ReLU()
        self.conv2 = nn.Conv2d(channels, channels, 3, 1, 1, bias=False)
        self.bn2 = residual_norm(channels)
        self.relu2 = nn.ReLU()
        self.shortcut = nn.Identity() if stride == 1 else PadShortcut(channels_in, channels)

    def forward(self, x: Tensor) -> Tensor:
        y = self.relu1(self.bn1(self.conv1(x)))
        out: Tensor = self.relu2(self.bn2(self.conv2(y)) + self.shortcut(x))
        return out


class CifarResNet(nn.Module):
    """6 n + 2 layers in three stages of n blocks with 16, 32, 64 channels; returns logits [N, num_classes]."""

    def __init__(self, blocks_per_stage: int, num_classes: int = 10) -> None:
        super().__init__()
        n = blocks_per_stage
        self.conv1 = nn.Conv2d(3, 16, 3, 1, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(16)
        self.relu = nn.ReLU()
        self.layer1 = nn.Sequential(*(CifarBlock(16, 16, 1) for _ in range(n)))
        self.layer2 = nn.Sequential(CifarBlock(16, 32, 2), *(CifarBlock(32, 32, 1) for _ in range(n - 1)))
        self.layer3 = nn.Sequential(CifarBlock(32, 64, 2), *(CifarBlock(64, 64, 1) for _ in range(n - 1)))
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.linear = nn.Linear(64, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        y = self.relu(self.bn1(self.conv1(x)))
        y = self.layer3(self.layer2(self.layer1(y)))
        out: Tensor = self.linear(self.avgpool(y).flatten(1))
        return out


_CIFAR = Preprocessing(resize=32, crop=(32, 32), channel_order="RGB", mean=IMAGENET_MEAN, scale=IMAGENET_SCALE)

NETWORKS = (
    NetworkSpec(
        "cifar_resnet20",
        lambda: he_initialised(CifarResNet(3)),
        (3, 32, 32),
        _CIFAR,
        "ResNet-20 for CIFAR-10 (He et al. 2015, section 4.2); option-A shortcuts, ReLU",
        num_classes=10,
    ),
    NetworkSpec(
        "cifar_resnet56",
        lambda: he_initialised(CifarResNet(9)),
        (3, 32, 32),
        _CIFAR,
        "ResNet-56 for CIFAR-10 (He et al. 2015, section 4.2); option-A shortcuts, ReLU",
        num_classes=10,
    ),
)
