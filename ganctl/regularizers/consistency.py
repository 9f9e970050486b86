"""Consistency regularization."""

from collections.abc import Sequence

import torch
from torch import Tensor

from ganctl.errors import UserError
from ganctl.regularizers.regularizer import Regularizer
from ganctl.shift import require_images, shifted, up_to
from ganctl.types import Play, Schedule, summed


class Consistency(Regularizer):
    """Zhang et al. 2020, Algorithm 1: E (D(x) - D(T(x)))^2 at the reals, T a change that leaves their meaning as it is.

    T moves each image by up to `shift` whole pixels each way, what comes in mirrored, and with `flip` mirrors it left
    to right with probability 1/2. shape: (C,H,W) of the data. A patch discriminator's squares
    are summed over the map, and those of several heads over the heads.
    """

    def __init__(
        self,
        shape: Sequence[int],
        weight: float | Schedule = 10.0,
        every: int = 1,
        shift: int = 4,
        flip: bool = False,
    ) -> None:
        super().__init__(weight, every)
        require_images("regularizer=consistency", shape, "regularizer=[r1]")
        if not 0 <= shift < min(shape[1:]) or not (shift or flip):
            raise UserError(
                f"regularizer.consistency.shift={shift}: 1 to {min(shape[1:]) - 1} expected, or 0 with flip=true\n"
                "  try: regularizer.consistency.shift=4"
            )
        self.shift, self.flip = shift, flip

    def d_term(self, play: Play) -> Tensor:
        moved = play.critic(self.changed(play.real.detach()))
        changes = [a.float() - b.float() for a, b in zip(play.on_real.heads, moved.heads, strict=True)]
        return summed(change.reshape(len(change), -1).square().sum(1).mean() for change in changes)

    def changed(self, x: Tensor) -> Tensor:
        """T(x), drawn for each image of x (B,C,H,W)."""
        if self.shift:
            x = shifted(x, up_to(self.shift, x), up_to(self.shift, x))
        if self.flip:
            x = torch.where(torch.rand(len(x), 1, 1, 1, device=x.device) < 0.5, x.flip(-1), x)
        return x
