"""Convolutional players of Radford et al. 2016, for images of 16 to 128 pixels a side."""

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Literal

from torch import Tensor, nn

from ganctl.errors import UserError
from ganctl.networks.layers import (
    Conditioning,
    Norm,
    dropout_layers,
    has_bias,
    label_channels,
    norm_layers,
    normalise_spectrally,
    with_label,
)
from ganctl.types import Critique, Discriminator, Generator

Upsample = Literal["transposed", "nearest"]


class DcganGenerator(Generator):
    """A projected map of 4 to 8 pixels, doubled until it covers (C,H,W), cropped to it, tanh.

    28x28 grows 7, 14, 28 and 64x64 grows 4, 8, 16, 32, 64; 37x53 grows 5x7 to 40x56. `width` channels in the layer
    nearest the image, doubled inward up to `max_width`. `upsample: nearest` replaces each transposed convolution by
    nearest-neighbour and a convolution (Odena et al. 2016): no checkerboards, more arithmetic; a kernel of 4 becomes 3.
    """

    def __init__(
        self,
        shape: Sequence[int],
        latent: int = 100,
        num_classes: int = 0,
        conditioning: Conditioning = "none",
        width: int = 64,
        max_width: int = 256,
        kernel: int = 4,
        upsample: Upsample = "transposed",
        norm: Norm | None = None,
    ) -> None:
        super().__init__()
        norm = norm or "batch"
        widths = channel_widths(shape, width, max_width, kernel)
        self.latent, self.size = latent, tuple(shape[1:])
        self.num_classes = label_channels(conditioning, num_classes)
        start = [math.ceil(side / 2 ** len(widths)) for side in self.size]
        project = nn.Linear(latent + self.num_classes, widths[-1] * math.prod(start), bias=has_bias(norm))
        layers: list[nn.Module] = [project, nn.Unflatten(1, (widths[-1], *start))]
        for inner, outer in pairwise(reversed(widths)):
            layers += [*norm_layers(norm, inner, maps=True), nn.ReLU()]
            layers += doubling(upsample, inner, outer, kernel, bias=has_bias(norm))
        layers += [*norm_layers(norm, widths[0], maps=True), nn.ReLU()]
        layers += doubling(upsample, widths[0], shape[0], kernel, bias=True)
        self.layers = nn.Sequential(*layers)
        initialise(self, norm)

    def forward(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        image: Tensor = self.layers(with_label(z, y, self.num_classes))
        height, width = self.size
        return image[..., :height, :width].tanh()


class DcganDiscriminator(Discriminator):
    """Strided convolutions down to 4 to 8 pixels and one dense logit; the first layer is not normalised."""

    def __init__(
        self,
        shape: Sequence[int],
        num_classes: int = 0,
        conditioning: Conditioning = "none",
        width: int = 64,
        max_width: int = 256,
        kernel: int = 4,
        norm: Norm | None = None,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        norm = norm or "batch"
        widths = channel_widths(shape, width, max_width, kernel)
        self.num_classes = label_channels(conditioning, num_classes)
        self.blocks = nn.ModuleList()
        sides, padding = list(shape[1:]), (kernel - 1) // 2
        for before, after in pairwise([shape[0] + self.num_classes, *widths]):
            here: Norm = norm if self.blocks else "none"
            conv = nn.Conv2d(before, after, kernel, stride=2, padding=padding, bias=has_bias(here))
            extras = [*norm_layers(here, after, maps=True), nn.LeakyReLU(0.2), *dropout_layers(dropout)]
            self.blocks.append(nn.Sequential(conv, *extras))
            sides = [(side + 2 * padding - kernel) // 2 + 1 for side in sides]
        self.head = nn.Linear(widths[-1] * math.prod(sides), 1)
        initialise(self, norm)

    def forward(self, x: Tensor, y: Tensor | None = None) -> Critique:
        features = [with_label(x, y, self.num_classes)]
        for block in self.blocks:
            features.append(block(features[-1]))
        features[-1] = features[-1].flatten(1)
        return Critique(self.head(features[-1]).squeeze(1), tuple(features[1:]))


def channel_widths(shape: Sequence[int], width: int, max_width: int, kernel: int) -> list[int]:
    """Channels from the image inward, one entry for each halving that leaves the shorter side above 3 pixels."""
    if len(shape) != 3 or not 1 <= shape[0] <= 4 or not all(16 <= side <= 128 for side in shape[1:]):
        remedy = "model=mlp" if len(shape) != 3 else "dataset.size=64 for a folder of images, or model=mlp"
        raise UserError(
            f"model=dcgan makes images of 1 to 4 channels and 16 to 128 pixels a side, not {'x'.join(map(str, shape))}"
            f"\n  try: {remedy}"
        )
    if kernel not in (4, 5) or not 1 <= width <= max_width:
        raise UserError(
            f"model=dcgan cannot have kernel={kernel}, width={width}, max_width={max_width}"
            "\n  try: kernel 4 or 5, width at least 1 and max_width at least width"
        )
    depth = int(math.log2(min(shape[1:]) / 4))
    return [min(width * 2**i, max_width) for i in range(depth)]


def doubling(upsample: Upsample, inner: int, outer: int, kernel: int, bias: bool) -> list[nn.Module]:
    """Layers that take (B,inner,H,W) to (B,outer,2H,2W)."""
    if upsample == "nearest":
        odd = kernel - 1 + kernel % 2  # an even kernel has no centre and would shift the picture
        return [nn.Upsample(scale_factor=2), nn.Conv2d(inner, outer, odd, padding=odd // 2, bias=bias)]
    if upsample != "transposed":
        raise UserError(f"upsample '{upsample}' is unknown\n  try: transposed or nearest")
    pad, extra = (kernel - 1) // 2, kernel % 2
    return [nn.ConvTranspose2d(inner, outer, kernel, stride=2, padding=pad, output_padding=extra, bias=bias)]


def initialise(network: nn.Module, norm: Norm) -> None:
    """Section 4 of the paper: weights from N(0, 0.02). Batch-norm scales from N(1, 0.02), as in the authors' code."""
    for layer in network.modules():
        if isinstance(layer, nn.Linear | nn.Conv2d | nn.ConvTranspose2d):
            nn.init.normal_(layer.weight, 0.0, 0.02)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
        elif isinstance(layer, nn.BatchNorm2d):
            nn.init.normal_(layer.weight, 1.0, 0.02)
    if norm == "spectral":
        normalise_spectrally(network)
