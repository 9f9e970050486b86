"""The class terms of AC-GAN."""

import torch.nn.functional as F
from torch import Tensor, nn

from ganctl.errors import UserError
from ganctl.regularizers.regularizer import Regularizer, doubt_batch_norm, has_class_head
from ganctl.types import Critique, Play, Schedule


class Auxiliary(Regularizer):
    """Odena et al. 2017, section 4: both players maximise L_C, the log-likelihood of the right class.

    D minimises `real` E -log P(c|x) + `fake` E -log P(c|G(z,c)), G minimises `generator` E -log P(c|G(z,c)); all weigh
    1 in the paper. Cross-entropy on the class logits of a discriminator with model.conditioning=auxiliary.
    """

    reads_classes = True

    def __init__(
        self,
        weight: float | Schedule = 1.0,
        every: int = 1,
        real: float = 1.0,
        fake: float = 1.0,
        generator: float = 1.0,
    ) -> None:
        super().__init__(weight, every)
        self.real, self.fake, self.generator = real, fake, generator

    def attach(self, generator: nn.Module, discriminator: nn.Module) -> None:
        if not has_class_head(discriminator):
            raise UserError(
                "regularizer=auxiliary reads class logits, and this discriminator gives none\n"
                "  try: model.conditioning=auxiliary for class labels, regularizer=[] without"
            )
        doubt_batch_norm(discriminator, "a class head")  # reals and fakes are then told apart by their statistics

    def d_term(self, play: Play) -> Tensor:
        return self.real * class_loss(play.on_real, play) + self.fake * class_loss(play.on_fake, play)

    def g_term(self, play: Play) -> Tensor:
        return self.generator * class_loss(play.on_fake, play)


def class_loss(critique: Critique, play: Play) -> Tensor:
    """E -log P(c|x): cross-entropy takes the logits themselves, a softmax before it would flatten it."""
    assert critique.classes is not None
    assert play.label is not None
    return F.cross_entropy(critique.classes.float(), play.label)
