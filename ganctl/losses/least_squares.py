"""Least squares."""

from torch import Tensor

from ganctl.errors import UserError
from ganctl.losses.adversarial import AdversarialLoss


class LeastSquares(AdversarialLoss):
    """Mao et al. 2017, eq. 2: targets `a` for fakes, `b` for reals, `c` for what the generator wants.

    The default 0, 1, 1 is their eq. 9; -1, 1, 0 (eq. 8) makes the generator minimise a Pearson chi-square divergence.
    """

    def __init__(self, a: float = 0.0, b: float = 1.0, c: float = 1.0) -> None:
        if not a < b:
            raise UserError(f"loss.a={a}, loss.b={b}: reals must have the higher target\n  try: loss.a=0 loss.b=1")
        self.a, self.b, self.c = a, b, c
        if a + b == 0:
            self.boundary = "zero"  # in general it is (a + b) / 2: their eq. 5 where the densities are equal

    def d_loss(self, real: Tensor, fake: Tensor) -> Tensor:
        return 0.5 * ((real - self.b).square().mean() + (fake - self.a).square().mean())

    def g_loss(self, fake: Tensor, real: Tensor | None = None) -> Tensor:
        return 0.5 * (fake - self.c).square().mean()

    def e_loss(self, real: Tensor) -> Tensor:
        """Its target mirrors `c`, as a mirrors b."""
        return 0.5 * (real - (self.a + self.b - self.c)).square().mean()
