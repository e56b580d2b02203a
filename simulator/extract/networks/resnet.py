"""ResNet-18 and ResNet-50: He et al., "Deep Residual Learning", 2015; stride in the 3x3 of a bottleneck."""

from torch import Tensor, nn

from simulator.extract.images import IMAGENET
from simulator.extract.networks.blocks import he_initialised, residual_norm
from simulator.extract.networks.registry import NetworkSpec


def _conv(channels_in: int, channels: int, kernel: int, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(channels_in, channels, kernel, stride, (kernel - 1) // 2, bias=False)


def _projection(channels_in: int, channels: int, stride: int) -> nn.Sequential | None:
    """Return the 1x1 convolution of a shortcut whose shape changes, None where the shortcut is the identity."""
    if stride == 1 and channels_in == channels:
        return None
    return nn.Sequential(_conv(channels_in, channels, 1, stride), nn.BatchNorm2d(channels))


class BasicBlock(nn.Module):
    """Two 3x3 convolutions beside a shortcut; returns [N, width, H/stride, W/stride]."""

    expansion = 1

    def __init__(self, channels_in: int, width: int, stride: int) -> None:
        super().__init__()
        self.conv1 = _conv(channels_in, width, 3, stride)
        self.bn1 = nn.BatchNorm2d(width)
        self.relu1 = nn.ReLU()
        self.conv2 = _conv(width, width, 3)
        self.bn2 = residual_norm(width)
        self.relu2 = nn.ReLU()
        self.downsample = _projection(channels_in, width, stride)

    def forward(self, x: Tensor) -> Tensor:
        shortcut = x if self.downsample is None else self.downsample(x)
        y = self.relu1(self.bn1(self.conv1(x)))
        out: Tensor = self.relu2(self.bn2(self.conv2(y)) + shortcut)
        return out


class Bottleneck(nn.Module):
    """1x1, 3x3, 1x1 convolutions beside a shortcut; returns [N, 4 width, H/stride, W/stride]."""

    expansion = 4

    def __init__(self, channels_in: int, width: int, stride: int) -> None:
        super().__init__()
        channels = width * self.expansion
        self.conv1 = _conv(channels_in, width, 1)
        self.bn1 = nn.BatchNorm2d(width)
        self.relu1 = nn.ReLU()
        self.conv2 = _conv(width, width, 3, stride)
        self.bn2 = nn.BatchNorm2d(width)
        self.relu2 = nn.ReLU()
        self.conv3 = _conv(width, channels, 1)
        self.bn3 = residual_norm(channels)
        self.relu3 = nn.ReLU()
        self.downsample = _projection(channels_in, channels, stride)

    def forward(self, x: Tensor) -> Tensor:
        shortcut = x if self.downsample is None else self.downsample(x)
        y = self.relu1(self.bn1(self.conv1(x)))
        y = self.relu2(self.bn2(self.conv2(y)))
        out: Tensor = self.relu3(self.bn3(self.conv3(y)) + shortcut)
        return out


class ResNet(nn.Module):
    """Stem, four stages of residual blocks, average pooling, one linear layer; returns logits [N, num_classes].

    Parameter names and shapes are torchvision's.
    """

    def __init__(
        self, block: type[BasicBlock] | type[Bottleneck], depths: tuple[int, int, int, int], num_classes: int = 1000
    ) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, 7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.relu = nn.ReLU()
        self.maxpool = nn.MaxPool2d(3, 2, padding=1)
        self._channels = 64
        self.layer1 = self._stage(block, 64, depths[0], stride=1)
        self.layer2 = self._stage(block, 128, depths[1], stride=2)
        self.layer3 = self._stage(block, 256, depths[2], stride=2)
        self.layer4 = self._stage(block, 512, depths[3], stride=2)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(512 * block.expansion, num_classes)

    def _stage(self, block: type[BasicBlock] | type[Bottleneck], width: int, depth: int, stride: int) -> nn.Sequential:
        blocks: list[nn.Module] = []
        for position in range(depth):
            blocks.append(block(self._channels, width, stride if position == 0 else 1))
            self._channels = width * block.expansion
        return nn.Sequential(*blocks)

    def forward(self, x: Tensor) -> Tensor:
        y = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        y = self.layer4(self.layer3(self.layer2(self.layer1(y))))
        out: Tensor = self.fc(self.avgpool(y).flatten(1))
        return out


NETWORKS = (
    NetworkSpec(
        "resnet18",
        lambda: he_initialised(ResNet(BasicBlock, (2, 2, 2, 2))),
        (3, 224, 224),
        IMAGENET,
        "ResNet-18 (He et al. 2015); basic blocks, projection shortcuts, ReLU",
    ),
    NetworkSpec(
        "resnet50",
        lambda: he_initialised(ResNet(Bottleneck, (3, 4, 6, 3))),
        (3, 224, 224),
        IMAGENET,
        "ResNet-50 v1.5 (He et al. 2015); bottlenecks with the stride in the 3x3, ReLU",
    ),
)
