"""The two losses of the first GAN paper."""

import math

from torch import Tensor
from torch.nn.functional import softplus

from ganctl.errors import UserError
from ganctl.losses.adversarial import AdversarialLoss


class Minimax(AdversarialLoss):
    """Goodfellow et al. 2014, eq. 1, with D(x) = sigmoid(logit): the generator minimises log(1 - D(G(z)))."""

    boundary = "zero"

    def d_loss(self, real: Tensor, fake: Tensor) -> Tensor:
        return softplus(-real).mean() + softplus(fake).mean()

    def g_loss(self, fake: Tensor, real: Tensor | None = None) -> Tensor:
        return -softplus(fake).mean()

    def e_loss(self, real: Tensor) -> Tensor:
        return -softplus(-real).mean()


class NonSaturating(AdversarialLoss):
    """Goodfellow et al. 2014, section 3: the generator maximises log D(G(z)).

    `real_label` and `fake_label` are the discriminator's targets, 1 and 0 in the paper. Salimans et al. 2016, section
    3.4, smooth the real side alone: 0.9 and 0. The generator's loss is never smoothed.
    """

    def __init__(self, real_label: float = 1.0, fake_label: float = 0.0) -> None:
        if not 0 <= fake_label < real_label <= 1:
            raise UserError(
                f"loss.real_label={real_label}, loss.fake_label={fake_label}: "
                "need 0 <= fake_label < real_label <= 1\n  try: loss.real_label=0.9 loss.fake_label=0.0"
            )
        self.real_label, self.fake_label = real_label, fake_label
        if math.isclose(real_label + fake_label, 1):
            self.boundary = "zero"  # in general it is the logit of (real_label + fake_label) / 2

    def d_loss(self, real: Tensor, fake: Tensor) -> Tensor:
        return _cross_entropy(real, self.real_label) + _cross_entropy(fake, self.fake_label)

    def g_loss(self, fake: Tensor, real: Tensor | None = None) -> Tensor:
        return softplus(-fake).mean()

    def e_loss(self, real: Tensor) -> Tensor:
        return softplus(real).mean()


def _cross_entropy(logits: Tensor, target: float) -> Tensor:
    """Binary cross-entropy with a constant target: t sp(-l) + (1-t) sp(l), the zero half left out."""
    if target in (0.0, 1.0):
        return softplus(-logits if target else logits).mean()
    return (softplus(logits) - target * logits).mean()
