"""AlexNet in its single-column form: Krizhevsky, "One weird trick for parallelizing CNNs", 2014."""

from torch import Tensor, nn

from simulator.extract.images import IMAGENET
from simulator.extract.networks.blocks import PoolTo, he_initialised
from simulator.extract.networks.registry import NetworkSpec


class AlexNet(nn.Module):
    """Five convolutions and three fully connected layers; returns logits [N, num_classes].

    Parameter names and shapes are torchvision's.
    """

    def __init__(self, num_classes: int = 1000) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(3, 64, 11, stride=4, padding=2),
            nn.ReLU(),
            nn.MaxPool2d(3, 2),
            nn.Conv2d(64, 192, 5, padding=2),
            nn.ReLU(),
            nn.MaxPool2d(3, 2),
            nn.Conv2d(192, 384, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(384, 256, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(256, 256, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(3, 2),
        )
        self.avgpool = PoolTo(6)
        self.classifier = nn.Sequential(
            nn.Dropout(),
            nn.Linear(256 * 6 * 6, 4096),
            nn.ReLU(),
            nn.Dropout(),
            nn.Linear(4096, 4096),
            nn.ReLU(),
            nn.Linear(4096, num_classes),
        )

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.classifier(self.avgpool(self.features(x)).flatten(1))
        return y


NETWORKS = (
    NetworkSpec(
        "alexnet",
        lambda: he_initialised(AlexNet()),
        (3, 224, 224),
        IMAGENET,
        "AlexNet, one column (Krizhevsky 2014); 5 conv, 3 fc, ReLU",
    ),
)
