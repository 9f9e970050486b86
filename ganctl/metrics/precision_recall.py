"""Precision and recall: are fakes where reals are, and reals where fakes are?"""

from typing import ClassVar, Literal

import torch

from ganctl.errors import require_positive
from ganctl.metrics.distances import blocks, radii
from ganctl.metrics.metric import Metric, Side
from ganctl.types import Evidence


class PrecisionRecall(Metric):
    """Kynkäänniemi et al. 2019, eq. 1 and 2: a set's manifold is the balls that reach each sample's k-th neighbour.

    Precision is the share of fakes in the manifold of the reals, recall the share of reals in that of the fakes.
    """

    name = "precision_recall"
    sees: ClassVar[Literal["features"]] = "features"

    def __init__(self, *, k: int = 3, against: Side = "test") -> None:
        require_positive(**{"metric.precision_recall.k": k})
        self.needs = frozenset({"fake", against})
        self.k, self.against, self.protocol = k, against, {"k": k, "against": against}

    def __call__(self, evidence: Evidence) -> dict[str, float]:
        fake, real = self.take(evidence, "fake", self.against, least=self.k + 1)
        around_fake, around_real = radii(fake, self.k), radii(real, self.k)
        precise = []
        recalled = torch.zeros_like(around_real, dtype=torch.bool)
        for rows, distances in blocks(fake, real, "precision"):
            precise.append((distances <= around_real).any(1))
            recalled |= (distances <= around_fake[rows, None]).any(0)
        return {"precision": torch.cat(precise).double().mean().item(), "recall": recalled.double().mean().item()}
