"""The hinge loss."""

from torch import Tensor
from torch.nn.functional import relu

from ganctl.losses.adversarial import AdversarialLoss


class Hinge(AdversarialLoss):
    """Lim and Ye 2017; Miyato et al. 2018, eq. 16 and 17. Logits beyond the margin of 1 give D no gradient."""

    boundary = "zero"

    def d_loss(self, real: Tensor, fake: Tensor) -> Tensor:
        return relu(1 - real).mean() + relu(1 + fake).mean()

    def g_loss(self, fake: Tensor, real: Tensor | None = None) -> Tensor:
        return -fake.mean()

    def e_loss(self, real: Tensor) -> Tensor:
        return real.mean()
