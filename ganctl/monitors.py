"""Cheap signs that a game goes wrong, each told once with what to try."""

import logging
import math
from collections.abc import Mapping

import torch
from torch import Tensor

log = logging.getLogger("ganctl")
DIVERSITY = "monitor/diversity"


def diversity(fake: Tensor, real: Tensor) -> Tensor:
    """Mean distance between two fakes, as a share of that between two reals; (N,...) each. Collapse is 0, health 1."""
    spread, natural = (torch.cdist(x.flatten(1), x.flatten(1)).sum() for x in (fake.float(), real.float()))
    return spread / natural.clamp(min=1e-12)


class Monitors:
    """Looks at each log event and at each grid of samples; a sign must be seen `patience` events in a row."""

    def __init__(self, patience: int = 3) -> None:
        self.patience = patience
        self.streaks: dict[str, int] = {}

    def look(self, step: int, values: Mapping[str, float]) -> list[str]:
        """The signs told now, by name; each is logged as one warning with its remedy."""
        told = []
        for name, (seen, words) in signs(values).items():
            self.streaks[name] = self.streaks.get(name, 0) + 1 if seen else min(self.streaks.get(name, 0), 0)
            if self.streaks[name] == self.patience:
                log.warning(f"step {step}: {words}")
                self.streaks[name] = -(10**9)  # once a run
                told.append(name)
        return told


def signs(values: Mapping[str, float]) -> dict[str, tuple[bool, str]]:
    """Each sign's name, whether it shows in this event, and what to say."""
    real, fake = values.get("logits/real", 0.0), values.get("logits/fake", 0.0)
    penalties = [v for k, v in values.items() if k.startswith("loss/d/") and k != "loss/d/adversarial"]
    saturated = 0 <= values.get("loss/d/adversarial", 1.0) < 1e-3
    return {
        "saturated": (
            saturated,
            "the discriminator tells every fake (its loss is near 0) and teaches nothing; "
            "try regularizer=[r1], augment=instance_noise or a smaller optimizer.d.lr",
        ),
        "vanishing": (
            values.get("gradient_norm/g", 1.0) < 1e-6,
            "the generator's gradient has vanished; try loss=nsgan or loss=wgan_gp, or a smaller optimizer.d.lr",
        ),
        "collapsing": (
            values.get(DIVERSITY, 1.0) < 0.1,
            "the samples are nearly all alike (mode collapse); try loss=wgan_gp, regularizer=[r1] or another seed",
        ),
        "drifting": (
            max(abs(real), abs(fake)) > 1000 or not math.isfinite(real + fake),
            "the logits drift far from 0; try regularizer=[r1], critic_norm=spectral or a smaller optimizer.d.lr",
        ),
        "exploding": (
            any(penalty > 1000 for penalty in penalties),
            "a penalty explodes; try a smaller optimizer.d.lr, clip_grad=1.0 or a smaller weight of the regularizer",
        ),
    }
