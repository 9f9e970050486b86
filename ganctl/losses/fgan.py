"""f-GAN: a variational bound on any f-divergence between data and fakes."""

from abc import abstractmethod
from typing import Any, Literal

import torch
from torch import Tensor
from torch.nn.functional import softplus

from ganctl.errors import UserError
from ganctl.losses.adversarial import AdversarialLoss
from ganctl.types import Boundary

LOG_2 = 0.6931471805599453
NEWTON_STEPS = 5
"""As many as the precision of float64 takes, wherever the root lies; each squares the error."""


class FDivergence(AdversarialLoss):
    """Nowozin et al. 2016, eq. 7: D raises E g(r) - E f*(g(f)), which never exceeds D_f(P, Q) = E_Q f(p/q).

    P are the reals, Q the fakes, f a convex function with f(1) = 0 and f* its conjugate, sup over u >= 0 of ut - f(u).
    g takes a logit v onto the domain of f* (the paper's table 2) and rises, so higher logits still mean more real; the
    bound is reached where g(v) = f'(p/q). f*(g(v)) is composed in closed form: nothing here overflows in float32 before
    the bound itself does, which happens beyond |v| = 88, and only where g or f*(g) is exponential.

    generator: nonsaturating minimises -E g(f) (section 3.2), minimax the bound itself, -E f*(g(f)).
    """

    boundary: Boundary = "zero"

    def __init__(self, generator: Literal["nonsaturating", "minimax"] = "nonsaturating") -> None:
        if generator not in ("nonsaturating", "minimax"):
            raise UserError(f"loss.generator={generator} is unknown\n  try: loss.generator=nonsaturating or minimax")
        self.generator = generator

    @abstractmethod
    def activation(self, v: Tensor) -> Tensor:
        """g(v), shaped as v."""

    @abstractmethod
    def conjugate(self, v: Tensor) -> Tensor:
        """f*(g(v)), shaped as v."""

    def d_loss(self, real: Tensor, fake: Tensor) -> Tensor:
        return self.conjugate(fake).mean() - self.activation(real).mean()

    def g_loss(self, fake: Tensor, real: Tensor | None = None) -> Tensor:
        return -(self.conjugate if self.generator == "minimax" else self.activation)(fake).mean()

    def e_loss(self, real: Tensor) -> Tensor:
        return (self.activation if self.generator == "minimax" else self.conjugate)(real).mean()


class KullbackLeibler(FDivergence):
    """f(u) = u log u, f*(t) = exp(t - 1); exponential in fakes. A density ratio of 1 is at v = 1, not at 0."""

    boundary = "none"

    def activation(self, v: Tensor) -> Tensor:
        return v

    def conjugate(self, v: Tensor) -> Tensor:
        return torch.exp(v - 1)


class ReverseKullbackLeibler(FDivergence):
    """f(u) = -log u, f*(t) = -1 - log(-t) for t < 0, and g(v) = -exp(-v); exponential where v is negative."""

    def activation(self, v: Tensor) -> Tensor:
        return -torch.exp(-v)

    def conjugate(self, v: Tensor) -> Tensor:
        return v - 1


class PearsonChiSquare(FDivergence):
    """f(u) = (u - 1)^2, f*(t) = t^2/4 + t down to t = -2, where u = 0, and -1 below.

    The paper's table has the parabola alone. Below -2 the bound is flat: the minimax generator learns nothing there.
    """

    def activation(self, v: Tensor) -> Tensor:
        return v

    def conjugate(self, v: Tensor) -> Tensor:
        return (0.5 * v + 1).relu().square() - 1


class NeymanChiSquare(FDivergence):
    """f(u) = (1 - u)^2 / u, f*(t) = 2 - 2 sqrt(1 - t) for t < 1, g(v) = 1 - exp(-v); exponential for negative v."""

    def activation(self, v: Tensor) -> Tensor:
        return -torch.expm1(-v)

    def conjugate(self, v: Tensor) -> Tensor:
        return -2 * torch.expm1(-0.5 * v)


