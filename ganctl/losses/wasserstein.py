"""The Wasserstein critic; what keeps it Lipschitz is a regularizer."""

from torch import Tensor

from ganctl.losses.adversarial import AdversarialLoss


class Wasserstein(AdversarialLoss):
    """Arjovsky et al. 2017, Algorithm 1: the negated `d_loss` estimates the distance between data and fakes."""

    def d_loss(self, real: Tensor, fake: Tensor) -> Tensor:
        return fake.mean() - real.mean()

    def g_loss(self, fake: Tensor, real: Tensor | None = None) -> Tensor:
        return -fake.mean()

    def e_loss(self, real: Tensor) -> Tensor:
        return real.mean()
