"""The words every room shares. B batch, C channels, H W image, Z latent, K classes, F features."""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn

from ganctl.errors import UserError

Batch = dict[str, Tensor]
"""image (B,C,H,W) float32 in [-1,1], or points (B,2); label (B,) int64 where the data has labels."""

Terms = dict[str, Tensor]
"""Named scalars; a phase minimises their sum, and the names are the log keys."""

ADVERSARIAL = "adversarial"
"""The term that an adversarial loss gives; of several adversaries `adversarial_a`, `adversarial_b`."""
LOGITS_REAL, LOGITS_FAKE = "logits/real", "logits/fake"
"""What a discriminator said, in the log; of several adversaries `logits/real_a`, `logits/real_b`."""
LOSS, GRADIENT_NORM, LEARNING_RATE = "loss/", "gradient_norm/", "learning_rate/"
"""How the log's names begin: loss/PLAYER/TERM, gradient_norm/PLAYER, learning_rate/PLAYER."""


def role(player: str) -> str:
    """What a player is, whatever its number: `d0` and `d1` are discriminators, as `d` is."""
    return player.rstrip("0123456789")


def is_adversarial(term: str) -> bool:
    """Whether a term of this name came from an adversarial loss."""
    return term == ADVERSARIAL or term.startswith(f"{ADVERSARIAL}_")


Boundary = Literal["zero", "mean_fake", "none"]
"""Above what a loss takes a real's logit for real: 0, the mean logit of the fakes, or nothing that its logits tell."""


class Critique(NamedTuple):
    """What a discriminator says of a batch. Higher logits mean more real; no sigmoid was applied."""

    logits: Tensor
    """(B,), or (B,1,h,w) from a patch discriminator, or (B/m,) when m samples are packed."""
    features: tuple[Tensor, ...] = ()
    """(B,...) each, from the input on; the last is what the head reads."""
    classes: Tensor | None = None
    """(B,K) class logits of an auxiliary head."""
    others: tuple[Tensor, ...] = ()
    """Logits of further heads, each of a shape of its own."""

    @property
    def heads(self) -> tuple[Tensor, ...]:
        """The logits of all heads: an adversarial loss is the sum over them."""
        return (self.logits, *self.others)

    def widened(self) -> "Critique":
        """Logits of 16 bits as float32: a mean of such would be rounded."""
        if self.logits.dtype not in (torch.bfloat16, torch.float16):
            return self
        return self._replace(logits=self.logits.float(), others=tuple(logits.float() for logits in self.others))

    def halves(self) -> tuple["Critique", "Critique"]:
        """What was said of the first half of the batch, and of the second."""

        def half(side: int) -> Critique:
            return Critique(
                self.logits.chunk(2)[side],
                tuple(x.chunk(2)[side] for x in self.features),
                None if self.classes is None else self.classes.chunk(2)[side],
                tuple(x.chunk(2)[side] for x in self.others),
            )

        return half(0), half(1)


class Generator(nn.Module):
    """`forward(z: (B,Z), y: (B,) | None) -> (B,C,H,W)` in [-1,1], or (B,2) points."""

    latent: int
    """Z, the size of the latent vector."""
    mixture: int = 1
    """k above 1: z is (B,Z+1), and its last entry is the number, from 0 to k-1, of the generator that draws."""
    num_classes: int
    """K, or 0 for a generator that takes no label."""
    standing = 0
    """Batches over which batch norm's statistics are taken before samples are drawn; 0 keeps the running averages."""

    def prepare(self, z: Tensor, y: Tensor | None = None) -> None:
        """Called once before step 0 with latents and labels, alike on every rank; what is kept goes into buffers."""


class Translator(nn.Module):
    """`forward(x: (B,C,H,W)) -> (B,C,H,W)` in [-1,1], for any height and width; no image sees another of its batch."""


class Encoding(NamedTuple):
    """What an encoder says of samples: a normal distribution over latents, one for each."""

    mean: Tensor
    """(B,Z)."""
    log_variance: Tensor | None = None
    """(B,Z); None from an encoder that names one latent for sure."""
    features: Tensor | None = None
    """(B,F), what the last layer reads."""


class Encoder(nn.Module):
    """`forward(x: (B,C,H,W) or (B,2), y: (B,) | None) -> Encoding`."""

    latent: int
    """Z, the size of the latent vector."""


class Code(NamedTuple):
    """Entries of z that are meant to mean something: from `start` on, `size` of them."""

    name: str
    start: int
    size: int
    choice: bool
    """Whether they are a one-hot vector, else each is a number in [-1,1]."""


class Discriminator(nn.Module):
    """`forward(x: (B,C,H,W) or (B,2), y: (B,) | None) -> Critique`; y is (B,m) where x holds m samples in a pack."""

    couples_batch = True
    """Whether the critique of an image may depend on the others of its batch. Where a network knows that it does not
    (no batch norm, no batch statistics), reals and fakes are judged in one pass."""

    gives_energy = False
    """Whether logits are minus an energy, which is never below 0, as an autoencoder's error is."""

    pack: int = 1
    """m, how many neighbours of a batch share one logit; m divides the batch."""

    def prepare(self, x: Tensor, y: Tensor | None = None) -> None:
        """Called once before step 0 with reals and labels, alike on every rank; what is kept goes into buffers."""


@dataclass(frozen=True)
class Phase:
    """One player's turn within a step: `terms` of a batch are summed, and the player's optimizer steps on them.

    rate: a factor on the learning rate, beside the schedule's.
    """

    player: str
    terms: Callable[[Batch], Terms]
    repeat: int = 1
    after: Callable[[], None] = lambda: None
    rate: float = 1.0