class SquaredHellinger(FDivergence):
    """f(u) = (sqrt(u) - 1)^2, f*(t) = t / (1 - t) for t < 1, g(v) = 1 - exp(-v); exponential on both sides."""

    def activation(self, v: Tensor) -> Tensor:
        return -torch.expm1(-v)

    def conjugate(self, v: Tensor) -> Tensor:
        return torch.expm1(v)


class Jeffrey(FDivergence):
    """f(u) = (u - 1) log u, the sum of both Kullback-Leibler divergences; f* is exponential in positive v.

    f*(t) = w + 1/w + t - 2 with w = W(e^(1-t)), W being Lambert's function. With s = log w, so that e^s + s = 1 - t, it
    is e^-s - 1 - s, in which nothing cancels.
    """

    def activation(self, v: Tensor) -> Tensor:
        return v

    def conjugate(self, v: Tensor) -> Tensor:
        s: Tensor = LogOmega.apply(1 - v)
        return torch.expm1(-s) - s


class JensenShannon(FDivergence):
    """f(u) = u log u - (u + 1) log((u + 1) / 2), twice the Jensen-Shannon divergence.

    f*(t) = -log(2 - e^t) for t < log 2, and g(v) = log 2 - sp(-v) with sp(v) = log(1 + e^v).
    """

    def activation(self, v: Tensor) -> Tensor:
        return LOG_2 - softplus(-v)

    def conjugate(self, v: Tensor) -> Tensor:
        return softplus(v) - LOG_2


class OriginalGan(FDivergence):
    """f(u) = u log u - (u + 1) log(u + 1), that is JensenShannon less log 4; f*(t) = -log(1 - e^t) for t < 0.

    With g(v) = -sp(-v) these are Goodfellow's losses: `minimax`, and `nsgan` for the nonsaturating generator.
    """

    def activation(self, v: Tensor) -> Tensor:
        return -softplus(-v)

    def conjugate(self, v: Tensor) -> Tensor:
        return softplus(v)


class Alpha(FDivergence):
    """f(u) = (u^a - 1 - a (u - 1)) / (a (a - 1)) with 0 < a < 1: near 1 it is like `kl`, near 0 like `rkl`.

    f*(t) = ((t (a - 1) + 1)^(a / (a - 1)) - 1) / a for t < 1 / (1 - a), and g(v) = (1 - e^(-(1 - a) v)) / (1 - a);
    exponential on both sides, at the rates a and 1 - a.
    """

    def __init__(self, generator: Literal["nonsaturating", "minimax"] = "nonsaturating", alpha: float = 0.5) -> None:
        super().__init__(generator)
        if not 0 < alpha < 1:
            raise UserError(
                f"loss.alpha={alpha}: must lie between 0 and 1\n  try: loss.alpha=0.5, loss=fgan_kl or loss=fgan_rkl"
            )
        self.alpha = alpha

    def activation(self, v: Tensor) -> Tensor:
        return -torch.expm1((self.alpha - 1) * v) / (1 - self.alpha)

    def conjugate(self, v: Tensor) -> Tensor:
        return torch.expm1(self.alpha * v) / self.alpha


class LogOmega(torch.autograd.Function):
    """s of e^s + s = c for every c: log of Wright's omega function, W(e^c) = e^s, without overflow.

    ds/dc = 1 / (1 + e^s), by implicit differentiation; written in terms of s it is differentiable again, and again.
    """

    @staticmethod
    def forward(ctx: Any, c: Tensor) -> Tensor:
        # At or above the root of a convex function Newton's steps fall towards it and never pass it.
        s = torch.where(c > 1, c.clamp(min=1).log(), c)
        for _ in range(NEWTON_STEPS):
            w = s.exp()
            s = s - (w + s - c) / (w + 1)
        ctx.save_for_backward(s)
        return s

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        (s,) = ctx.saved_tensors
        return gradient * torch.sigmoid(-s)
