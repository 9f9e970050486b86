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
from ganctl.systems.standing import take_standing_statistics
from ganctl.systems.system import Prior, System, draw_latents, draw_prior
from ganctl.types import Batch, Critique, Discriminator, Generator, Phase, Play, Terms

STANDING_BATCH = 64
"""Samples of a batch that batch norm's statistics are taken over before drawing."""


class Standard(System):
    """Goodfellow et al. 2014, Algorithm 1, with any loss, any sum of regularizers and any augmentation.

    n_critic: the discriminator's updates for each of the generator's. d_weight, g_weight: of the adversarial term of
    each player; 0 leaves it what the regularizers ask for (g_weight=0: feature matching instead). label_flip: the
    probability with which a real and a fake change sides in the discriminator's loss. mismatch: reals under wrong
    labels count as half of the fakes (Reed et al. 2016, Algorithm 1, line 7). pretrain_d: in the first so many of all
    steps D alone moves, on reals alone, by the loss's `real_loss` and no regularizer. reuse_fakes: the generator's turn
    judges the fakes of the discriminator's last one anew, instead of drawing its own. scale: what points were divided
    by; `draw` multiplies it back.
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
        prior: Prior = "normal",
        scale: float = 1.0,
        mismatch: bool = False,
        pretrain_d: int = 0,
        reuse_fakes: bool = False,
    ) -> None:
        super().__init__()
        _require_sense(n_critic, prior, label_flip, pretrain_d)
        self.generator, self.discriminator, self.loss = generator, discriminator, loss
        self.regularizers = nn.ModuleDict(dict(regularizers or {}))
        self.augment = augment
        self.d_weight, self.g_weight, self.label_flip = d_weight, g_weight, label_flip
        self.n_critic, self.prior_kind, self.scale = n_critic, prior, scale
        self.conditional, self.mismatch = generator.num_classes > 0, mismatch
        self.pack, self.mixture = getattr(discriminator, "pack", 1), getattr(generator, "mixture", 1)
        self.choices = int(self.mixture > 1)
        self.step, self.reuse_fakes = 0, reuse_fakes
        self.moves_from = pretrain_d
        for regularizer in self._regularizers().values():
            regularizer.attach(generator, discriminator)
        self._require_use_of_labels()
        self._require_a_loss_of_reals()
        if set(self.describe().values()) == {"nothing"}:
            raise UserError("no player minimises anything\n  try: system.g_weight=1 system.d_weight=1")
        loss.attach(discriminator)
        if augment:
            augment.attach(loss.boundary)
        self._said: list[tuple[Tensor, Tensor]] = []
        self._turn = 0
        self._left_for_g: list[Tensor] = []

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
        self._turn, self._left_for_g = 0, []
        for regularizer in self._regularizers().values():
            regularizer.begin(step)
        if self.augment:
            self.augment.begin(step)

    def prior(self, seeds: Sequence[int], *, truncation: float | None = None) -> Tensor:
        return draw_prior(seeds, self.generator.latent, self.prior_kind, truncation, self.mixture)

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
    def draw(self, z: Tensor, *, label: Tensor | None = None) -> Tensor:
        samples: Tensor = self.generator(z, label)
        return samples.float() * self.scale

    @torch.no_grad()
    def opinion(self, samples: Tensor, *, label: Tensor | None = None) -> Tensor:
        whole = len(samples) // self.pack * self.pack
        if not whole:
            return samples.new_zeros(0)
        label = label[:whole] if self.conditional and label is not None else None
        logits: Tensor = Critique(*self.discriminator(samples[:whole] / self.scale, label)).logits
        return logits.float().flatten(1).mean(1) if logits.dim() > 1 else logits.float()

    def averaged(self) -> Sequence[nn.Module]:
        return [self.generator]

    def compilable(self) -> Sequence[nn.Module]:
        return [self.generator] if self._differentiates() else [self.generator, self.discriminator]

    def describe(self) -> dict[str, str]:
        sides = {"d": (self.d_weight, Regularizer.d_term), "g": (self.g_weight, Regularizer.g_term)}
        lines = {}
        for player, (weight, nothing) in sides.items():
            loss = [type(self.loss).__name__] if weight else []
            own = [n for n, r in self._regularizers().items() if getattr(type(r), nothing.__name__) is not nothing]
            lines[player] = " + ".join([*loss, *own]) or "nothing"
        clips = [n for n, r in self._regularizers().items() if type(r).after_d is not Regularizer.after_d]
        lines["d"] += "".join(f", then {name}" for name in clips)
        if self.moves_from:
            lines["d"] += f"; alone on reals for the first {self.moves_from} steps"
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
                f"  try: regularizer=[{','.join([*self.regularizers, 'auxiliary'])}] critic_norm=none"
            )
        if self.mismatch and (names_classes or self.generator.num_classes < 2):
            raise UserError(
                "system.mismatch=true needs a discriminator that judges by the label, of two classes or more\n"
                "  try: model.conditioning=concat or model.conditioning=projection, on labelled data"
            )

    def _require_a_loss_of_reals(self) -> None:
        """Refuse to train D alone by a loss that asks nothing of reals alone."""
        if self.moves_from and type(self.loss).real_loss is AdversarialLoss.real_loss:
            raise UserError(
                f"system.pretrain_d={self.moves_from} needs a loss that asks something of reals alone, as energies do\n"
                "  try: system.pretrain_d=0, or loss=ebgan"
            )

    def _shown(self, batch: Batch) -> tuple[Tensor, Tensor | None]:
        """The reals, and their labels where the game is conditional."""
        real = batch["image"] if "image" in batch else batch["points"]
        return real, batch["label"] if self.conditional else None

    def _fakes(self, phase: Literal["d", "g"], real: Tensor, label: Tensor | None) -> Tensor:
        """As many as there are reals; in the generator's phase they carry its gradient, else none."""
        if phase == "g" and self._left_for_g:
            return self._left_for_g.pop(0)
        z = draw_latents(len(real), self.generator.latent, self.prior_kind, real.device, self.mixture)
        kept = phase == "d" and self.reuse_fakes and self._turn == self.n_critic - 1
        with torch.set_grad_enabled(phase == "g" or kept):
            fake: Tensor = self.generator(z, label).float()
        if kept:
            self._left_for_g.append(fake)
        return fake.detach() if phase == "d" else fake

    def _new_play(self, phase: Literal["d", "g"], batch: Batch) -> Play:
        real, label = self._shown(batch)
        fake = self._fakes(phase, real, label)
        if phase == "d" and any(regularizer.at_judged for regularizer in self._regularizers().values()):
            real, fake = real.detach().requires_grad_(), fake.requires_grad_()
        return Play(self.step, phase, self.generator, self.discriminator, real, fake, label, augment=self.augment)

    def _d_terms(self, batch: Batch) -> Terms:
        if self.step < self.moves_from:
            return self._d_terms_on_reals(batch)
        play = self._new_play("d", batch)
        terms: Terms = {}
        if self.d_weight:
            real, fake = play.on_real.logits, play.on_fake.logits
            self.facts |= {"logits/real": real.detach(), "logits/fake": fake.detach()}
            if self.augment:
                self._said.append((real.detach(), fake.detach()))
            loss = self._d_loss(real, fake)
            if play.label is not None and self.mismatch:
                wrong = play.critic(play.real, wrong_labels(play.label, self.generator.num_classes))
                loss = 0.5 * (loss + self._d_loss(real, wrong.logits))
            terms["adversarial"] = weighted(self.d_weight, loss)
        return terms | self._penalties(lambda regularizer: regularizer.d_term(play))

    def _d_loss(self, real: Tensor, fake: Tensor) -> Tensor:
        return self.loss.d_loss(*(swapped(real, fake, self.label_flip) if self.label_flip else (real, fake)))

    def _d_terms_on_reals(self, batch: Batch) -> Terms:
        real, label = self._shown(batch)
        play = Play(self.step, "d", self.generator, self.discriminator, real, real, label, augment=self.augment)
        logits = play.critic(real).logits
        self.facts["logits/real"] = logits.detach()
        return {"adversarial": self.loss.real_loss(logits)}

    def _g_terms(self, batch: Batch) -> Terms:
        if self.step < self.moves_from:
            return {}
        play = self._new_play("g", batch)
        terms: Terms = {}
        if self.g_weight:
            real = play.on_real.logits if self.loss.g_sees_real else None
            terms["adversarial"] = weighted(self.g_weight, self.loss.g_loss(play.on_fake.logits, real))
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
        self._turn += 1
        for regularizer in self._regularizers().values():
            regularizer.after_d(self.discriminator)
        if self.augment and self._said:
            real, fake = (torch.cat(side) for side in zip(*self._said, strict=True))
            self.augment.observe(real, fake)
            self.facts |= {f"augment/{name}": value for name, value in self.augment.facts().items()}
            self._said.clear()


