"""A discriminator and all that its game asks of it."""

import copy
from collections.abc import Callable, Mapping
from typing import Any, Literal

import torch
from torch import Tensor, nn

from ganctl.augment.augment import Augment
from ganctl.errors import UserError
from ganctl.losses.adversarial import AdversarialLoss
from ganctl.regularizers.regularizer import Regularizer, has_class_head
from ganctl.types import ADVERSARIAL, LOGITS_FAKE, LOGITS_REAL, Critique, Discriminator, Play, Terms, summed


class Adversary(nn.Module):
    """One discriminator with its loss, regularizers and augmentation: what both players minimise, given both sides.

    It draws no fakes and knows no order of moves: the system that owns it hands it reals and fakes. Several stand side
    by side in one system: each takes its own copies of regularizers and augmentation, whose state they must not share,
    and its terms bear its `name`, as in `adversarial_b`.

    generator: who makes the fakes; it stays the system's. facts: the system's, where the logits are noted for the log.
    d_weight, g_weight: of the adversarial term of each player; 0 drops it, and only the regularizers remain.
    label_flip: the probability with which a real and a fake change sides in the discriminator's loss. mismatch: reals
    under wrong labels count as half of the fakes (Reed et al. 2016, Algorithm 1, line 7).
    """

    def __init__(
        self,
        discriminator: Discriminator,
        loss: AdversarialLoss,
        regularizers: Mapping[str, Regularizer] | None = None,
        augment: Augment | None = None,
        *,
        generator: nn.Module,
        facts: dict[str, Tensor] | None = None,
        name: str = "",
        d_weight: float = 1.0,
        g_weight: float = 1.0,
        label_flip: float = 0.0,
        mismatch: bool = False,
    ) -> None:
        super().__init__()
        if not 0 <= label_flip < 0.5:
            raise UserError(
                f"system.label_flip={label_flip}: must lie in [0, 0.5); at 0.5 the labels say nothing\n"
                "  try: system.label_flip=0.05"
            )
        self.discriminator, self.loss = discriminator, loss
        self.regularizers = nn.ModuleDict({key: copy.deepcopy(part) for key, part in (regularizers or {}).items()})
        self.augment = copy.deepcopy(augment)
        self.d_weight, self.g_weight, self.label_flip, self.mismatch = d_weight, g_weight, label_flip, mismatch
        self.facts = {} if facts is None else facts
        self.step, self.suffix = 0, f"_{name}" if name else ""
        self._generator = (generator,)  # in a tuple, and so no part of this module
        self._judged: list[tuple[Tensor, Tensor]] = []
        for regularizer in self._regularizers().values():
            regularizer.attach(generator, discriminator)
        self._require_use_of_labels()
        loss.attach(discriminator)
        if self.augment:
            self.augment.attach(loss.boundary)

    @property
    def generator(self) -> Any:
        return self._generator[0]

    @property
    def pack(self) -> int:
        """How many samples share one logit."""
        return getattr(self.discriminator, "pack", 1)

    @property
    def differentiates(self) -> bool:
        """Whether a term differentiates the discriminator twice."""
        return any(regularizer.differentiates for regularizer in self._regularizers().values())

    def begin(self, step: int) -> None:
        """Called before each step."""
        self.step = step
        self._judged.clear()
        for regularizer in self._regularizers().values():
            regularizer.begin(step)
        if self.augment:
            self.augment.begin(step)

    def d_terms(self, real: Tensor, fake: Tensor, label: Tensor | None = None) -> Terms:
        """What the discriminator minimises; `fake` carries no gradient, and one `label` serves both sides."""
        if any(regularizer.at_judged for regularizer in self._regularizers().values()):
            real, fake = real.detach().requires_grad_(), fake.requires_grad_()
        play = self._play("d", real, fake, label)
        terms: Terms = {}
        if self.d_weight:
            on_real, on_fake = play.on_real, play.on_fake
            said = on_real.logits.detach(), on_fake.logits.detach()
            self._note(LOGITS_REAL, said[0])
            self._note(LOGITS_FAKE, said[1])
            if self.augment:
                self._judged.append(said)
            loss = self._d_loss(on_real, on_fake)
            if label is not None and self.mismatch:
                wrong = play.critic(real, wrong_labels(label, self.generator.num_classes))
                loss = 0.5 * (loss + self._d_loss(on_real, wrong))
            terms[ADVERSARIAL + self.suffix] = weighted(self.d_weight, loss)
        return terms | self._penalties(lambda regularizer: regularizer.d_term(play))

    def d_terms_on_reals(self, real: Tensor, label: Tensor | None = None) -> Terms:
        """What the discriminator minimises before the game: the loss of reals alone, and no regularizer."""
        critique = self._play("d", real, real, label).critic(real)
        self._note(LOGITS_REAL, critique.logits.detach())
        return {ADVERSARIAL + self.suffix: over_heads(self.loss.real_loss, critique)}

    def g_terms(self, real: Tensor, fake: Tensor, label: Tensor | None = None) -> Terms:
        """What the player who made `fake` minimises."""
        play = self._play("g", real, fake, label)
        terms: Terms = {}
        if self.g_weight:
            real_side = [play.on_real] if self.loss.g_sees_real else []  # judged first, as in the discriminator's turn
            loss = over_heads(self.loss.g_loss, play.on_fake, *real_side)
            terms[ADVERSARIAL + self.suffix] = weighted(self.g_weight, loss)
        return terms | self._penalties(lambda regularizer: regularizer.g_term(play))

    def e_terms(self, real: Tensor, label: Tensor | None = None) -> Terms:
        """What the player who made `real`, an encoder, minimises: `real` carries that player's gradient."""
        critique = self._play("g", real, real, label).critic(real)
        return {f"encoder{self.suffix}": weighted(self.g_weight, over_heads(self.loss.e_loss, critique))}

    def after_d(self) -> None:
        """Called after each of the discriminator's optimizer steps."""
        for regularizer in self._regularizers().values():
            regularizer.after_d(self.discriminator)
        if self.augment and self._judged:
            self.augment.observe(*(torch.cat(side) for side in zip(*self._judged, strict=True)))
            for name, value in self.augment.facts().items():
                self._note(f"augment/{name}", value)
            self._judged.clear()

    @torch.no_grad()
    def opinion(self, samples: Tensor, label: Tensor | None = None) -> Tensor:
        """(N,) logits of samples as the networks know them; those that fill no pack are left out."""
        whole = len(samples) // self.pack * self.pack
        if not whole:
            return samples.new_zeros(0)
        label = None if label is None else label[:whole]
        logits = Critique(*self.discriminator(samples[:whole], label)).logits.float()
        return logits.flatten(1).mean(1) if logits.dim() > 1 else logits

    def describe(self) -> dict[str, str]:
        """What players d and g minimise; an empty string for one who minimises nothing."""
        loss = type(self.loss).__name__
        parts = {
            "d": [*([loss] if self.d_weight else []), *self._with("d_term")],
            "g": [*([loss] if self.g_weight else []), *self._with("g_term")],
        }
        lines = {player: " + ".join(names) for player, names in parts.items()}
        lines["d"] += "".join(f", then {name}" for name in self._with("after_d"))
        return lines

    def _with(self, method: str) -> list[str]:
        """The names of the regularizers that do something there."""
        nothing = getattr(Regularizer, method)
        return [name for name, part in self._regularizers().items() if getattr(type(part), method) is not nothing]

    def _regularizers(self) -> dict[str, Regularizer]:
        return dict(self.regularizers.items())  # type: ignore[arg-type]  # ModuleDict forgets what it holds

    def _note(self, name: str, value: Tensor) -> None:
        self.facts[name + self.suffix] = value

    def _play(self, phase: Literal["d", "g"], real: Tensor, fake: Tensor, label: Tensor | None) -> Play:
        return Play(self.step, phase, self.generator, self.discriminator, real, fake, label, augment=self.augment)

    def _d_loss(self, real: Critique, fake: Critique) -> Tensor:
        def d_loss(real: Tensor, fake: Tensor) -> Tensor:
            return self.loss.d_loss(*(swapped(real, fake, self.label_flip) if self.label_flip else (real, fake)))

        return over_heads(d_loss, real, fake)

    def _penalties(self, term_of: Callable[[Regularizer], Tensor | None]) -> Terms:
        """The weighted terms of the regularizers that are due at this step."""
        terms: Terms = {}
        for name, regularizer in self._regularizers().items():
            factor = regularizer.factor(self.step)
            if factor and (term := term_of(regularizer)) is not None:
                terms[name + self.suffix] = weighted(factor, term)
        return terms

    def _require_use_of_labels(self) -> None:
        """Refuse a class head that nothing trains, and wrong labels that the discriminator would not see."""
        names_classes = has_class_head(self.discriminator)
        if names_classes and not any(regularizer.reads_classes for regularizer in self._regularizers().values()):
            raise UserError(
                "model.conditioning=auxiliary: nothing trains the discriminator's class head\n"
                f"  try: regularizer=[{','.join([*self.regularizers, 'auxiliary'])}] critic_norm=none"
            )
        if self.mismatch and (names_classes or getattr(self.generator, "num_classes", 0) < 2):
            raise UserError(
                "system.mismatch=true needs a discriminator that judges by the label, of two classes or more\n"
                "  try: model.conditioning=concat or model.conditioning=projection, on labelled data"
            )


def over_heads(loss: Callable[..., Tensor], *sides: Critique) -> Tensor:
    """A loss of the logits of one side or of both, summed over the heads of a discriminator."""
    return summed(loss(*logits) for logits in zip(*(critique.heads for critique in sides), strict=True))


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
