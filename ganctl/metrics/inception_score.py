"""Inception score: is each fake of one class, and are there all classes?"""

from itertools import pairwise
from typing import ClassVar, Literal

import torch
from torch import Tensor

from ganctl.errors import require_positive
from ganctl.metrics.metric import Metric
from ganctl.types import Evidence


class InceptionScore(Metric):
    """Salimans et al. 2016, section 4: exp E KL(p(y|x) || p(y)), from 1 to the number of classes, higher is better.

    Mean and standard deviation over `splits` consecutive parts of the samples. Blind to variety within a class and to
    the real data: one perfect picture a class scores best.
    """

    name = "inception_score"
    sees: ClassVar[Literal["samples"]] = "samples"
    needs = frozenset({"probabilities"})

    def __init__(self, *, splits: int = 10) -> None:
        require_positive(**{"metric.inception_score.splits": splits})
        self.splits, self.protocol = splits, {"splits": splits}

    def __call__(self, evidence: Evidence) -> dict[str, float]:
        (probabilities,) = self.take(evidence, "probabilities", least=self.splits)
        bounds = [len(probabilities) * split // self.splits for split in range(self.splits + 1)]
        parts = [probabilities[first:last] for first, last in pairwise(bounds)]
        scores = torch.stack([score(part) for part in parts])
        return {"inception_score": scores.mean().item(), "inception_score_std": scores.std(correction=0).item()}


def score(probabilities: Tensor) -> Tensor:
    """exp(H(y) - H(y|x)) of (N,K), a float64 scalar."""
    p = probabilities.double()
    information: Tensor = torch.special.entr(p.mean(0)).sum() - torch.special.entr(p).sum(1).mean()
    return information.exp()
