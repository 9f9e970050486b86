"""Convolutional players of Radford et al. 2016, for images of 16 to 128 pixels a side."""

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
    norm_layers,
    normalise_spectrally,
    with_label,
)
from ganctl.networks.minibatch import Minibatch, minibatch_layer
from ganctl.networks.virtual import Reference
from ganctl.types import Critique, Discriminator, Generator

Upsample = Literal["transposed", "nearest"]
Output = Literal["tanh", "linear"]


class DcganGenerator(Generator):
    """A projected map of about 4x4, doubled until it covers (C,H,W), tanh.

    Each doubling is cropped to the size that halving the image gives: 4, 7, 14, 28 and 4, 8, 16, 32, 64; 37x53 grows
    from 5x7. `depth` doublings; None stops the halving near 4 pixels. `width` channels in the layer nearest the image,
    doubled inward up to `max_width`. `stem`: the projected map has so many channels, and one more convolution without
    doubling brings it to the innermost width. `upsample: nearest` replaces each transposed convolution by
    nearest-neighbour and a convolution (Odena et al. 2016): no checkerboards, more arithmetic; a kernel of 4 becomes 3.
    `output: linear` is for a decoder, which may face a pack of images: any number of channels.
    """

    def __init__(
        self,
        shape: Sequence[int],
        latent: int = 100,
        num_classes: int = 0,
        conditioning: Conditioning = "none",
        width: int = 64,
        max_width: int = 256,
        depth: int | None = None,
        stem: int | None = None,
        kernel: int = 4,
        upsample: Upsample = "transposed",
        norm: ReferenceNorm | None = None,
        output: Output = "tanh",
    ) -> None:
        super().__init__()
        require_positive(**{"model.latent": latent})
        norm = norm or "batch"
        widths = channel_widths(shape, width, max_width, depth, kernel, packed=output == "linear")
        kind = resolve(conditioning, num_classes)
        self.latent, self.num_classes = latent, num_classes if kind != "none" else 0
        self.planes, looked_up = label_channels(kind, num_classes), label_norms(kind, num_classes)
        sizes = [[math.ceil(side / 2**i) for side in shape[1:]] for i in range(len(widths) + 1)]
        start = (stem or widths[-1], *sizes.pop())
        project = nn.Linear(latent + self.planes, math.prod(start), bias=has_bias(norm))
        layers: list[nn.Module] = [project, nn.Unflatten(1, start)]
        if stem:
            odd = kernel - 1 + kernel % 2
            convolution = nn.Conv2d(stem, widths[-1], odd, padding=odd // 2, bias=has_bias(norm))
            layers += [*generator_norms(norm, stem, looked_up), nn.ReLU(), convolution]
        for i in reversed(range(len(widths))):
            layers += [*generator_norms(norm, widths[i], looked_up), nn.ReLU()]
            outer, bias = (widths[i - 1], has_bias(norm)) if i else (shape[0], True)
            layers += [*doubling(upsample, widths[i], outer, kernel, bias), Crop(*sizes[i])]
        self.reference = Reference(norm, latent)
        self.layers = Labelled(*layers, activation_layer(output))
        initialise(self, norm)

    def forward(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        z, y = self.reference(z, y)
        image: Tensor = self.layers(with_label(z, y, self.planes), y)
        return self.reference.rest(image)

    def prepare(self, z: Tensor, y: Tensor | None = None) -> None:
        self.reference.keep(z, y)


class DcganDiscriminator(Discriminator):
    """Strided convolutions, the generator's mirror image, and one dense logit; the first layer is not normalised.

    Of several packed images C counts the channels of all. `minibatch`: what is seen of the batch before the logit.
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
        norm: ReferenceNorm | None = None,
        dropout: float = 0.0,
        minibatch: Minibatch = "none",
    ) -> None:
        super().__init__()
        norm = norm or "batch"
        widths = channel_widths(shape, width, max_width, depth, kernel, packed=True)
        kind = resolve(conditioning, num_classes)
        self.planes = label_channels(kind, num_classes)
        self.couples_batch = norm == "batch" or minibatch != "none"
        self.reference = Reference(norm, shape[0] + self.planes, *shape[1:])
        self.blocks = nn.ModuleList()
        sides, padding = list(shape[1:]), (kernel - 1) // 2
        for before, after in pairwise([shape[0] + self.planes, *widths]):
            here: ReferenceNorm = norm if self.blocks else "none"
            conv = nn.Conv2d(before, after, kernel, stride=2, padding=padding, bias=has_bias(here))
            extras = [*norm_layers(here, after, maps=True), nn.LeakyReLU(0.2), *dropout_layers(dropout)]
            self.blocks.append(nn.Sequential(conv, *extras))
            sides = [(side + 2 * padding - kernel) // 2 + 1 for side in sides]
        self.minibatch = minibatch_layer(minibatch, widths[-1] * math.prod(sides))
        self.head = Head(self.minibatch.width, num_classes, kind)
        initialise(self, norm)

    def forward(self, x: Tensor, y: Tensor | None = None) -> Critique:
        features = [self.reference(with_label(x, y, self.planes))[0]]
        for block in self.blocks:
            features.append(block(features[-1]))
        features = [self.reference.rest(feature) for feature in features]
        features[-1] = self.minibatch(features[-1].flatten(1))
        logits, classes = self.head(features[-1], y)
        return Critique(logits, tuple(features[1:]), classes)

    def prepare(self, x: Tensor, y: Tensor | None = None) -> None:
        self.reference.keep(with_label(x, y, self.planes))


class Crop(nn.Module):
    """The upper left height x width pixels."""

    def __init__(self, height: int, width: int) -> None:
        super().__init__()
        self.height, self.width = height, width

    def forward(self, x: Tensor) -> Tensor:
        return x[..., : self.height, : self.width]


def channel_widths(
    shape: Sequence[int], width: int, max_width: int, depth: int | None, kernel: int, packed: bool = False
) -> list[int]:
    """Channels from the image inward, one entry a halving; by default the shorter side comes nearest to 4 pixels.

    `packed`: any number of channels, as several images are judged together.
    """
    most = math.inf if packed else 4
    if len(shape) != 3 or not 1 <= shape[0] <= most or not all(16 <= side <= 128 for side in shape[1:]):
        remedy = "model=mlp" if len(shape) != 3 else "dataset.size=64 for a folder of images, or model=mlp"
        raise UserError(
            f"model=dcgan makes images of 1 to 4 channels and 16 to 128 pixels a side, not {'x'.join(map(str, shape))}"
            f"\n  try: {remedy}"
        )
    halvings = math.log2(min(shape[1:]))
    deepest = int(halvings) - 1  # two pixels are left
    depth = round(halvings) - 2 if depth is None else depth
    if kernel not in (4, 5) or not 1 <= width <= max_width or not 1 <= depth <= deepest:
        raise UserError(
            f"model=dcgan cannot have kernel={kernel}, width={width}, max_width={max_width}, depth={depth}"
            f"\n  try: kernel 4 or 5, depth from 1 to {deepest}, width at least 1 and max_width at least width"
        )
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


def initialise(network: nn.Module, norm: ReferenceNorm) -> None:
    """Section 4 of the paper: weights from N(0, 0.02). Batch-norm scales from N(1, 0.02), as in the authors' code."""
    for layer in network.modules():
        if isinstance(layer, nn.Linear | nn.Conv2d | nn.ConvTranspose2d | nn.Embedding):
            nn.init.normal_(layer.weight, 0.0, 0.02)
            if not isinstance(layer, nn.Embedding) and layer.bias is not None:
                nn.init.zeros_(layer.bias)
        elif isinstance(layer, nn.BatchNorm2d) and layer.affine:
            nn.init.normal_(layer.weight, 1.0, 0.02)
    if norm == "spectral":
        normalise_spectrally(network)
