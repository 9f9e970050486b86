"""The standard game: one generator, one discriminator."""

from collections.abc import Mapping, Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from ganctl.augment.augment import Augment
from ganctl.errors import UserError, require_positive
from ganctl.losses.adversarial import AdversarialLoss
from ganctl.regularizers.regularizer import Regularizer
from ganctl.seeding import derive
from ganctl.systems.adversary import Adversary
from ganctl.systems.fakes import Fakes
from ganctl.systems.prior import prior_of
from ganctl.systems.standing import take_standing_statistics
from ganctl.systems.system import System
from ganctl.types import Batch, Discriminator, Generator, Phase, Terms

STANDING_BATCH = 64
"""Samples of a batch that batch norm's statistics are taken over before drawing."""


class Standard(System):
    """Goodfellow et al. 2014, Algorithm 1, with any loss, any sum of regularizers and any augmentation.

    d_weight, g_weight, label_flip, mismatch: see Adversary. n_critic: the discriminator's updates for each of the
    generator's. pretrain_d: number of initial steps that train only the discriminator, on reals alone, by the loss's
    `real_loss` and no regularizer. reuse_fakes: the generator's turn judges the fakes of the discriminator's last one
    again, instead of drawing its own. scale: what points were divided by; `draw` multiplies it back.
    """

    def __init__(
        self,
        generator: Generator,
        discriminator: Discriminator,
        loss: AdversarialLoss,
        regularizers: Mapping[str, Regularizer] | None = None,
        augment: Augment | None = None,
        n_critic: int = 1,
        d_weight: float = 1.0,
        g_weight: float = 1.0,
        label_flip: float = 0.0,
        prior: Literal["normal", "uniform"] = "normal",
        scale: float = 1.0,
        mismatch: bool = False,
        pretrain_d: int = 0,
        reuse_fakes: bool = False,
    ) -> None:
        super().__init__()
        require_positive(n_critic=n_critic)
        _require_a_loss_of_reals(loss, pretrain_d)
        self.latents = prior_of(prior, generator.latent, getattr(generator, "mixture", 1))
        adversary = Adversary(
            discriminator,
            loss,
            regularizers,
            augment,
            generator=generator,
            facts=self.facts,
            d_weight=d_weight,
            g_weight=g_weight,
            label_flip=label_flip,
            mismatch=mismatch,
        )
        # Its parts are registered here, under the names that checkpoints have always had; so it is not itself.
        self._adversary = (adversary,)
        self.generator, self.discriminator = generator, discriminator
        self.regularizers, self.augment = adversary.regularizers, adversary.augment
        self.n_critic, self.scale, self.num_classes = n_critic, scale, generator.num_classes
        self.step, self.moves_from = 0, pretrain_d
        self.turn, self.fakes = 0, Fakes(reuse_fakes)
        if not any(adversary.describe().values()):
            raise UserError("no player minimises anything\n  try: system.g_weight=1 system.d_weight=1")

    @property
    def adversary(self) -> Adversary:
        return self._adversary[0]

    def players(self) -> dict[str, Sequence[nn.Module]]:
        return {"d": [self.discriminator], "g": [self.generator]}

    def phases(self) -> Sequence[Phase]:
        if self.step < self.moves_from:
            return [Phase("d", self._d_terms_on_reals, self.n_critic, self._after_d)]
        return [Phase("d", self._d_terms, self.n_critic, self._after_d), Phase("g", self._g_terms)]

    @torch.no_grad()
    def prepare(self, batch: Batch) -> None:
        real, label = self._shown(batch)
        z = self.prior([derive("reference", i) for i in range(len(real))]).to(real.device)
        self.generator.prepare(z, label)
        self.discriminator.prepare(real, label)

    def begin(self, step: int) -> None:
        self.step, self.turn = step, 0
        self.fakes.begin()
        self.adversary.begin(step)

    def settle(self, *, truncation: float | None = None) -> None:
        """Standing statistics of the generator that asks for them, over classes and latents with seeds of their own."""
        count = max(int(getattr(part, "standing", 0)) for part in self.generator.modules())
        if count:
            take_standing_statistics(self.generator, [self._standing_batch(i, truncation) for i in range(count)])

    def _standing_batch(self, number: int, truncation: float | None) -> tuple[Tensor, Tensor | None]:
        seeds = [derive("standing", number, row) for row in range(STANDING_BATCH)]
        device = next(self.generator.parameters()).device
        classes = [seed % self.generator.num_classes for seed in seeds] if self.conditional else None
        label = None if classes is None else torch.tensor(classes, device=device)
        return self.prior(seeds, truncation=truncation).to(device), label

    @torch.no_grad()
    def draw(
        self,
        z: Tensor,
        *,
        label: Tensor | None = None,
        given: Batch | None = None,
        size: tuple[int, int] | None = None,
    ) -> Tensor:
        self.require_taken(given, size)
        samples: Tensor = self.generator(z, label)
        return samples.float() * self.scale

    def opinion(self, samples: Tensor, *, label: Tensor | None = None) -> Tensor:
        return self.adversary.opinion(samples / self.scale, label if self.conditional else None)

    def averaged(self) -> Sequence[nn.Module]:
        return [self.generator]

    def compilable(self) -> Sequence[nn.Module]:
        return [self.generator] if self.adversary.differentiates else [self.generator, self.discriminator]

    def describe(self) -> dict[str, str]:
        lines = {player: words or "nothing" for player, words in self.adversary.describe().items()}
        if self.moves_from:
            lines["d"] += f"; alone on reals for the first {self.moves_from} steps"
        return lines

    def _shown(self, batch: Batch) -> tuple[Tensor, Tensor | None]:
        """The reals, and their labels where the game is conditional."""
        real = batch["image"] if "image" in batch else batch["points"]
        return real, batch["label"] if self.conditional else None

    def _made(self, real: Tensor, label: Tensor | None) -> Tensor:
        """As many fakes as there are reals, with their labels."""
        fake: Tensor = self.generator(self.latents.draw(len(real), real.device), label)
        return fake.float()

    def _d_terms(self, batch: Batch) -> Terms:
        real, label = self._shown(batch)
        fake = self.fakes.for_d(lambda: self._made(real, label), last=self.turn == self.n_critic - 1)
        return self.adversary.d_terms(real, fake, label)

    def _d_terms_on_reals(self, batch: Batch) -> Terms:
        return self.adversary.d_terms_on_reals(*self._shown(batch))

    def _g_terms(self, batch: Batch) -> Terms:
        real, label = self._shown(batch)
        return self.adversary.g_terms(real, self.fakes.for_g(lambda: self._made(real, label)), label)

    def _after_d(self) -> None:
        self.turn += 1
        self.adversary.after_d()


def _require_a_loss_of_reals(loss: AdversarialLoss, pretrain_d: int) -> None:
    """Refuse to train D alone by a loss that is undefined on reals alone."""
    if pretrain_d < 0:
        raise UserError(f"system.pretrain_d={pretrain_d}: must be at least 0\n  try: system.pretrain_d=0")
    if pretrain_d and not loss.defines("real_loss"):
        raise UserError(
            f"system.pretrain_d={pretrain_d} needs a loss that is defined on reals alone, as energies are\n"
            "  try: system.pretrain_d=0, or loss=ebgan"
        )
