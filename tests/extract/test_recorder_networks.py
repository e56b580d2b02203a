"""Blocks of real networks: what each convolution and linear layer reads, against what its module was given."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from torch import nn

from simulator.extract.extract import extract

torch.set_num_threads(1)


class WindowAttention(nn.Module):
    """A Swin block with shifted windows, then merging of 2×2 patches; channels last throughout."""

    def __init__(self, shift: int) -> None:
        super().__init__()
        self.shift = shift
        self.norm1, self.norm2 = nn.LayerNorm(8), nn.LayerNorm(8)
        self.qkv, self.proj = nn.Linear(8, 24), nn.Linear(8, 8)
        self.grow, self.shrink, self.merge = nn.Linear(8, 16), nn.Linear(16, 8), nn.Linear(32, 12)
        self.bias = nn.Parameter(torch.zeros(2, 4, 4))

    def attend(self, x):
        q, k, v = self.qkv(x).reshape(-1, 4, 3, 2, 4).permute(2, 0, 3, 1, 4)
        scores = (q * 0.5) @ k.transpose(-2, -1) + self.bias
        if self.shift:
            mask = torch.zeros(4, 1, 4, 4)
            mask[0, :, :2] = -100.0
            scores = (scores.view(-1, 4, 2, 4, 4) + mask).view(-1, 2, 4, 4)
        return self.proj((scores.softmax(-1) @ v).transpose(1, 2).reshape(-1, 4, 8))

    def forward(self, x):
        x = x.permute(0, 2, 3, 1)
        y = torch.roll(self.norm1(x), (-self.shift, -self.shift), (1, 2))
        y = y.view(-1, 2, 2, 2, 2, 8).transpose(2, 3).reshape(-1, 4, 8)
        y = self.attend(y).view(-1, 2, 2, 2, 2, 8).transpose(2, 3).reshape(-1, 4, 4, 8)
        x = x + torch.roll(y, (self.shift, self.shift), (1, 2))
        x = x + self.shrink(F.gelu(self.grow(self.norm2(x))))
        x = torch.cat([x[:, ::2, ::2], x[:, 1::2, ::2], x[:, ::2, 1::2], x[:, 1::2, 1::2]], -1)
        return self.merge(x).mean((1, 2))


class DenseBlock(nn.Module):
    """DenseNet: every convolution reads the concatenation of all before it, normalised anew."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(8, 4, 3, padding=1)
        self.norms = nn.ModuleList(nn.BatchNorm2d(4 * count) for count in (1, 2, 3))
        self.convs = nn.ModuleList(nn.Conv2d(4 * count, 4, 3, padding=1) for count in (1, 2, 3))

    def forward(self, x):
        features = [self.first(x)]
        for norm, conv in zip(self.norms, self.convs, strict=True):
            features.append(conv(F.relu(norm(torch.cat(features, 1)))))
        return torch.cat(features, 1)


class ShuffleUnit(nn.Module):
    """ShuffleNet: half of the channels pass by, then the halves are interleaved."""

    def __init__(self) -> None:
        super().__init__()
        self.expand, self.depthwise = nn.Conv2d(4, 4, 1), nn.Conv2d(4, 4, 3, padding=1, groups=4)
        self.project, self.last = nn.Conv2d(4, 4, 1), nn.Conv2d(8, 3, 1)

    def forward(self, x):
        left, right = x.chunk(2, 1)
        right = F.relu(self.project(self.depthwise(F.relu(self.expand(right)))))
        y = torch.cat([left, right], 1)
        n, c, h, w = y.shape
        return self.last(y.view(n, 2, c // 2, h, w).transpose(1, 2).contiguous().view(n, c, h, w))


class UNet(nn.Module):
    """Down, up by a transposed convolution, concatenated with the way down, and up by interpolation."""

    def __init__(self) -> None:
        super().__init__()
        self.down1, self.down2 = nn.Conv2d(8, 4, 3, padding=1), nn.Conv2d(4, 8, 3, padding=1)
        self.up, self.middle, self.out = nn.ConvTranspose2d(8, 4, 2, 2), nn.Conv2d(8, 4, 1), nn.Conv2d(4, 2, 1)

    def forward(self, x):
        shallow = F.relu(self.down1(x))
        deep = F.relu(self.down2(F.max_pool2d(shallow, 2)))
        y = self.middle(torch.cat([self.up(deep), shallow], 1))
        return self.out(F.relu(F.interpolate(y, scale_factor=2)))


class NonLocal(nn.Module):
    """Attention between pixels whose queries, keys and values come from 1×1 convolutions."""

    def __init__(self) -> None:
        super().__init__()
        self.theta, self.phi, self.g, self.out = (nn.Conv2d(8, 8, 1) for _ in range(4))

    def forward(self, x):
        scores = self.theta(x).flatten(2).transpose(1, 2) @ self.phi(x).flatten(2)
        y = torch.softmax(scores, -1) @ self.g(x).flatten(2).transpose(1, 2)
        return x + self.out(y.transpose(1, 2).reshape(x.shape))


class SubPixel(nn.Sequential):
    """Super-resolution by depth to space."""

    def __init__(self) -> None:
        super().__init__(nn.Conv2d(8, 8, 1), nn.PixelShuffle(2), nn.Conv2d(2, 3, 1))


def inputs_of(model: nn.Module, batches: list[torch.Tensor]) -> dict[str, torch.Tensor]:
    """What every convolution and linear layer is given, as feature maps [N, C, H, W]."""
    taken: dict[str, list[torch.Tensor]] = {}
    images = 0

    def hook(name, module, arguments):
        maps = arguments[0].clone()
        if isinstance(module, nn.Linear):  # [N·windows, …, D] → [N, D, rows, 1]
            maps = maps.reshape(images, -1, maps.shape[-1]).transpose(1, 2)[..., None]
        taken.setdefault(name, []).append(maps)

    for name, module in model.named_modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
            module.register_forward_pre_hook(lambda module, arguments, name=name: hook(name, module, arguments))
    with torch.no_grad():
        for batch in batches:
            images = len(batch)
            model(batch)
    return {name: torch.cat(maps) for name, maps in taken.items()}


@pytest.mark.parametrize(
    ("make", "copies"),
    [
        (lambda: WindowAttention(0), 10),
        (lambda: WindowAttention(1), 10),
        (DenseBlock, 0),
        (ShuffleUnit, 3),
        (UNet, 0),
        (NonLocal, 1),
        (SubPixel, 1),
    ],
    ids=["windows", "shifted windows", "dense", "shuffle", "u-net", "non-local", "sub-pixel"],
)
def test_what_layers_read_is_what_their_modules_were_given(make, copies):
    """`copies`: how many readings are in another order than the stored one, and so have a map of their own."""
    torch.manual_seed(0)
    model = make().eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(torch.randint(-1, 2, parameter.shape))
    batches = list(torch.randint(-1, 2, (3, 8, 4, 4)).float().split(2))
    trace = extract(model, batches, name="net")
    given = inputs_of(model, batches)
    assert given
    for name, maps in given.items():
        layer = trace.layer(name)
        zeros = np.stack([trace.zeros(name, image) for image in range(3)])
        assert np.array_equal(zeros, (maps == 0).numpy().reshape(3, *layer.ifm)), name
    assert sum(tensor.source is not None for tensor in trace.tensors) == copies
    assert trace.provenance["unrecognised_operators"] == []
