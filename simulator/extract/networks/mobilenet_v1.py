"""MobileNetV1: Howard et al., "MobileNets: Efficient CNNs for Mobile Vision Applications", 2017, table 1."""

from torch import Tensor, nn

from simulator.extract.images import Preprocessing
from simulator.extract.networks.blocks import conv_bn_relu6, he_initialised
from simulator.extract.networks.registry import NetworkSpec

# (output channels, stride of the depthwise convolution) of the thirteen separable blocks
_BLOCKS = ((64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), *((512, 1),) * 5, (1024, 2), (1024, 1))


class SeparableBlock(nn.Module):
    """A 3x3 depthwise and a 1x1 pointwise convolution; returns [N, channels, H/stride, W/stride]."""

    def __init__(self, channels_in: int, channels: int, stride: int) -> None:
        super().__init__()
        self.depthwise = conv_bn_relu6(channels_in, channels_in, 3, stride, groups=channels_in)
        self.pointwise = conv_bn_relu6(channels_in, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.pointwise(self.depthwise(x))
        return y


class MobileNetV1(nn.Module):
    """A stem and thirteen separable blocks at width 1.0; returns logits [N, num_classes].

    ReLU6 as in the published checkpoints; padding is symmetric (1 on every side).
    """

    def __init__(self, num_classes: int = 1000) -> None:
        super().__init__()
        self.stem = conv_bn_relu6(3, 32, 3, stride=2)
        blocks: list[nn.Module] = []
        channels_in = 32
        for channels, stride in _BLOCKS:
            blocks.append(SeparableBlock(channels_in, channels, stride))
            channels_in = channels
        self.blocks = nn.Sequential(*blocks)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.dropout = nn.Dropout(0.001)
        self.fc = nn.Linear(channels_in, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        y = self.avgpool(self.blocks(self.stem(x))).flatten(1)
        out: Tensor = self.fc(self.dropout(y))
        return out


NETWORKS = (
    NetworkSpec(
        "mobilenet_v1",
        lambda: he_initialised(MobileNetV1()),
        (3, 224, 224),
        Preprocessing(resize=256, crop=(224, 224), channel_order="RGB", mean=(128.0,) * 3, scale=(1 / 128,) * 3),
        "MobileNetV1 1.0 (Howard et al. 2017); 13 depthwise, 14 other conv, 1 fc, ReLU6",
    ),
)
