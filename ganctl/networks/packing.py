"""A discriminator that judges several samples at once."""

import torch
from torch import Tensor

from ganctl.errors import require_positive
from ganctl.types import Critique, Discriminator


class Pack(Discriminator):
    """Lin et al. 2018 (PacGAN), section 3: m samples, all real or all fake, get one logit.

    `forward(x: (B,C,H,W) or (B,C), y: (B,)) -> logits (B/m,)`: m neighbours are stacked along the channels, and the
    inner `discriminator` is made for C*m channels and K*m classes, as their labels stand one beside the other: label j
    of a pack counts from j*K. Its class logits (B/m, K*m) come back as (B,K).
    """

    def __init__(self, discriminator: Discriminator, pack: int, num_classes: int = 0) -> None:
        super().__init__()
        require_positive(**{"model.pack": pack})
        self.discriminator, self.pack, self.num_classes = discriminator, pack, num_classes
        self.couples_batch = discriminator.couples_batch

    def forward(self, x: Tensor, y: Tensor | None = None) -> Critique:
        critique: Critique = self.discriminator(*self._packed(x, y))
        if critique.classes is None:
            return critique
        return critique._replace(classes=critique.classes.reshape(len(x), self.num_classes))

    def prepare(self, x: Tensor, y: Tensor | None = None) -> None:
        self.discriminator.prepare(*self._packed(x, y))

    def _packed(self, x: Tensor, y: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """(B/m, C*m, ...) and (B/m, m)."""
        packs = x.reshape(len(x) // self.pack, self.pack * x.shape[1], *x.shape[2:])
        if y is None:
            return packs, None
        return packs, y.view(-1, self.pack) + self.num_classes * torch.arange(self.pack, device=y.device)
