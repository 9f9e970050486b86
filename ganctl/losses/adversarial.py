"""What every adversarial loss is: two functions of raw logits."""

import logging
from abc import ABC, abstractmethod

from torch import Tensor, nn

from ganctl.errors import UserError
from ganctl.types import Boundary

log = logging.getLogger("ganctl")


class AdversarialLoss(ABC):
    """Two scalars from logits of any shape, (B,) or (B,1,h,w). Logits are raw scores: no network has a sigmoid."""

    g_sees_real = False
    """Relativistic losses compare both sides: the generator's phase then judges the reals too."""

    boundary: Boundary = "none"
    """What a logit lies above where data are likelier than fakes; ADA reads overfitting off it."""

    needs_energy = False
    """Energy losses take logits that are minus an energy, and so never above 0."""

    def attach(self, discriminator: nn.Module) -> None:
        """Called once, when the system is built: refuse a discriminator that this loss cannot go with."""
        gives_energy = any(getattr(module, "gives_energy", False) for module in discriminator.modules())
        if gives_energy and self.boundary == "zero":
            log.warning(
                f"{type(self).__name__} asks for logits above 0, and an autoencoder's never are: loss=ebgan suits it"
            )
        if self.needs_energy and not gives_energy:
            raise UserError(
                f"{type(self).__name__} needs a discriminator whose output is an energy, as an autoencoder's error is\n"
                "  try: model=autoencoder for images, model=mlp_autoencoder for points"
            )

    @abstractmethod
    def d_loss(self, real: Tensor, fake: Tensor) -> Tensor:
        """What the discriminator minimises, given the logits of reals and of fakes."""

    @abstractmethod
    def g_loss(self, fake: Tensor, real: Tensor | None = None) -> Tensor:
        """What the generator minimises; `real` is given only when `g_sees_real`."""

    def real_loss(self, real: Tensor) -> Tensor:
        """What the discriminator minimises on reals alone, before the game; most losses do not define it."""
        raise self._undefined("what a discriminator minimises on reals alone", "loss=ebgan")

    def e_loss(self, real: Tensor) -> Tensor:
        """What the player who made the *real* side minimises, an encoder (Donahue et al. 2017, eq. 3).

        It wants the reals' logits low, as the generator wants the fakes' high: `g_loss` with the sides exchanged. A
        loss that compares both sides has none, as its `g_loss` says it already.
        """
        raise self._undefined("what an encoder minimises", "loss=nsgan")

    def defines(self, name: str) -> bool:
        """Whether this loss has a `real_loss`, or an `e_loss`."""
        return getattr(type(self), name) is not getattr(AdversarialLoss, name)

    def _undefined(self, what: str, remedy: str) -> UserError:
        return UserError(f"{type(self).__name__} does not say {what}\n  try: {remedy}")
