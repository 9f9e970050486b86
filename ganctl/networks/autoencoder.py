"""Discriminators that are autoencoders: what they cannot reconstruct has a high energy (Zhao et al. 2017)."""

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Literal

from torch import Tensor, nn

from ganctl.errors import UserError, require_positive
from ganctl.networks.conditioning import Conditioning, label_channels, resolve
from ganctl.networks.dcgan import DcganGenerator, Upsample, channel_widths, initialise
from ganctl.networks.layers import Norm, dropout_layers, has_bias, norm_layers, normalise_spectrally, with_label
from ganctl.networks.mlp import MlpGenerator, dense_blocks
from ganctl.types import Critique, Discriminator, Generator

Energy = Literal["norm", "mean_square"]


class Autoencoder(Discriminator):
    """Section 2.3 of the paper: the energy is the error of Dec(Enc(x)), and the logit is minus the energy.

    `norm`: half the Euclidean length of the error, which is its length in images that are counted in [0,1], or
    `mean_square` over all C H W values. The decoder's output is linear, as a tanh saturates while D raises energies and
    then learns no more. A label, where there is one, is shown to both halves. `features[-1]` is the code.
    """

    gives_energy = True
    flat = False
    """Whether the encoder reads (B,C*H*W)."""
    blocks: nn.ModuleList
    """The encoder from the input on."""
    code: nn.Module
    """From the last block's flattened output to the code."""
    decoder: Generator
    """Generates images from codes in the place of noise."""

    def __init__(self, num_classes: int, conditioning: Conditioning, energy: Energy, norm: Norm, code: int) -> None:
        super().__init__()
        require_positive(**{"model.discriminator.code": code})
        if energy not in ("norm", "mean_square"):
            raise UserError(f"model.discriminator.energy={energy} is unknown\n  try: norm or mean_square")
        self.energy, self.couples_batch = energy, norm == "batch"
        kind = resolve(conditioning, num_classes)
        if kind not in ("none", "concat"):
            raise UserError(
                f"model.conditioning={kind} lies in a discriminator's head, and an autoencoder has none\n"
                "  try: model.conditioning=concat or model.conditioning=none"
            )
        self.planes = label_channels(kind, num_classes)

    def forward(self, x: Tensor, y: Tensor | None = None) -> Critique:
        features = [with_label(x.flatten(1) if self.flat else x, y, self.planes)]
        for block in self.blocks:
            features.append(block(features[-1]))
        features.append(self.code(features[-1].flatten(1)))
        error = (x - self.decoder(features[-1], y)).flatten(1).float().square()
        # 1e-12 inside the root: its gradient at a perfect reconstruction would be infinite.
        energy = error.mean(1) if self.energy == "mean_square" else 0.5 * (error.sum(1) + 1e-12).sqrt()
        return Critique(-energy, tuple(features[1:]))


class ConvolutionalAutoencoder(Autoencoder):
    """Strided convolutions to a dense code of `code` numbers, and a DCGAN generator back to (C,H,W).

    The other arguments are those of DcganGenerator and DcganDiscriminator; `norm` None means batch.
    """

    def __init__(
        self,
        shape: Sequence[int],
        num_classes: int = 0,
        conditioning: Conditioning = "none",
        width: int = 64,
        max_width: int = 256,
        depth: int | None = None,
        kernel: int = 4,
        upsample: Upsample = "transposed",
        code: int = 64,
        energy: Energy = "norm",
        norm: Norm | None = None,
        dropout: float = 0.0,
    ) -> None:
        norm = norm or "batch"
        super().__init__(num_classes, conditioning, energy, norm, code)
        widths = channel_widths(shape, width, max_width, depth, kernel, packed=True)
        self.blocks = nn.ModuleList()
        sides, padding = list(shape[1:]), (kernel - 1) // 2
        for before, after in pairwise([shape[0] + self.planes, *widths]):
            here: Norm = norm if self.blocks else "none"
            conv = nn.Conv2d(before, after, kernel, stride=2, padding=padding, bias=has_bias(here))
            extras = [*norm_layers(here, after, maps=True), nn.LeakyReLU(0.2), *dropout_layers(dropout)]
            self.blocks.append(nn.Sequential(conv, *extras))
            sides = [(side + 2 * padding - kernel) // 2 + 1 for side in sides]
        self.code = nn.Linear(widths[-1] * math.prod(sides), code)
        initialise(self, norm)
        self.decoder = DcganGenerator(
            shape,
            code,
            num_classes,
            conditioning,
            width,
            max_width,
            depth,
            kernel=kernel,
            upsample=upsample,
            norm=norm,
            output="linear",
        )


class MlpAutoencoder(Autoencoder):
    """Dense layers of `widths` to a code of `code` numbers and back, for images and points; `norm` None means none."""

    flat = True

    def __init__(
        self,
        shape: Sequence[int],
        num_classes: int = 0,
        conditioning: Conditioning = "none",
        widths: Sequence[int] = (512, 256),
        activation: str = "leaky_relu",
        code: int = 64,
        energy: Energy = "norm",
        norm: Norm | None = None,
        dropout: float = 0.0,
    ) -> None:
        norm = norm or "none"
        super().__init__(num_classes, conditioning, energy, norm, code)
        sizes = [math.prod(shape) + self.planes, *widths]
        self.blocks = nn.ModuleList(dense_blocks(sizes, activation, norm, dropout))
        self.code = nn.Linear(sizes[-1], code)
        if norm == "spectral":
            normalise_spectrally(self)
        self.decoder = MlpGenerator(
            shape, code, num_classes, conditioning, widths[::-1], activation, norm, dropout, output="linear"
        )
