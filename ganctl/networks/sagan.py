"""The self-attention players of Zhang et al. 2019, for images of 16 to 128 pixels a side."""

import math
from collections.abc import Sequence

from torch import Tensor, nn

from ganctl.errors import require_positive
from ganctl.networks.conditioning import (
    Conditioning,
    Head,
    Labelled,
    generator_norms,
    label_channels,
    label_norms,
    resolve,
)
from ganctl.networks.layers import Norm, normalise_spectrally, with_label
from ganctl.networks.minibatch import Minibatch, minibatch_layer
from ganctl.networks.residual import DownPath, UpPath, ladder, require_drawable, xavier
from ganctl.types import Critique, Discriminator, Generator


class SaganGenerator(Generator):
    """Residual blocks with class-conditional batch norm, attention at level `attention`, spectral norm on every weight.

    Section 3: the image has level 0, maps half as wide level 1. `width` channels at the image, doubled inward up to
    `max_width`; `depth` doublings, None starts near 4 pixels.
    """

    def __init__(
        self,
        shape: Sequence[int],
        latent: int = 128,
        num_classes: int = 0,
        conditioning: Conditioning = "none",
        width: int = 64,
        max_width: int = 1024,
        depth: int | None = None,
        attention: int | None = 2,
        norm: Norm | None = None,
        spectral: bool = True,
    ) -> None:
        super().__init__()
        require_positive(**{"model.latent": latent})
        norm = norm or "batch"
        sizes, widths = ladder("sagan", shape, width, max_width, depth)
        require_drawable("sagan", shape)
        kind = resolve(conditioning, num_classes, "projection")
        looked_up = label_norms(kind, num_classes)
        self.latent, self.num_classes = latent, num_classes if kind != "none" else 0
        self.planes, self.start = label_channels(kind, num_classes), (widths[-2], *sizes[-1])
        self.project = xavier(nn.Linear(latent + self.planes, math.prod(self.start)))
        self.path = UpPath(
            shape[0],
            sizes,
            widths,
            lambda channels: Labelled(*generator_norms(norm, channels, looked_up)),
            norm,
            attention,
        )
        if spectral or norm == "spectral":
            normalise_spectrally(self)

    def forward(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        x = self.project(with_label(z, y, self.planes)).unflatten(1, self.start)
        image: Tensor = self.path(x, [y] * len(self.path.blocks))
        return image


class SaganDiscriminator(Discriminator):
    """Halving residual blocks with attention at level `attention`, `flat` ones at the innermost size, a sum of pixels.

    `norm` None means spectral. As in the authors' code a block's first convolution already has all its channels.
    """

    def __init__(
        self,
        shape: Sequence[int],
        num_classes: int = 0,
        conditioning: Conditioning = "none",
        width: int = 64,
        max_width: int = 1024,
        depth: int | None = None,
        flat: int = 1,
        attention: int | None = 2,
        norm: Norm | None = None,
        minibatch: Minibatch = "none",
    ) -> None:
        super().__init__()
        norm = norm or "spectral"
        _, widths = ladder("sagan", shape, width, max_width, depth)
        kind = resolve(conditioning, num_classes, "projection")
        self.planes = label_channels(kind, num_classes)
        self.couples_batch = norm == "batch" or minibatch != "none"
        self.path = DownPath(shape[0] + self.planes, widths, flat, True, norm, attention)
        self.minibatch = minibatch_layer(minibatch, self.path.features)
        self.head = Head(self.minibatch.width, num_classes, kind)
        if norm == "spectral":
            normalise_spectrally(self)

    def forward(self, x: Tensor, y: Tensor | None = None) -> Critique:
        *maps, phi = self.path(with_label(x, y, self.planes))
        phi = self.minibatch(phi)
        logits, classes = self.head(phi, y)
        return Critique(logits, (*maps, phi), classes)
