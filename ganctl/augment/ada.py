"""Adaptive discriminator augmentation."""

import math
from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

from ganctl import distributed
from ganctl.augment.affine import Resample, rotation, scaling
from ganctl.augment.augment import Augment
from ganctl.augment.blit import blit
from ganctl.augment.colour import recoloured
from ganctl.errors import UserError, require_positive
from ganctl.shift import require_images
from ganctl.types import Boundary

POLICIES = ("blit", "geometric", "color")


class ADA(Augment):
    """Karras et al. 2020, sections 2 and 3, appendix B: changes with probability p, which follows D's overfitting.

    Each change below is drawn for each image and happens with probability p, by a coin of its own; none is clamped.
    policy: "blit": mirrored, turned by quarters, shifted by up to 1/8 of a side; "geometric": scaled, turned,
    stretched, turned and shifted as one affine map; "color": brightness, contrast, inversion, hue, saturation.

    After every `interval` of D's updates p rises or falls by what takes it from 0 to 1 in `images` images of
    `batch_size` an update, as r = E[sign(D(x))] over the reals of these updates lies above or below `target` (eq. 1).
    Under a relativistic loss r is E[sign(D(x) - mean D(G(z)))]. target None keeps p. p stays within [0,1].
    shape: (C,H,W) of the data; images that are not square are turned by half turns only.
    """

    p: Tensor
    signs: Tensor
    updates: Tensor

    def __init__(
        self,
        shape: Sequence[int],
        batch_size: int,
        policy: Sequence[Literal["blit", "geometric", "color"]] = ("blit", "geometric", "color"),
        p: float = 0.0,
        target: float | None = 0.6,
        images: int = 500_000,
        interval: int = 4,
    ) -> None:
        super().__init__()
        require_images("augment=ada", shape, "augment=instance_noise")
        require_positive(**{"augment.images": images, "augment.interval": interval})
        if not policy or not set(policy) <= set(POLICIES):
            raise UserError(
                f"augment.policy=[{','.join(policy)}]: any of {', '.join(POLICIES)} expected\n"
                "  try: augment.policy=[blit,geometric,color]"
            )
        if not 0 <= p <= 1 or (target is not None and not -1 < target < 1):
            raise UserError(
                f"augment.p={p} must lie in [0, 1] and augment.target={target} in (-1, 1)\n"
                "  try: augment.p=0.0 augment.target=0.6"
            )
        self.policy, self.target, self.interval = list(policy), target, interval
        self.stride = batch_size * interval / images
        self.boundary: Boundary = "none"
        self.register_buffer("p", torch.tensor(p))
        self.register_buffer("signs", torch.tensor(0.0))
        self.register_buffer("updates", torch.tensor(0))
        self.resample = Resample(*shape[1:])

    def attach(self, boundary: Boundary) -> None:
        if boundary == "none" and self.target is not None:
            raise UserError(
                "augment=ada reads overfitting off the sign of the logits, and 0 is no boundary between real and fake "
                "under this loss\n"
                "  try: loss=nsgan, loss=hinge, or a fixed strength: augment.target=null augment.p=0.3"
            )
        self.boundary = boundary

    def forward(self, x: Tensor) -> Tensor:
        with torch.autocast(x.device.type, enabled=False):
            for name in self.policy:
                changed, touched = getattr(self, f"_{name}")(x)
                x = torch.where(touched.view(-1, 1, 1, 1), changed, x)
        return x

    @torch.no_grad()
    def observe(self, real: Tensor, fake: Tensor) -> None:
        if self.target is None:
            return
        above = real.float() - fake.float().mean() if self.boundary == "mean_fake" else real
        mean = above.sign().float().mean()
        distributed.average([mean])
        self.signs += mean
        self.updates += 1
        due = self.updates == self.interval
        excess = self.signs / self.interval - self.target
        self.p.add_(excess.sign() * due * self.stride).clamp_(0, 1)
        self.signs *= ~due
        self.updates *= ~due

    def facts(self) -> dict[str, Tensor]:
        return {"p": self.p}

    def _blit(self, x: Tensor) -> tuple[Tensor, Tensor]:
        coins = self._coins(x, self.p, self.p, self.p)
        flip, turn, shift = coins
        height, width = x.shape[2:]
        turns = torch.randint(4, turn.shape, device=x.device) * turn
        if height != width:
            turns = turns - turns % 2
        down, right = ((side / 8 * _even(x)).round().long() * shift for side in (height, width))
        return blit(x, flip & (_even(x) < 0), turns, down, right), coins.any(0)

    def _geometric(self, x: Tensor) -> tuple[Tensor, Tensor]:
        once_in_two = 1 - (1 - self.p).sqrt()  # of two turns at least one happens with probability p
        coins = self._coins(x, self.p, once_in_two, self.p, once_in_two, self.p)
        zoom, before, stretch, after, shift = coins
        size, aspect = 2 ** (0.2 * _normal(x) * zoom), 2 ** (0.2 * _normal(x) * stretch)
        first, second = math.pi * _even(x) * before, math.pi * _even(x) * after
        right, down = (side / 8 * _normal(x) * shift for side in x.shape[:1:-1])
        # The inverse of shift . turn . stretch . turn . zoom, from output to input.
        back = scaling(1 / size, 1 / size) @ rotation(-first) @ scaling(1 / aspect, aspect) @ rotation(-second)
        offset = -(back @ torch.stack([right, down], -1).unsqueeze(-1)).squeeze(-1)
        return self.resample(x, back, offset), coins.any(0)

    def _color(self, x: Tensor) -> tuple[Tensor, Tensor]:
        coins = self._coins(x, *[self.p] * 5)
        brighten, stretch, invert, turn, dye = coins
        changes = (
            0.2 * _normal(x) * brighten,
            2 ** (0.5 * _normal(x) * stretch),
            invert & (_even(x) < 0),
            math.pi * _even(x) * turn,
            2 ** (_normal(x) * dye),
        )
        return recoloured(x, *changes), coins.any(0)

    def _coins(self, x: Tensor, *chances: Tensor) -> Tensor:
        """(changes, B): whether each change happens to each image."""
        return torch.rand(len(chances), len(x), device=x.device) < torch.stack(chances).unsqueeze(1)


def _normal(x: Tensor) -> Tensor:
    """N(0,1) for each image, (B,)."""
    return torch.randn(len(x), device=x.device, dtype=x.dtype)


def _even(x: Tensor) -> Tensor:
    """U(-1,1) for each image, (B,)."""
    return 2 * torch.rand(len(x), device=x.device, dtype=x.dtype) - 1
