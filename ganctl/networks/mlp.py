"""Fully connected players, for images and for points."""

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Literal

from torch import Tensor, nn

from ganctl.errors import UserError, require_positive
from ganctl.networks.conditioning import (
    Conditioning,
    Head,
    Labelled,
    generator_norms,
    label_channels,
    label_norms,
    resolve,
)
from ganctl.networks.layers import (
    ReferenceNorm,
    activation_layer,
    dropout_layers,
    has_bias,
    normalise_spectrally,
    with_label,
)
from ganctl.networks.minibatch import Minibatch, minibatch_layer
from ganctl.networks.virtual import Reference
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
        norm: ReferenceNorm | None = None,
        dropout: float = 0.0,
        output: Literal["tanh", "linear"] | None = None,
    ) -> None:
        super().__init__()
        require_positive(**{"model.latent": latent})
        images = len(shape) > 1
        norm = norm or ("batch" if images else "none")
        self.latent, self.shape = latent, tuple(shape)
        kind = resolve(conditioning, num_classes)
        self.num_classes, self.planes = num_classes if kind != "none" else 0, label_channels(kind, num_classes)
        sizes = [latent + self.planes, *widths]
        self.reference = Reference(norm, latent)
        self.layers = Labelled(
            *dense_blocks(sizes, activation, norm, dropout, label_norms(kind, num_classes)),
            nn.Linear(sizes[-1], math.prod(shape)),
            activation_layer(output or ("tanh" if images else "linear")),
        )
        if norm == "spectral":
            normalise_spectrally(self)

    def forward(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        z, y = self.reference(z, y)
        out: Tensor = self.layers(with_label(z, y, self.planes), y)
        return self.reference.rest(out).view(-1, *self.shape)

    def prepare(self, z: Tensor, y: Tensor | None = None) -> None:
        self.reference.keep(z, y)


class MlpDiscriminator(Discriminator):
    """Flattened input through dense layers to one logit; `norm` None means none.

    `minibatch`: what is seen of the batch before the logit.
    """

    def __init__(
        self,
        shape: Sequence[int],
        num_classes: int = 0,
        conditioning: Conditioning = "none",
        widths: Sequence[int] = (512, 256),
        activation: str | Sequence[str] = "leaky_relu",
        norm: ReferenceNorm | None = None,
        dropout: float = 0.0,
        minibatch: Minibatch = "none",
    ) -> None:
        super().__init__()
        norm = norm or "none"
        self.couples_batch = norm == "batch" or minibatch != "none"
        kind = resolve(conditioning, num_classes)
        self.planes = label_channels(kind, num_classes)
        sizes = [math.prod(shape) + self.planes, *widths]
        self.reference = Reference(norm, sizes[0])
        self.blocks = nn.ModuleList(dense_blocks(sizes, activation, norm, dropout))
        self.minibatch = minibatch_layer(minibatch, sizes[-1])
        self.head = Head(self.minibatch.width, num_classes, kind)
        if norm == "spectral":
            normalise_spectrally(self)

    def forward(self, x: Tensor, y: Tensor | None = None) -> Critique:
        features = [self.reference(with_label(x.flatten(1), y, self.planes))[0]]
        for block in self.blocks:
            features.append(block(features[-1]))
        features = [self.reference.rest(feature) for feature in features]
        features[-1] = self.minibatch(features[-1])
        logits, classes = self.head(features[-1], y)
        return Critique(logits, tuple(features[1:]), classes)

    def prepare(self, x: Tensor, y: Tensor | None = None) -> None:
        self.reference.keep(with_label(x.flatten(1), y, self.planes))


def dense_blocks(
    sizes: Sequence[int], activation: str | Sequence[str], norm: ReferenceNorm, dropout: float, num_classes: int = 0
) -> list[Labelled]:
    """One block for each step in `sizes`. The first is not normalised: it reads data or noise, which is.

    `num_classes`: every block, the first one too, has a scale and a shift by label.
    """
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
        here: ReferenceNorm = norm if i or norm == "spectral" else "none"
        linear = nn.Linear(before, after, bias=has_bias(here))
        norms = generator_norms(here, after, num_classes, maps=False)
        blocks.append(Labelled(linear, *norms, activation_layer(name), *dropout_layers(dropout)))
    return blocks
