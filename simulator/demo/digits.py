"""A small network on scikit-learn's digits: data, model, training, and a cut of its weakest channels."""

import copy
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn
from torch.nn import functional

TRAIN_IMAGES = 1437
SIDE = 32


@dataclass(frozen=True)
class Digits:
    """Images [N, 1, 32, 32] in 0..1 and labels [N], for training and for testing."""

    train_images: Tensor
    train_labels: Tensor
    test_images: Tensor
    test_labels: Tensor


def load_data(seed: int = 0) -> Digits:
    """scikit-learn's 1,797 digits of 8×8 pixels, scaled up to 32×32, shuffled and split 80 : 20."""
    data = load_digits()
    order = np.random.default_rng(seed).permutation(len(data.target))
    small = torch.tensor(data.images[order] / 16.0, dtype=torch.float32)[:, None]
    images = functional.interpolate(small, size=(SIDE, SIDE), mode="bilinear", align_corners=False)
    labels = torch.tensor(data.target[order], dtype=torch.int64)
    return Digits(images[:TRAIN_IMAGES], labels[:TRAIN_IMAGES], images[TRAIN_IMAGES:], labels[TRAIN_IMAGES:])


class InvertedBlock(nn.Module):
    """Pointwise expansion, depthwise 3×3, pointwise projection; a residual sum where the shape stays."""

    def __init__(self, inputs: int, expanded: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.expand = nn.Conv2d(inputs, expanded, 1, bias=False)
        self.expand_norm = nn.BatchNorm2d(expanded)
        self.depthwise = nn.Conv2d(expanded, expanded, 3, stride, 1, groups=expanded, bias=False)
        self.depthwise_norm = nn.BatchNorm2d(expanded)
        self.project = nn.Conv2d(expanded, outputs, 1, bias=False)
        self.project_norm = nn.BatchNorm2d(outputs)
        self.residual = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        """[N, inputs, H, W] to [N, outputs, H/stride, W/stride]."""
        y = functional.relu(self.expand_norm(self.expand(x)))
        y = functional.relu(self.depthwise_norm(self.depthwise(y)))
        y = self.project_norm(self.project(y))
        return functional.relu(x + y if self.residual else y)


class DigitsNet(nn.Module):
    """A convolution, four inverted blocks (two of them residual), a pointwise head and a classifier."""

    def __init__(self, expanded: tuple[int, int, int, int] = (64, 64, 128, 128)) -> None:
        super().__init__()
        self.stem = nn.Conv2d(1, 16, 3, 2, 1, bias=False)
        self.stem_norm = nn.BatchNorm2d(16)
        self.blocks = nn.Sequential(
            InvertedBlock(16, expanded[0], 16, 1),
            InvertedBlock(16, expanded[1], 32, 2),
            InvertedBlock(32, expanded[2], 32, 1),
            InvertedBlock(32, expanded[3], 48, 2),
        )
        self.head = nn.Conv2d(48, 96, 1, bias=False)
        self.head_norm = nn.BatchNorm2d(96)
        self.classifier = nn.Linear(96, 10)

    def forward(self, x: Tensor) -> Tensor:
        """[N, 1, 32, 32] to logits [N, 10]."""
        x = functional.relu(self.stem_norm(self.stem(x)))
        x = self.blocks(x)
        x = functional.relu(self.head_norm(self.head(x)))
        logits: Tensor = self.classifier(x.mean(dim=(2, 3)))
        return logits


def train(
    model: nn.Module,
    data: Digits,
    epochs: int,
    *,
    learning_rate: float = 4e-3,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> None:
    """Trains in place (AdamW, one cosine cycle, shifts by up to two pixels); `progress` gets (epochs done, epochs)."""
    generator = torch.Generator().manual_seed(seed)
    optimiser = torch.optim.AdamW(model.parameters(), lr=learning_rate, weight_decay=1e-2)
    batch = 48
    steps = -(-len(data.train_images) // batch)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, epochs * steps)
    model.train()
    for epoch in range(epochs):
        order = torch.randperm(len(data.train_images), generator=generator)
        for chosen in torch.split(order, batch):
            down, right = torch.randint(-2, 3, (2,), generator=generator).tolist()
            images = torch.roll(data.train_images[chosen], (down, right), (2, 3))
            loss = functional.cross_entropy(model(images), data.train_labels[chosen])
            optimiser.zero_grad()
            torch.autograd.backward(loss)
            optimiser.step()
            schedule.step()
        if progress is not None:
            progress(epoch + 1, epochs)
    model.eval()


def accuracy(model: nn.Module, images: Tensor, labels: Tensor) -> float:
    """Share of images whose largest logit is the label's, in 0..1."""
    model.eval()
    with torch.inference_mode():
        return float((model(images).argmax(dim=1) == labels).float().mean())


def cut_channels(model: DigitsNet, keep: float) -> DigitsNet:
    """A smaller network with the share `keep` of each block's expanded channels: those with the largest kernels (L1).

    A channel's magnitude is the L1 norm of its expansion kernel times that of its depthwise kernel, each scaled by the
    batch norm behind it.
    """
    blocks = [block for block in model.blocks if isinstance(block, InvertedBlock)]
    kept = []
    for block in blocks:
        magnitude = (block.expand.weight.abs().sum(dim=(1, 2, 3)) * block.expand_norm.weight.abs()) * (
            block.depthwise.weight.abs().sum(dim=(1, 2, 3)) * block.depthwise_norm.weight.abs()
        )
        count = max(1, round(keep * len(magnitude)))
        kept.append(magnitude.topk(count).indices.sort().values)
    widths = tuple(len(channels) for channels in kept)
    small = DigitsNet(expanded=(widths[0], widths[1], widths[2], widths[3]))
    state = copy.deepcopy(model.state_dict())
    for index, channels in enumerate(kept):
        prefix = f"blocks.{index}."
        for name in list(state):
            if not name.startswith(prefix) or state[name].ndim == 0:
                continue
            part = name.removeprefix(prefix)
            if part.startswith("project.weight"):
                state[name] = state[name][:, channels]
            elif part.startswith(("expand", "depthwise")):
                state[name] = state[name][channels]
    small.load_state_dict(state)
    return small.eval()
