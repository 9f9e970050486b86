"""The players of Brock et al. 2019, for images of 16 to 128 pixels a side."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ganctl.errors import UserError, require_positive
from ganctl.networks.conditioning import Conditioning, label_channels, label_norms, resolve
from ganctl.networks.layers import Norm, norm_layers, normalise_spectrally, require_label, with_label
from ganctl.networks.residual import UpPath, ladder, orthogonalise, require_drawable
from ganctl.types import Generator


class BigganGenerator(Generator):
    """Section 3 and appendix B: residual blocks, each conditioned on a chunk of z beside one embedding of the class.

    The latent falls into `depth` + 1 equal chunks, the first for the dense layer, one for each block; without labels
    the chunk alone conditions. `shared`: the size of the embedding that all blocks read. `standing`: batches over which
    batch norm's statistics are taken before samples are drawn (appendix C.1); 0 keeps the running averages.
    """

    def __init__(
        self,
        shape: Sequence[int],
        latent: int = 120,
        num_classes: int = 0,
        conditioning: Conditioning = "none",
        shared: int = 128,
        width: int = 96,
        max_width: int = 1536,
        depth: int | None = None,
        attention: int | None = 1,
        norm: Norm | None = None,
        spectral: bool = True,
        standing: int = 100,
    ) -> None:
        super().__init__()
        require_positive(**{"model.latent": latent, "model.generator.shared": shared})
        norm = norm or "batch"
        sizes, widths = ladder(shape, width, max_width, depth)
        require_drawable(shape)
        kind = resolve(conditioning, num_classes, "projection")
        embedded = label_norms(kind, num_classes)
        self.latent, self.num_classes = latent, num_classes if kind != "none" else 0
        self.chunk, self.standing = chunk_of(latent, len(sizes)), standing
        self.planes, self.start = label_channels(kind, num_classes), (widths[-2], *sizes[-1])
        self.shared = nn.Embedding(embedded, shared) if embedded else None
        self.project = nn.Linear(self.chunk + self.planes, math.prod(self.start))
        condition = self.chunk + (shared if embedded else 0)
        self.path = UpPath(
            shape[0], sizes, widths, lambda channels: ConditionedNorm(norm, channels, condition), norm, attention
        )
        orthogonalise(self)
        if spectral or norm == "spectral":  # but for the embedding, as in the authors' code
            normalise_spectrally(self.project)
            normalise_spectrally(self.path)

    def forward(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        first, *rest = torch.split(z, self.chunk, 1)
        if self.shared:
            embedding = self.shared(require_label(y))
            rest = [torch.cat([embedding, chunk], 1) for chunk in rest]
        x = self.project(with_label(first, y, self.planes)).unflatten(1, self.start)
        image: Tensor = self.path(x, rest)
        return image


class ConditionedNorm(nn.Module):
    """Normalisation without a scale of its own, then scale 1 + W c and shift V c, linear in the condition c (B,F)."""

    def __init__(self, norm: Norm, channels: int, features: int) -> None:
        super().__init__()
        self.normalise = nn.Sequential(*norm_layers(norm, channels, maps=True, affine=False))
        self.scale = nn.Linear(features, channels, bias=False)
        self.shift = nn.Linear(features, channels, bias=False)

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        scale, shift = (layer(condition)[:, :, None, None] for layer in (self.scale, self.shift))
        return torch.addcmul(shift, self.normalise(x), 1 + scale)


def chunk_of(latent: int, chunks: int) -> int:
    if latent % chunks:
        raise UserError(
            f"model.latent={latent} does not divide into {chunks} equal chunks, one for each block and the first layer"
            f"\n  try: model.latent={math.ceil(latent / chunks) * chunks}"
        )
    return latent // chunks
