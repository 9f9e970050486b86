"""Density and coverage: precision and recall that outliers do not inflate."""

from typing import ClassVar, Literal

import torch

from ganctl.errors import require_positive
from ganctl.metrics.distances import blocks, radii
from ganctl.metrics.metric import Metric, Side
from ganctl.types import Evidence


class DensityCoverage(Metric):
    """Naeem et al. 2020, eq. 3 and 4, with balls around the reals alone.

    Density is in how many balls a fake lies, divided by k (1 is expected of real data, and it may be more); coverage
    is the share of balls that hold a fake.
    """

    name = "density_coverage"
    sees: ClassVar[Literal["features"]] = "features"

    def __init__(self, *, k: int = 5, against: Side = "test") -> None:
        require_positive(**{"metric.density_coverage.k": k})
        self.needs = frozenset({"fake", against})
        self.k, self.against, self.protocol = k, against, {"k": k, "against": against}

    def __call__(self, evidence: Evidence) -> dict[str, float]:
        fake, real = self.take(evidence, "fake", self.against, least=self.k + 1)
        around = radii(real, self.k)
        held = torch.zeros_like(around, dtype=torch.long)
        for _, distances in blocks(fake, real, "density"):
            held += (distances < around).sum(0)
        return {
            "density": held.sum().item() / (self.k * len(fake)),
            "coverage": (held > 0).double().mean().item(),
        }
