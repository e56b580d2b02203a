"""MobileNetV2: Sandler et al., "Inverted Residuals and Linear Bottlenecks", 2018, table 2."""

from torch import Tensor, nn

from simulator.extract.images import IMAGENET
from simulator.extract.networks.blocks import conv_bn_relu6, he_initialised, residual_norm
from simulator.extract.networks.registry import NetworkSpec

# (expansion, output channels, blocks, stride of the first block)
_STAGES = (
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)


class InvertedResidual(nn.Module):
    """1x1 expansion (absent for factor 1), 3x3 depthwise, linear 1x1 projection; a shortcut where shapes agree.

    Returns [N, channels, H/stride, W/stride].
    """

    def __init__(self, channels_in: int, channels: int, stride: int, expansion: int) -> None:
        super().__init__()
        self.has_shortcut = stride == 1 and channels_in == channels
        hidden = channels_in * expansion
        layers: list[nn.Module] = [] if expansion == 1 else [conv_bn_relu6(channels_in, hidden, 1)]
        layers += [
            conv_bn_relu6(hidden, hidden, 3, stride, groups=hidden),
            nn.Conv2d(hidden, channels, 1, bias=False),
            residual_norm(channels) if self.has_shortcut else nn.BatchNorm2d(channels),
        ]
        self.conv = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.conv(x)
        return x + y if self.has_shortcut else y


class MobileNetV2(nn.Module):
    """Seventeen inverted residuals between two convolutions at width 1.0; returns logits [N, num_classes].

    Parameter names and shapes are torchvision's.
    """

    def __init__(self, num_classes: int = 1000) -> None:
        super().__init__()
        layers: list[nn.Module] = [conv_bn_relu6(3, 32, 3, stride=2)]
        channels_in = 32
        for expansion, channels, depth, first_stride in _STAGES:
            for position in range(depth):
                stride = first_stride if position == 0 else 1
                layers.append(InvertedResidual(channels_in, channels, stride, expansion))
                channels_in = channels
        layers.append(conv_bn_relu6(channels_in, 1280, 1))
        self.features = nn.Sequential(*layers)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.classifier = nn.Sequential(nn.Dropout(0.2), nn.Linear(1280, num_classes))

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.classifier(self.avgpool(self.features(x)).flatten(1))
        return y


NETWORKS = (
    NetworkSpec(
        "mobilenet_v2",
        lambda: he_initialised(MobileNetV2()),
        (3, 224, 224),
        IMAGENET,
        "MobileNetV2 1.0 (Sandler et al. 2018); inverted residuals, linear bottlenecks, ReLU6",
    ),
)
