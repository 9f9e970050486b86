"""Penalties on the gradient of the critic with respect to its input, one norm a sample, summed over its heads."""

from typing import Literal

import torch
from torch import Tensor, nn

from ganctl.errors import UserError
from ganctl.regularizers.regularizer import Regularizer, doubt_batch_norm, has_batch_norm
from ganctl.types import Critique, Play, Schedule, summed


def squared_slope(logits: Tensor, x: Tensor) -> Tensor:
    """(B,) squared Euclidean norms of d logits / d x, a row for each of the B logits.

    A packed critic of m samples a logit has B/m rows: consecutive samples share one norm.
    """
    (gradient,) = torch.autograd.grad(logits.sum(), x, create_graph=True)
    return gradient.reshape(logits.shape[0], -1).square().sum(1)


def critic_slopes(play: Play, x: Tensor) -> list[Tensor]:
    """Each head's squared slopes at `x` through a fresh forward in float32: bfloat16 is off by a percent or two."""
    with torch.autocast(x.device.type, enabled=False):
        x = x.detach().float().requires_grad_()
        return [squared_slope(logits, x) for logits in play.critic(x).heads]


class GradientPenalty(Regularizer):
    """E (||grad D(x)|| - target)^2 at points between real and fake, or around the reals.

    around "mix": Gulrajani et al. 2017, eq. 3, one mixing weight a sample, or a pack. around "real": DRAGAN, Kodali et
    al. 2017, section 2.3, with uniform noise of `spread` times the standard deviation of the batch, drawn a pixel.
    one_sided: only slopes above the target cost (Petzka et al. 2018, eq. 8).
    """

    differentiates = True

    def __init__(
        self,
        weight: float | Schedule = 10.0,
        every: int = 1,
        target: float = 1.0,
        one_sided: bool = False,
        around: Literal["mix", "real"] = "mix",
        spread: float = 0.5,
    ) -> None:
        super().__init__(weight, every)
        if spread < 0:
            raise UserError(f"regularizer.gradient_penalty.spread={spread}: must be at least 0\n  try: spread=0.5")
        self.target, self.one_sided, self.around, self.spread = target, one_sided, around, spread

    def attach(self, generator: nn.Module, discriminator: nn.Module) -> None:
        if self.around == "real":
            doubt_batch_norm(discriminator, "a gradient penalty around the reals")
        elif has_batch_norm(discriminator):
            raise UserError(
                "gradient_penalty needs one slope a sample, but batch norm in the critic mixes the samples of a batch\n"
                "  try: critic_norm=layer"
            )

    def points(self, play: Play) -> Tensor:
        """Where the slope is measured, shaped as the reals."""
        if self.around == "real":
            return play.real + self.spread * play.real.std() * torch.rand_like(play.real)
        pack = getattr(play.discriminator, "pack", 1)
        mix = torch.rand(len(play.real) // pack, *[1] * (play.real.dim() - 1), device=play.real.device)
        return torch.lerp(play.fake, play.real, mix.repeat_interleave(pack, dim=0))

    def d_term(self, play: Play) -> Tensor:
        # 1e-12 inside the root: its gradient at a slope of exactly 0 would be infinite.
        excesses = [(slope + 1e-12).sqrt() - self.target for slope in critic_slopes(play, self.points(play))]
        return summed((excess.relu() if self.one_sided else excess).square().mean() for excess in excesses)


class R1(Regularizer):
    """Mescheder et al. 2018, eq. 9: half the squared slope at the reals. `weight` is the paper's gamma."""

    differentiates = True
    at_judged = True

    def __init__(self, weight: float | Schedule = 10.0, every: int = 1) -> None:
        super().__init__(weight, every)

    def attach(self, generator: nn.Module, discriminator: nn.Module) -> None:
        doubt_batch_norm(discriminator, type(self).__name__)

    def d_term(self, play: Play) -> Tensor:
        return summed(0.5 * slope.mean() for slope in slopes_where_judged(play, play.real, "on_real"))


class R2(R1):
    """Mescheder et al. 2018, section 4.1: half the squared slope at the fakes."""

    def d_term(self, play: Play) -> Tensor:
        return summed(0.5 * slope.mean() for slope in slopes_where_judged(play, play.fake, "on_fake"))


def slopes_where_judged(play: Play, x: Tensor, judged: Literal["on_real", "on_fake"]) -> list[Tensor]:
    """Each head's squared slopes at samples the critic judges anyway: the float32 forward that exists serves again."""
    if torch.is_autocast_enabled(x.device.type) or not x.requires_grad:
        return critic_slopes(play, x)
    critique: Critique = getattr(play, judged)
    return [squared_slope(logits, x) for logits in critique.heads]
