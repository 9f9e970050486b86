"""Modes counted: of mixtures in the plane, where they are known, and of images on which a classifier reads them."""

import math
from typing import ClassVar, Literal

import torch
from torch import Tensor

from ganctl.errors import require_positive
from ganctl.metrics.distances import nearest
from ganctl.metrics.metric import Metric
from ganctl.types import Evidence


class Modes(Metric):
    """Lin et al. 2018 (PacGAN), section 4.1, for points in true units; the published rows take 2,500 of them.

    A sample within `radius` sigma of a centre is of high quality, and a mode counts with one of those. `reverse_kl` is
    KL(histogram of the nearest centres || even), in nats; M modes drawn evenly give (M-1)/(2n) on average.
    """

    name = "modes"
    sees: ClassVar[Literal["samples"]] = "samples"
    needs = frozenset({"fake", "centres", "sigma"})

    def __init__(self, *, radius: float = 3.0) -> None:
        require_positive(**{"metric.modes.radius": radius})
        self.radius, self.protocol = radius, {"radius": radius}

    def __call__(self, evidence: Evidence) -> dict[str, float]:
        fake, centres = self.take(evidence, "fake", "centres")
        assert evidence.sigma is not None, "centres go with a sigma"
        distance, mode = nearest(fake, centres)
        good = distance <= self.radius * evidence.sigma
        return {
            "modes": float(histogram(mode[good], len(centres)).count_nonzero()),
            "high_quality": good.double().mean().item(),
            "reverse_kl": kl_to_even(histogram(mode, len(centres))),
        }


class StackedModes(Metric):
    """Metz et al. 2017 (unrolled GAN), section 3.3.1: the modes of stacked digits that a classifier finds.

    `kl` is KL(histogram || even), in nats. The published rows take 26,000 samples, for which 1,000 modes drawn evenly
    give 0.0192 on average.
    """

    name = "stacked_modes"
    sees: ClassVar[Literal["samples"]] = "samples"
    needs = frozenset({"codes"})

    def __init__(self, *, modes: int = 1000) -> None:
        require_positive(**{"metric.stacked_modes.modes": modes})
        self.modes, self.protocol = modes, {"modes": modes}

    def __call__(self, evidence: Evidence) -> dict[str, float]:
        (codes,) = self.take(evidence, "codes")
        found = histogram(codes, self.modes)
        return {"modes": float(found.count_nonzero()), "kl": kl_to_even(found)}


def histogram(mode: Tensor, modes: int) -> Tensor:
    """How often each of 0..modes-1 occurs, (modes,) int64."""
    return torch.bincount(mode, minlength=modes)


def kl_to_even(counts: Tensor) -> float:
    """KL(p || even) in nats, p the share of each count."""
    p = counts.double() / counts.sum()
    return math.log(len(p)) - float(torch.special.entr(p).sum())
