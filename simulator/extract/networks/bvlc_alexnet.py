"""AlexNet as Caffe ships it: two groups in the second, fourth and fifth convolution, pooling behind normalisation.

Krizhevsky et al., "ImageNet Classification with Deep Convolutional Neural Networks", 2012.
"""

from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from simulator.extract.images import Preprocessing
from simulator.extract.networks.blocks import he_initialised
from simulator.extract.networks.registry import NetworkSpec


class BvlcAlexNet(nn.Module):
    """Five convolutions and three fully connected layers, named as in Caffe; returns logits [N, num_classes]."""

    def __init__(self, num_classes: int = 1000) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 96, 11, stride=4)
        self.pool1 = nn.MaxPool2d(3, 2)
        self.conv2 = nn.Conv2d(96, 256, 5, padding=2, groups=2)
        self.pool2 = nn.MaxPool2d(3, 2)
        self.conv3 = nn.Conv2d(256, 384, 3, padding=1)
        self.conv4 = nn.Conv2d(384, 384, 3, padding=1, groups=2)
        self.conv5 = nn.Conv2d(384, 256, 3, padding=1, groups=2)
        self.pool5 = nn.MaxPool2d(3, 2)
        self.fc6 = nn.Linear(256 * 6 * 6, 4096)
        self.fc7 = nn.Linear(4096, 4096)
        self.fc8 = nn.Linear(4096, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        # The local response normalisation between conv1, conv2 and their pools is left out: it has no parameters and
        # turns no value into zero, and PyTorch runs it as seven operators over a padded copy of the feature map.
        x = self.pool1(F.relu(self.conv1(x)))
        x = self.pool2(F.relu(self.conv2(x)))
        x = F.relu(self.conv3(x))
        x = F.relu(self.conv4(x))
        x = self.pool5(F.relu(self.conv5(x)))
        x = F.dropout(F.relu(self.fc6(x.flatten(1))), training=self.training)
        x = F.dropout(F.relu(self.fc7(x)), training=self.training)
        y: Tensor = self.fc8(x)
        return y


NETWORKS = (
    NetworkSpec(
        "bvlc_alexnet",
        lambda: he_initialised(BvlcAlexNet()),
        (3, 227, 227),
        Preprocessing(256, (227, 227), "BGR", mean=(104.007, 116.669, 122.679), scale=(1.0,) * 3),  # Caffe's mean pixel
        "AlexNet with groups, as in Caffe, without its normalisation (Krizhevsky et al. 2012); 5 conv, 3 fc, ReLU",
    ),
)
