"""What every adversarial loss is: two functions of raw logits."""

from abc import ABC, abstractmethod

from torch import Tensor

from ganctl.types import Boundary


class AdversarialLoss(ABC):
    """Two scalars from logits of any shape, (B,) or (B,1,h,w). Logits are raw scores: no network has a sigmoid."""

    g_sees_real = False
    """Relativistic losses compare both sides: the generator's phase then judges the reals too."""

    boundary: Boundary = "none"
    """What a logit lies above where data are likelier than fakes; ADA reads overfitting off it."""

    @abstractmethod
    def d_loss(self, real: Tensor, fake: Tensor) -> Tensor:
        """What the discriminator minimises, given the logits of reals and of fakes."""

    @abstractmethod
    def g_loss(self, fake: Tensor, real: Tensor | None = None) -> Tensor:
        """What the generator minimises; `real` is given only when `g_sees_real`."""
