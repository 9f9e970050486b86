"""The standard game: one generator, one discriminator."""

from collections.abc import Callable, Mapping, Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from ganctl.augment.augment import Augment
from ganctl.errors import UserError, require_positive
from ganctl.losses.adversarial import AdversarialLoss
from ganctl.regularizers.regularizer import Regularizer, has_class_head
from ganctl.seeding import derive
from ganctl.systems.system import Prior, System, draw_latents, draw_prior
from ganctl.types import Batch, Discriminator, Generator, Phase, Play, Terms


class Standard(System):
    """Goodfellow et al. 2014, Algorithm 1, with any loss, any sum of regularizers and any augmentation.

    n_critic: the discriminator's updates for each of the generator's. adversarial_weight: 0 leaves the regularizers
    alone (feature matching instead of the adversarial loss). scale: what points were divided by; `draw` multiplies it
    back. mismatch: reals under wrong labels count as half of the fakes (Reed et al. 2016, Algorithm 1, line 7).
    """

    def __init__(
        self,
        generator: Generator,
        discriminator: Discriminator,
        loss: AdversarialLoss,
        regularizers: Mapping[str, Regularizer] | None = None,
        augment: Augment | None = None,
        n_critic: int = 1,
        adversarial_weight: float = 1.0,
        prior: Prior = "normal",
        scale: float = 1.0,
        mismatch: bool = False,
    ) -> None:
        super().__init__()
        require_positive(n_critic=n_critic)
        if prior not in ("normal", "uniform"):
            raise UserError(f"system.prior={prior} is unknown\n  try: system.prior=normal or system.prior=uniform")
        self.generator, self.discriminator, self.loss = generator, discriminator, loss
        self.regularizers = nn.ModuleDict(dict(regularizers or {}))
        self.augment = augment
        self.n_critic, self.adversarial_weight, self.prior_kind, self.scale = n_critic, adversarial_weight, prior, scale
        self.conditional, self.mismatch = generator.num_classes > 0, mismatch
        self.pack, self.mixture = getattr(discriminator, "pack", 1), getattr(generator, "mixture", 1)
        self.choices = int(self.mixture > 1)
        self.step = 0
        for regularizer in self._regularizers().values():
            regularizer.attach(generator, discriminator)
        self._require_use_of_labels()
        self._play: Play | None = None

    def players(self) -> dict[str, Sequence[nn.Module]]:
        return {"d": [self.discriminator], "g": [self.generator]}

    def phases(self) -> Sequence[Phase]:
        return [Phase("d", self._d_terms, repeat=self.n_critic, after=self._after_d), Phase("g", self._g_terms)]

    @torch.no_grad()
    def prepare(self, batch: Batch) -> None:
        real, label = self._shown(batch)
        z = self.prior([derive("reference", i) for i in range(len(real))]).to(real.device)
        self.generator.prepare(z, label)
        self.discriminator.prepare(real, label)

    def begin(self, step: int) -> None:
        self.step = step
        for regularizer in self._regularizers().values():
            regularizer.begin(step)
        if self.augment:
            self.augment.begin(step)

    def prior(self, seeds: Sequence[int], *, truncation: float | None = None) -> Tensor:
        return draw_prior(seeds, self.generator.latent, self.prior_kind, truncation, self.mixture)

    @torch.no_grad()
    def draw(self, z: Tensor, *, label: Tensor | None = None) -> Tensor:
        samples: Tensor = self.generator(z, label)
        return samples.float() * self.scale

    def averaged(self) -> Sequence[nn.Module]:
        return [self.generator]

    def compilable(self) -> Sequence[nn.Module]:
        return [self.generator] if self._differentiates() else [self.generator, self.discriminator]

    def describe(self) -> dict[str, str]:
        loss = type(self.loss).__name__ if self.adversarial_weight else ""
        sides = {"d": Regularizer.d_term, "g": Regularizer.g_term}
        lines = {}
        for player, nothing in sides.items():
            own = [n for n, r in self._regularizers().items() if getattr(type(r), nothing.__name__) is not nothing]
            lines[player] = " + ".join([*([loss] if loss else []), *own]) or "nothing"
        clips = [n for n, r in self._regularizers().items() if type(r).after_d is not Regularizer.after_d]
        lines["d"] += "".join(f", then {name}" for name in clips)
        return lines

    def _differentiates(self) -> bool:
        return any(regularizer.differentiates for regularizer in self._regularizers().values())

    def _regularizers(self) -> dict[str, Regularizer]:
        return dict(self.regularizers.items())  # type: ignore[arg-type]  # ModuleDict forgets what it holds

    def _require_use_of_labels(self) -> None:
        """Refuse a class head that nothing trains, and wrong labels that the discriminator would not see."""
        names_classes = has_class_head(self.discriminator)
        if names_classes and not any(regularizer.reads_classes for regularizer in self._regularizers().values()):
            raise UserError(
                "model.conditioning=auxiliary: nothing trains the discriminator's class head\n"
                f"  try: regularizer=[{','.join([*self.regularizers, 'auxiliary'])}]"
            )
        if self.mismatch and (names_classes or self.generator.num_classes < 2):
            raise UserError(
                "system.mismatch=true needs a discriminator that judges by the label, of two classes or more\n"
                "  try: model.conditioning=concat or model.conditioning=projection, on labelled data"
            )

    def _shown(self, batch: Batch) -> tuple[Tensor, Tensor | None]:
        """The reals, and their labels where the game is conditional."""
        real = batch["image"] if "image" in batch else batch["points"]
        return real, batch["label"] if self.conditional else None

    def _new_play(self, phase: Literal["d", "g"], batch: Batch) -> Play:
        real, label = self._shown(batch)
        z = draw_latents(len(real), self.generator.latent, self.prior_kind, real.device, self.mixture)
        with torch.set_grad_enabled(phase == "g"):
            fake = self.generator(z, label).float()
        if phase == "d" and any(regularizer.at_judged for regularizer in self._regularizers().values()):
            real, fake = real.detach().requires_grad_(), fake.requires_grad_()
        return Play(self.step, phase, self.generator, self.discriminator, real, fake, label, augment=self.augment)

    def _d_terms(self, batch: Batch) -> Terms:
        play = self._play = self._new_play("d", batch)
        terms: Terms = {}
        if self.adversarial_weight:
            loss = self.loss.d_loss(play.on_real.logits, play.on_fake.logits)
            if play.label is not None and self.mismatch:
                wrong = play.critic(play.real, wrong_labels(play.label, self.generator.num_classes))
                loss = 0.5 * (loss + self.loss.d_loss(play.on_real.logits, wrong.logits))
            terms["adversarial"] = weighted(self.adversarial_weight, loss)
            self.facts = {"real": play.on_real.logits.detach(), "fake": play.on_fake.logits.detach()}
        return terms | self._penalties(lambda regularizer: regularizer.d_term(play))

    def _g_terms(self, batch: Batch) -> Terms:
        play = self._new_play("g", batch)
        terms: Terms = {}
        if self.adversarial_weight:
            real = play.on_real.logits if self.loss.g_sees_real else None
            terms["adversarial"] = weighted(self.adversarial_weight, self.loss.g_loss(play.on_fake.logits, real))
        return terms | self._penalties(lambda regularizer: regularizer.g_term(play))

    def _penalties(self, term_of: Callable[[Regularizer], Tensor | None]) -> Terms:
        """The weighted terms of the regularizers that are due at this step."""
        terms: Terms = {}
        for name, regularizer in self._regularizers().items():
            factor = regularizer.factor(self.step)
            if factor and (term := term_of(regularizer)) is not None:
                terms[name] = weighted(factor, term)
        return terms

    def _after_d(self) -> None:
        for regularizer in self._regularizers().values():
            regularizer.after_d(self.discriminator)
        if self.augment and self._play:
            self.augment.observe(self._play.on_real, self._play.on_fake)
        self._play = None


def wrong_labels(label: Tensor, num_classes: int) -> Tensor:
    """(B,) labels, each drawn from the K - 1 classes that the sample does not have."""
    return (label + torch.randint_like(label, 1, num_classes)) % num_classes


def weighted(weight: float, term: Tensor) -> Tensor:
    """weight * term; a weight of 1 costs nothing, here and in the backward pass."""
    return term if weight == 1 else weight * term
