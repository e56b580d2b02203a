"""TinyNet, that is Tiny Darknet: a small all-convolutional network of the Darknet project (Redmon, 2016)."""

from torch import Tensor, nn

from simulator.extract.images import Preprocessing
from simulator.extract.networks.blocks import he_initialised
from simulator.extract.networks.registry import NetworkSpec

# Per stage the (channels, kernel) of its convolutions; 2x2 max pooling stands between the stages.
_STAGES = (
    ((16, 3),),
    ((32, 3),),
    ((16, 1), (128, 3), (16, 1), (128, 3)),
    ((32, 1), (256, 3), (32, 1), (256, 3)),
    ((64, 1), (512, 3), (64, 1), (512, 3), (128, 1)),
)


class TinyNet(nn.Module):
    """Fifteen convolutions with batch norm and leaky ReLU (slope 0.1), then a 1x1 classifier; returns logits.

    The logits are [N, num_classes]. Leaky ReLU leaves no exact zeros.
    """

    def __init__(self, num_classes: int = 1000) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        channels_in = 3
        for stage in _STAGES:
            if layers:
                layers.append(nn.MaxPool2d(2, 2))
            for channels, kernel in stage:
                layers += [
                    nn.Conv2d(channels_in, channels, kernel, padding=(kernel - 1) // 2, bias=False),
                    nn.BatchNorm2d(channels),
                    nn.LeakyReLU(0.1),
                ]
                channels_in = channels
        self.features = nn.Sequential(*layers)
        self.classifier = nn.Conv2d(channels_in, num_classes, 1)
        self.avgpool = nn.AdaptiveAvgPool2d(1)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.avgpool(self.classifier(self.features(x))).flatten(1)
        return y


NETWORKS = (
    NetworkSpec(
        "tinynet",
        lambda: he_initialised(TinyNet()),
        (3, 224, 224),
        Preprocessing(resize=256, crop=(224, 224), channel_order="RGB", mean=(0.0,) * 3, scale=(1 / 255,) * 3),
        "TinyNet = Tiny Darknet (Redmon 2016); 16 conv, leaky ReLU",
    ),
)
