"""Weight clipping."""

import torch
from torch import Tensor, nn

from ganctl.errors import UserError
from ganctl.regularizers.regularizer import Regularizer, doubt_batch_norm


class WeightClip(Regularizer):
    """Arjovsky et al. 2017, Algorithm 1, line 7: after each critic step every weight is clamped to [-bound, bound]."""

    def __init__(self, bound: float = 0.01) -> None:
        super().__init__()
        if bound <= 0:
            raise UserError(f"regularizer.weight_clip.bound={bound}: must be greater than 0\n  try: bound=0.01")
        self.bound = bound

    def attach(self, generator: nn.Module, discriminator: nn.Module) -> None:
        doubt_batch_norm(discriminator, "weight clipping")

    @torch.no_grad()
    def after_d(self, discriminator: nn.Module) -> None:
        weights: list[Tensor] = list(discriminator.parameters())
        torch._foreach_clamp_max_(weights, self.bound)
        torch._foreach_clamp_min_(weights, -self.bound)
