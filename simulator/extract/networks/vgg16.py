"""VGG16: Simonyan and Zisserman, "Very Deep Convolutional Networks", 2014, configuration D without batch norm."""

from torch import Tensor, nn

from simulator.extract.images import IMAGENET
from simulator.extract.networks.blocks import PoolTo, he_initialised
from simulator.extract.networks.registry import NetworkSpec

STAGES = ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3))  # (channels, number of 3x3 convolutions), then 2x2 pooling


def _features() -> nn.Sequential:
    layers: list[nn.Module] = []
    channels_in = 3
    for channels, depth in STAGES:
        for _ in range(depth):
            layers += [nn.Conv2d(channels_in, channels, 3, padding=1), nn.ReLU()]
            channels_in = channels
        layers.append(nn.MaxPool2d(2, 2))
    return nn.Sequential(*layers)


class VGG16(nn.Module):
    """Thirteen 3x3 convolutions and three fully connected layers; returns logits [N, num_classes].

    Parameter names and shapes are torchvision's.
    """

    def __init__(self, num_classes: int = 1000) -> None:
        super().__init__()
        self.features = _features()
        self.avgpool = PoolTo(7)
        self.classifier = nn.Sequential(
            nn.Linear(512 * 7 * 7, 4096),
            nn.ReLU(),
            nn.Dropout(),
            nn.Linear(4096, 4096),
            nn.ReLU(),
            nn.Dropout(),
            nn.Linear(4096, num_classes),
        )

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.classifier(self.avgpool(self.features(x)).flatten(1))
        return y


NETWORKS = (
    NetworkSpec(
        "vgg16",
        lambda: he_initialised(VGG16()),
        (3, 224, 224),
        IMAGENET,
        "VGG16 (Simonyan and Zisserman 2014); 13 conv, 3 fc, ReLU",
    ),
)