class Schedule:
    """A number that changes with the step: from `start` to `end` over `over` steps, then held at `end`.

    "constant" stays at `start`; "step" does so for `over` steps, then jumps to `end`. `warmup` steps rise linearly from
    near 0 to `start` first; then `start` is held for the share `hold` of the other steps. Both count within `over`.
    again=True starts anew after each `over` steps.
    """

    def __init__(
        self,
        start: float = 1.0,
        end: float = 0.0,
        over: int = 1,
        shape: Literal["constant", "step", "linear", "cosine"] = "linear",
        warmup: int = 0,
        hold: float = 0.0,
        again: bool = False,
    ) -> None:
        if shape not in ("constant", "step", "linear", "cosine"):
            raise UserError(f"schedule shape '{shape}' is unknown\n  try: constant, step, linear or cosine")
        if over < 1 or warmup < 0:
            raise UserError(f"schedule: over={over} must be at least 1 and warmup={warmup} at least 0")
        if not 0 <= hold < 1:
            raise UserError(f"schedule.hold={hold}: a share of the steps, from 0 to below 1\n  try: schedule.hold=0.5")
        self.start, self.end, self.over, self.shape, self.warmup = start, end, over, shape, warmup
        self.again = again
        self.moving = (1 - hold) * max(0, over - warmup) or 1
        """The number of steps, the last ones, over which it goes from `start` to `end`."""

    def __call__(self, step: int) -> float:
        step = step % self.over if self.again else step
        if step < self.warmup:
            return self.start * (step + 1) / self.warmup
        if self.shape == "constant":
            return self.start
        if self.shape == "step":
            return self.start if step < self.over else self.end
        done = min(1.0, max(0.0, step - max(self.warmup, self.over - self.moving)) / self.moving)
        if self.shape == "cosine":
            done = (1 - math.cos(math.pi * done)) / 2
        return self.start + (self.end - self.start) * done


def is_running_statistic(name: str, buffer: Tensor) -> bool:
    """Whether a buffer is a running mean or variance: averaged over steps and over ranks, where others are copied."""
    return name.rpartition(".")[2].startswith("running_") and buffer.is_floating_point()


def value_at(number: "float | Schedule", step: int) -> float:
    """A plain number, or what a schedule says at this step."""
    return number(step) if isinstance(number, Schedule) else number


def summed(terms: Iterable[Tensor]) -> Tensor:
    """The sum of one term or more, as over the heads of a discriminator; of one it is that term itself."""
    first, *others = terms
    return sum(others, first)


@dataclass
class Play:
    """One play of the game as losses and regularizers see it: reals, fakes, and the discriminator's opinion of both.

    The fakes are drawn with the batch's labels, so one `label` (B,) serves both sides. In the discriminator's phase
    the fakes carry no gradient; in the generator's phase the reals are judged without one. A discriminator that judges
    each sample alone judges both sides in one pass, unless a slope at the samples is asked for.
    """

    step: int
    phase: Literal["d", "g"]
    generator: nn.Module
    discriminator: nn.Module
    real: Tensor
    fake: Tensor
    label: Tensor | None = None
    code: Tensor | None = None
    augment: Callable[[Tensor], Tensor] | None = None

    def critic(self, x: Tensor, y: Tensor | None = None) -> Critique:
        """The discriminator with the batch's label and the augmentation bound."""
        x = x if self.augment is None else self.augment(x)
        critique = self.discriminator(x, self.label if y is None else y)
        return (critique if isinstance(critique, Critique) else Critique(*critique)).widened()

    @cached_property
    def _on_both(self) -> tuple[Critique, Critique] | None:
        if self.phase == "g" or self.real.requires_grad or getattr(self.discriminator, "couples_batch", True):
            return None
        label = None if self.label is None else torch.cat([self.label, self.label])
        return self.critic(torch.cat([self.real, self.fake]), label).halves()

    @cached_property
    def on_real(self) -> Critique:
        if self._on_both:
            return self._on_both[0]
        with torch.set_grad_enabled(self.phase == "d" and torch.is_grad_enabled()):
            return self.critic(self.real)

    @cached_property
    def on_fake(self) -> Critique:
        if self._on_both:
            return self._on_both[1]
        return self.critic(self.fake)


@dataclass(frozen=True)
class Evidence:
    """What metrics judge: the generator's samples beside those of the data, all seen in one way.

    Samples are images (N,C,H,W) float in [-1,1], points (N,2) in true units, or features (N,F) of either; N may
    differ from one to the other. What a metric does not need may be missing.
    """

    fake: Tensor | None = None
    train: Tensor | None = None
    valid: Tensor | None = None
    test: Tensor | None = None
    probabilities: Tensor | None = None
    """(N,K), what a classifier thinks of the fakes."""
    asked: Tensor | None = None
    """(N,) int64, the classes that the fakes were asked to show."""
    critic_train: Tensor | None = None
    """(N,) logits of the fakes' own discriminator on training samples."""
    critic_test: Tensor | None = None
    """(N,) its logits on samples that it never saw."""
    codes: Tensor | None = None
    """(N,) int64 from 0 up, the mode that a classifier reads on each fake of a stacked data set."""
    centres: Tensor | None = None
    """(M,2), the modes of a mixture in true units."""
    sigma: float | None = None
    """The standard deviation of one mode."""
