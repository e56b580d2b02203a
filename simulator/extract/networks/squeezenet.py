"""SqueezeNet 1.0 and 1.1: Iandola et al., "SqueezeNet: AlexNet-level accuracy with 50x fewer parameters", 2016."""

from typing import Literal

import torch
from torch import Tensor, nn

from simulator.extract.images import IMAGENET
from simulator.extract.networks.blocks import he_initialised
from simulator.extract.networks.registry import NetworkSpec

# Per fire module (squeeze, expand) channels, both expand halves alike; "pool" is 3x3/2 max pooling rounding up.
_STAGES: dict[str, tuple[tuple[int, int] | Literal["pool"], ...]] = {
    "1.0": (
        *("pool", (16, 64), (16, 64), (32, 128)),
        *("pool", (32, 128), (48, 192), (48, 192), (64, 256)),
        *("pool", (64, 256)),
    ),
    "1.1": (
        *("pool", (16, 64), (16, 64)),
        *("pool", (32, 128), (32, 128)),
        *("pool", (48, 192), (48, 192), (64, 256), (64, 256)),
    ),
}


class Fire(nn.Module):
    """A 1x1 squeeze feeding a 1x1 and a 3x3 expand side by side; returns [N, 2 expand, H, W]."""

    def __init__(self, channels_in: int, squeeze: int, expand: int) -> None:
        super().__init__()
        self.squeeze = nn.Conv2d(channels_in, squeeze, 1)
        self.squeeze_activation = nn.ReLU()
        self.expand1x1 = nn.Conv2d(squeeze, expand, 1)
        self.expand1x1_activation = nn.ReLU()
        self.expand3x3 = nn.Conv2d(squeeze, expand, 3, padding=1)
        self.expand3x3_activation = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        y = self.squeeze_activation(self.squeeze(x))
        halves = (self.expand1x1_activation(self.expand1x1(y)), self.expand3x3_activation(self.expand3x3(y)))
        return torch.cat(halves, dim=1)


class SqueezeNet(nn.Module):
    """Fire modules and a 1x1 convolution as classifier; returns logits [N, num_classes].

    Parameter names and shapes are torchvision's.
    """

    def __init__(self, version: Literal["1.0", "1.1"], num_classes: int = 1000) -> None:
        super().__init__()
        stem = nn.Conv2d(3, 96, 7, stride=2) if version == "1.0" else nn.Conv2d(3, 64, 3, stride=2)
        layers: list[nn.Module] = [stem, nn.ReLU()]
        channels = stem.out_channels
        for stage in _STAGES[version]:
            if stage == "pool":
                layers.append(nn.MaxPool2d(3, 2, ceil_mode=True))
            else:
                squeeze, expand = stage
                layers.append(Fire(channels, squeeze, expand))
                channels = 2 * expand
        self.features = nn.Sequential(*layers)
        self.classifier = nn.Sequential(
            nn.Dropout(), nn.Conv2d(channels, num_classes, 1), nn.ReLU(), nn.AdaptiveAvgPool2d(1)
        )

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.classifier(self.features(x)).flatten(1)
        return y


NETWORKS = (
    NetworkSpec(
        "squeezenet1_0",
        lambda: he_initialised(SqueezeNet("1.0")),
        (3, 224, 224),
        IMAGENET,
        "SqueezeNet 1.0 (Iandola et al. 2016); 26 conv, ReLU",
    ),
    NetworkSpec(
        "squeezenet1_1",
        lambda: he_initialised(SqueezeNet("1.1")),
        (3, 224, 224),
        IMAGENET,
        "SqueezeNet 1.1 (Iandola et al. 2016); earlier pooling, 2.4 times less computation",
    ),
)
