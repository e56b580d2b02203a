"""Small networks of every kind that pruning meets."""

import torch
from torch import Tensor, nn


def warmed(network: nn.Module, channels: int = 3, side: int = 12) -> nn.Module:
    """`network` with batch norms that have seen something, and scales that differ; in evaluation mode."""
    generator = torch.Generator().manual_seed(1)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.weight.data = 0.5 + torch.rand(module.num_features, generator=generator)
            module.bias.data = 0.2 * torch.randn(module.num_features, generator=generator)
    network.train()
    with torch.no_grad():
        for _ in range(3):
            network(torch.randn(8, channels, side, side, generator=generator))
    return network.eval()


class Plain(nn.Module):
    """Convolutions with batch norm, a flatten, a linear layer."""

    input_shape = (3, 12, 12)

    def __init__(self, width: int = 8) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(3, width, 3, padding=1, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(),
            nn.Conv2d(width, 12, 3, stride=2, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),
        )
        self.classifier = nn.Linear(12 * 9, 5)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.classifier(self.features(x).flatten(1))
        return y


class Mixed(nn.Module):
    """Residual sum, depthwise, concatenation, grouped convolution; ends in a linear layer."""

    input_shape = (3, 12, 12)

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(8)
        self.inner = nn.Conv2d(8, 6, 3, padding=1)
        self.outer = nn.Conv2d(6, 8, 3, padding=1)
        self.expand = nn.Conv2d(8, 10, 1)
        self.depthwise = nn.Conv2d(10, 10, 3, padding=1, groups=10)
        self.left = nn.Conv2d(10, 4, 1)
        self.right = nn.Conv2d(10, 8, 3, padding=1)
        self.grouped = nn.Conv2d(12, 8, 3, padding=1, groups=2)
        self.head = nn.Linear(8, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(self.norm(self.stem(x)))
        x = torch.relu(x + self.outer(torch.relu(self.inner(x))))
        x = torch.relu(self.depthwise(torch.relu(self.expand(x))))
        x = torch.relu(torch.cat([self.left(x), self.right(x)], dim=1))
        x = torch.relu(self.grouped(x))
        y: Tensor = self.head(x.mean(dim=(2, 3)))
        return y


class PaddedShortcut(nn.Module):
    """A shortcut that pads channels (option A): its channels meet others, so they cannot be cut."""

    input_shape = (3, 12, 12)

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 4, 3, padding=1)
        self.inner = nn.Conv2d(4, 6, 3, stride=2, padding=1)
        self.outer = nn.Conv2d(6, 8, 3, padding=1)
        self.head = nn.Linear(8, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(self.stem(x))
        shortcut = nn.functional.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, 2, 2))
        x = torch.relu(self.outer(torch.relu(self.inner(x))) + shortcut)
        y: Tensor = self.head(x.mean(dim=(2, 3)))
        return y
