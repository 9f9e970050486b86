"""The residual players of SNGAN, with the self-attention of SAGAN where asked, for 16 to 128 pixels a side."""

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
from ganctl.networks.residual import DownPath, UpPath, ladder, orthogonalise, require_drawable, xavier
from ganctl.types import Critique, Discriminator, Generator


class ResnetGenerator(Generator):
    """Miyato et al. 2018, tables 4 to 6: a dense layer to about 4x4, doubling residual blocks, batch norm, tanh.

    Labels as in Miyato & Koyama 2018, appendix A: class-conditional batch norm in the blocks. `width` channels at the
    image, doubled inward up to `max_width`; `depth` doublings, None starts near 4 pixels. `attention`: the level that
    attends to itself (Zhang et al. 2019), of which the image is 0 and maps half as wide are 1. `spectral`: spectral
    norm on every weight, beside `norm`.
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
        attention: int | None = None,
        norm: Norm | None = None,
        spectral: bool = False,
    ) -> None:
        super().__init__()
        require_positive(**{"model.latent": latent})
        norm = norm or "batch"
        sizes, widths = ladder(shape, width, max_width, depth)
        require_drawable(shape)
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


class ResnetDiscriminator(Discriminator):
    """Miyato et al. 2018, tables 4 to 6: halving residual blocks, `flat` ones at the innermost size, a sum of pixels.

    `norm` None means spectral. `attention` as of the generator. `wide`: a block's first convolution already has all its
    channels, as in the code of SAGAN and BigGAN; else it keeps those before it, as in SNGAN's. `orthogonal`: initial
    weights as BigGAN's (Saxe et al. 2014).
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
        attention: int | None = None,
        wide: bool = False,
        orthogonal: bool = False,
        norm: Norm | None = None,
        minibatch: Minibatch = "none",
    ) -> None:
        super().__init__()
        norm = norm or "spectral"
        _, widths = ladder(shape, width, max_width, depth)
        kind = resolve(conditioning, num_classes, "projection")
        self.planes = label_channels(kind, num_classes)
        self.couples_batch = norm == "batch" or minibatch != "none"
        self.path = DownPath(shape[0] + self.planes, widths, flat, wide, norm, attention)
        self.minibatch = minibatch_layer(minibatch, self.path.features)
        self.head = Head(self.minibatch.width, num_classes, kind)
        if orthogonal:
            orthogonalise(self)
        if norm == "spectral":
            normalise_spectrally(self)

    def forward(self, x: Tensor, y: Tensor | None = None) -> Critique:
        *maps, phi = self.path(with_label(x, y, self.planes))
        phi = self.minibatch(phi)
        logits, classes = self.head(phi, y)
        return Critique(logits, (*maps, phi), classes)
