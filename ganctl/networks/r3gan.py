"""The players of Huang et al. 2024, for images of 16 to 128 pixels a side."""

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ganctl.errors import UserError, require_positive
from ganctl.networks.conditioning import Conditioning, Head, label_channels, label_norms, resolve
from ganctl.networks.layers import Norm, require_label, with_label
from ganctl.networks.minibatch import Minibatch, minibatch_layer
from ganctl.networks.residual import Layer, Size, ladder, require_drawable
from ganctl.types import Critique, Discriminator, Generator

GAIN = math.sqrt(2 / (1 + 0.2**2))
"""Keeps the variance through a leaky ReLU of slope 0.2 (He et al. 2015, eq. 15)."""


class R3ganGenerator(Generator):
    """Config E of section 4: `blocks` inverted bottlenecks a level, bilinear resampling, no normalisation, no tanh.

    A learned map of about 4x4, each channel times a number that is linear in z, is doubled until it covers (C,H,W).
    `width` channels at the image, doubled inward up to `max_width`. Inside a block there are `expansion` times as many,
    and its 3x3 convolution sees `group` of them at a time. Labels: an embedding as long as z beside z.
    """

    def __init__(
        self,
        shape: Sequence[int],
        latent: int = 64,
        num_classes: int = 0,
        conditioning: Conditioning = "none",
        width: int = 96,
        max_width: int = 768,
        depth: int | None = None,
        blocks: int = 2,
        expansion: int = 2,
        group: int = 16,
    ) -> None:
        super().__init__()
        require_positive(**{"model.latent": latent})
        sizes, widths = ladder(shape, width, max_width, depth)
        require_drawable(shape)
        kind = resolve(conditioning, num_classes, "projection")
        embedded = label_norms(kind, num_classes)
        self.latent, self.num_classes = latent, num_classes if kind != "none" else 0
        self.planes = label_channels(kind, num_classes)
        self.embed = nn.Embedding(embedded, latent) if embedded else None  # N(0,1) at first, as z
        features = latent + self.planes + (latent if embedded else 0)
        self.project = scaled(nn.Linear(features, widths[-1], bias=False))
        self.basis = nn.Parameter(torch.randn(widths[-1], *sizes[-1]))
        layers: list[nn.Module] = []
        for level in reversed(range(len(sizes))):
            if level < len(sizes) - 1:
                layers += [*mixing(widths[level + 1], widths[level]), Doubling(sizes[level])]
            layers += bottlenecks(widths[level], blocks, expansion, group, len(sizes))
        self.layers = nn.Sequential(*layers, *mixing(widths[0], shape[0], always=True))

    def forward(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        if self.embed:
            z = torch.cat([z, self.embed(require_label(y))], 1)
        image: Tensor = self.layers(self.project(with_label(z, y, self.planes))[:, :, None, None] * self.basis)
        return image


class R3ganDiscriminator(Discriminator):
    """The generator's mirror image; a learned weight a channel and pixel sums the innermost map to (B,F)."""

    def __init__(
        self,
        shape: Sequence[int],
        num_classes: int = 0,
        conditioning: Conditioning = "none",
        width: int = 96,
        max_width: int = 768,
        depth: int | None = None,
        blocks: int = 2,
        expansion: int = 2,
        group: int = 16,
        norm: Norm | None = None,
        minibatch: Minibatch = "none",
    ) -> None:
        super().__init__()
        if norm not in (None, "none"):
            raise UserError(f"critic_norm={norm}: model=r3gan works without normalisation\n  try: critic_norm=none")
        sizes, widths = ladder(shape, width, max_width, depth)
        kind = resolve(conditioning, num_classes, "projection")
        self.planes, self.couples_batch = label_channels(kind, num_classes), minibatch != "none"
        self.stages = nn.ModuleList()
        before = mixing(shape[0] + self.planes, widths[0], always=True)
        for level, channels in enumerate(widths):
            self.stages.append(nn.Sequential(*before, *bottlenecks(channels, blocks, expansion, group, len(sizes))))
            if level < len(sizes) - 1:
                before = [Halving(), *mixing(channels, widths[level + 1])]
        self.basis = scaled(nn.Conv2d(widths[-1], widths[-1], sizes[-1], groups=widths[-1], bias=False))
        self.minibatch = minibatch_layer(minibatch, widths[-1])
        self.head = Head(self.minibatch.width, num_classes, kind)
        scaled(self.head.dense)
        if self.head.projection:
            nn.init.normal_(self.head.projection.weight, 0.0, 1 / math.sqrt(self.minibatch.width))

    def forward(self, x: Tensor, y: Tensor | None = None) -> Critique:
        features = [with_label(x, y, self.planes)]
        for stage in self.stages:
            features.append(stage(features[-1]))
        features.append(self.minibatch(self.basis(features[-1]).flatten(1)))
        logits, classes = self.head(features[-1], y)
        return Critique(logits, tuple(features[1:]), classes)


class Bottleneck(nn.Module):
    """x + 1x1 convolution of leaky ReLU of grouped 3x3 of leaky ReLU of 1x1, (B,C,H,W) -> (B,C,H,W).

    Fix-up initialisation (Zhang, Dauphin & Ma 2019, section 3): the last convolution is zero, the two before it are
    scaled by `count`^(-1/4), count being the number of blocks in the network.
    """

    def __init__(self, channels: int, expansion: int, group: int, count: int) -> None:
        super().__init__()
        inner, gain = channels * expansion, GAIN * count**-0.25
        groups = math.gcd(inner, max(1, inner // group))
        self.branch = nn.Sequential(
            scaled(nn.Conv2d(channels, inner, 1), gain),
            nn.LeakyReLU(0.2),
            scaled(nn.Conv2d(inner, inner, 3, padding=1, groups=groups), gain),
            nn.LeakyReLU(0.2),
            scaled(nn.Conv2d(inner, channels, 1, bias=False), 0.0),
        )

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = x + self.branch(x)
        return out


def bottlenecks(channels: int, blocks: int, expansion: int, group: int, levels: int) -> list[nn.Module]:
    require_positive(blocks=blocks, expansion=expansion, group=group)
    return [Bottleneck(channels, expansion, group, blocks * levels) for _ in range(blocks)]


def mixing(before: int, after: int, always: bool = False) -> list[nn.Module]:
    """A 1x1 convolution from one number of channels to another; nothing between equal ones, unless `always`."""
    return [scaled(nn.Conv2d(before, after, 1, bias=False))] if always or before != after else []


def scaled(layer: Layer, gain: float = 1.0) -> Layer:
    """Weights from N(0, gain^2 / fan-in), biases zero."""
    nn.init.normal_(layer.weight, 0.0, gain / math.sqrt(layer.weight[0].numel()))
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return layer


class Resampling(nn.Module):
    """The bilinear filter, [1 3 3 1] each way, on every channel; beyond the edge there are zeros."""

    kernel: Tensor

    def __init__(self) -> None:
        super().__init__()
        line = torch.tensor([1.0, 3.0, 3.0, 1.0]) / 8
        self.register_buffer("kernel", torch.outer(line, line)[None, None], persistent=False)


class Doubling(Resampling):
    """(B,C,h,w) -> (B,C,*size), cropped from twice the size."""

    def __init__(self, size: Size) -> None:
        super().__init__()
        self.size = size

    def forward(self, x: Tensor) -> Tensor:
        channels, (height, width) = x.shape[1], self.size
        kernel = (4 * self.kernel).expand(channels, 1, 4, 4)
        return F.conv_transpose2d(x, kernel, stride=2, padding=1, groups=channels)[..., :height, :width]


class Halving(Resampling):
    """(B,C,H,W) -> (B,C,h,w), half the size rounded up."""

    def forward(self, x: Tensor) -> Tensor:
        channels, height, width = x.shape[1:]
        x = F.pad(x, (0, width % 2, 0, height % 2))
        return F.conv2d(x, self.kernel.expand(channels, 1, 4, 4), stride=2, padding=1, groups=channels)