def _require_sense(n_critic: int, prior: str, label_flip: float, pretrain_d: int) -> None:
    require_positive(n_critic=n_critic)
    if prior not in ("normal", "uniform"):
        raise UserError(f"system.prior={prior} is unknown\n  try: system.prior=normal or system.prior=uniform")
    if not 0 <= label_flip < 0.5:
        raise UserError(
            f"system.label_flip={label_flip}: must lie in [0, 0.5); at 0.5 the labels say nothing\n"
            "  try: system.label_flip=0.05"
        )
    if pretrain_d < 0:
        raise UserError(f"system.pretrain_d={pretrain_d}: must be at least 0\n  try: system.pretrain_d=0")


def swapped(real: Tensor, fake: Tensor, rate: float) -> tuple[Tensor, Tensor]:
    """Logits (B,...) of both sides, the two of a pair exchanged with probability `rate`: noisy labels.

    Any loss then takes a flipped real for a fake and its fake for a real. A paired relativistic loss sees the pair
    turned round; one that compares with the other side's mean has the flipped ones in that mean as well, so that its
    differences shrink by 1 - 2 rate on top of the noise; a Wasserstein critic's expected loss is multiplied by
    1 - 2 rate.
    """
    flipped = torch.rand(len(real), *[1] * (real.dim() - 1), device=real.device) < rate
    return torch.where(flipped, fake, real), torch.where(flipped, real, fake)


def wrong_labels(label: Tensor, num_classes: int) -> Tensor:
    """(B,) labels, each drawn from the K - 1 classes that the sample does not have."""
    return (label + torch.randint_like(label, 1, num_classes)) % num_classes


def weighted(weight: float, term: Tensor) -> Tensor:
    """weight * term; a weight of 1 costs nothing, here and in the backward pass."""
    return term if weight == 1 else weight * term
