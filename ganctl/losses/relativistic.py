"""Relativistic losses: a logit counts only against logits of the other side."""

from torch import Tensor
from torch.nn.functional import softplus

from ganctl.losses.adversarial import AdversarialLoss


class RelativisticPaired(AdversarialLoss):
    """Jolicoeur-Martineau 2018, RSGAN (section 4.1): real and fake are compared in pairs."""

    g_sees_real = True
    boundary = "mean_fake"

    def d_loss(self, real: Tensor, fake: Tensor) -> Tensor:
        return softplus(fake - real).mean()

    def g_loss(self, fake: Tensor, real: Tensor | None = None) -> Tensor:
        assert real is not None
        return softplus(real - fake).mean()


class RelativisticAverage(AdversarialLoss):
    """Jolicoeur-Martineau 2018, RaSGAN (section 4.3): each side is compared with the other's mean."""

    g_sees_real = True
    boundary = "mean_fake"

    def d_loss(self, real: Tensor, fake: Tensor) -> Tensor:
        return softplus(fake.mean() - real).mean() + softplus(fake - real.mean()).mean()

    def g_loss(self, fake: Tensor, real: Tensor | None = None) -> Tensor:
        assert real is not None
        return softplus(real - fake.mean()).mean() + softplus(real.mean() - fake).mean()
