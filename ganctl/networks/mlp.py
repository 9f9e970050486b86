"""Fully connected players, for images and for points."""

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Literal

from torch import Tensor, nn

from ganctl.errors import UserError, require_positive
from ganctl.networks.layers import (
    Conditioning,
    Norm,
    activation_layer,
    dropout_layers,
    has_bias,
    label_channels,
    norm_layers,
    normalise_spectrally,
    with_label,
)
from ganctl.types import Critique, Discriminator, Generator


class MlpGenerator(Generator):
    """Noise through dense layers to images in [-1,1] or to points; the defaults are PyTorch-GAN's `gan.py`.

    `norm` None means batch for images and none for points, where normalising costs quality. `output` None means tanh
    for images and linear for points. `activation` is one name, or a list with one for each of `widths`.
    """

    def __init__(
        self,
        shape: Sequence[int],
        latent: int = 100,
        num_classes: int = 0,
        conditioning: Conditioning = "none",
        widths: Sequence[int] = (128, 256, 512, 1024),
        activation: str | Sequence[str] = "leaky_relu",
        norm: Norm | None = None,
        dropout: float = 0.0,
        output: Literal["tanh", "linear"] | None = None,
    ) -> None:
        super().__init__()
        require_positive(**{"model.latent": latent})
        images = len(shape) > 1
        norm = norm or ("batch" if images else "none")
        self.latent, self.shape = latent, tuple(shape)
        self.num_classes = label_channels(conditioning, num_classes)
        sizes = [latent + self.num_classes, *widths]
        self.layers = nn.Sequential(
            *dense_blocks(sizes, activation, norm, dropout),
            nn.Linear(sizes[-1], math.prod(shape)),
            activation_layer(output or ("tanh" if images else "linear")),
        )
        if norm == "spectral":
            normalise_spectrally(self)

    def forward(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        out: Tensor = self.layers(with_label(z, y, self.num_classes))
        return out.view(-1, *self.shape)


class MlpDiscriminator(Discriminator):
    """Flattened input through dense layers to one logit; `norm` None means none."""

    def __init__(
        self,
        shape: Sequence[int],
        num_classes: int = 0,
        conditioning: Conditioning = "none",
        widths: Sequence[int] = (512, 256),
        activation: str | Sequence[str] = "leaky_relu",
        norm: Norm | None = None,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        norm = norm or "none"
        self.couples_batch = norm == "batch"
        self.num_classes = label_channels(conditioning, num_classes)
        sizes = [math.prod(shape) + self.num_classes, *widths]
        self.blocks = nn.ModuleList(dense_blocks(sizes, activation, norm, dropout))
        self.head = nn.Linear(sizes[-1], 1)
        if norm == "spectral":
            normalise_spectrally(self)

    def forward(self, x: Tensor, y: Tensor | None = None) -> Critique:
        features = [with_label(x.flatten(1), y, self.num_classes)]
        for block in self.blocks:
            features.append(block(features[-1]))
        return Critique(self.head(features[-1]).squeeze(1), tuple(features[1:]))


def dense_blocks(
    sizes: Sequence[int], activation: str | Sequence[str], norm: Norm, dropout: float
) -> list[nn.Sequential]:
    """One block for each step in `sizes`. The first is not normalised: it reads data or noise, which is."""
    hidden = len(sizes) - 1
    names = [activation] * hidden if isinstance(activation, str) else list(activation)
    if hidden == 0 or min(sizes) < 1:
        raise UserError("widths needs at least one layer, each at least 1 wide\n  try: widths=[256,512]")
    if len(names) != hidden:
        raise UserError(
            f"activation lists {len(names)} names for {hidden} hidden layers\n  try: one name for all, or one a layer"
        )
    blocks = []
    for i, ((before, after), name) in enumerate(zip(pairwise(sizes), names, strict=True)):
        here: Norm = norm if i or norm == "spectral" else "none"
        linear = nn.Linear(before, after, bias=has_bias(here))
        extras = [*norm_layers(here, after, maps=False), activation_layer(name), *dropout_layers(dropout)]
        blocks.append(nn.Sequential(linear, *extras))
    return blocks
