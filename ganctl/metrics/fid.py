"""Fréchet distance: how far apart two Gaussians are that fit the features of fakes and reals."""

from typing import ClassVar, Literal

import torch
from torch import Tensor

from ganctl.metrics.metric import Metric, Side
from ganctl.progress import with_bar
from ganctl.types import Evidence


class FID(Metric):
    """Heusel et al. 2017, eq. 6: |m1 - m2|^2 + tr(C1 + C2 - 2 (C1 C2)^(1/2)), lower is better.

    It falls as n grows, so only numbers of equal n are ever compared, and n must exceed the number of features, where
    the covariances first have full rank. It is called plain FID on Inception's features alone.
    """

    name = "fid"
    sees: ClassVar[Literal["features"]] = "features"

    def __init__(self, *, against: Side = "test") -> None:
        self.needs = frozenset({"fake", against})
        self.against, self.protocol = against, {"against": against}

    def __call__(self, evidence: Evidence) -> dict[str, float]:
        (fake,) = self.take(evidence, "fake")
        fake, real = self.take(evidence, "fake", self.against, least=fake[0].numel() + 1)
        return {"fid": frechet(*moments(fake), *moments(real))}


def moments(x: Tensor) -> tuple[Tensor, Tensor]:
    """Mean (F,) and unbiased covariance (F,F) of features (N,...), float64."""
    x = x.flatten(1)
    mean = x.mean(0, dtype=torch.float64)
    scatter = mean.new_zeros(len(mean), len(mean))
    for start in with_bar(range(0, len(x), 4096), "covariance"):
        centred = x[start : start + 4096] - mean
        scatter.addmm_(centred.T, centred)
    return mean, scatter / (len(x) - 1)


def frechet(mean1: Tensor, cov1: Tensor, mean2: Tensor, cov2: Tensor) -> float:
    """The squared Fréchet distance of two Gaussians."""
    half = root(cov1)
    overlap = torch.linalg.eigvalsh(half.T @ cov2 @ half).clamp(min=0).sqrt().sum()  # the eigenvalues of C1 C2
    return float((mean1 - mean2).square().sum() + cov1.trace() + cov2.trace() - 2 * overlap)


def root(cov: Tensor) -> Tensor:
    """Some R (F,F) with R R' = cov."""
    factor: Tensor
    factor, failed = torch.linalg.cholesky_ex(cov)
    if not failed:
        return factor
    # Several times slower, but it takes features that never vary, or vary together.
    values, vectors = torch.linalg.eigh(cov)
    factor = vectors * values.clamp(min=0).sqrt()
    return factor
